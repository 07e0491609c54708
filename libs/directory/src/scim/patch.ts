import { isText } from '@sallyport/security-api';
import { checkName, isCore, isSchema, ScimError } from './errors.ts';
import {
  type AttributePath,
  costOf,
  isObject,
  matchesFilter,
  parseAttributePath,
  parseScimFilter,
  propertyOf,
  type ScimFilter,
  type ScimObject,
  type ScimValue,
} from './filter.ts';

/** One operation of a PATCH (RFC 7644, section 3.5.2), read. */
export interface PatchOperation {
  readonly op: 'add' | 'replace' | 'remove';
  readonly path: PatchPath | undefined;
  readonly value: ScimValue | undefined;
}

/** `name`, `name.sub`, `name[filter]`, `name[filter].sub`, each with the URN of a schema before it or not. */
export interface PatchPath extends AttributePath {
  readonly filter: ScimFilter | undefined;
}

/** Operations of one PATCH of a user, and of a group, whose members come one by one from some. */
const MAX_OPERATIONS = 1_000;
export const MAX_GROUP_OPERATIONS = 100_000;
/** Members that one request may name. */
const MAX_MEMBERS = 200_000;
/** Values of one list, and how deep they nest. */
export const MAX_VALUES = 500;
export const MAX_DEPTH = 16;
/** What one PATCH of a user may cost: comparisons and values touched, some milliseconds. */
const MAX_WORK = 100_000;
/** Characters that cost as much as one comparison. */
const CHARACTERS_PER_WORK = 64;

/** Counts what a PATCH costs. @throws ScimError tooMany when it is too much */
class Work {
  #left = MAX_WORK;

  spend(units: number): void {
    this.#left -= units;
    if (this.#left < 0) throw new ScimError('tooMany', 'the PATCH asks for too much at once');
  }
}

type Mutable = { [name: string]: ScimValue };

/** Reads the operations of a PATCH body. Entra ID writes `Add`, `Replace` and `Remove`. @throws ScimError */
export function parsePatch(body: unknown): PatchOperation[] {
  return patchOperations(body, MAX_OPERATIONS).map(parseOperation);
}

/** The operations of a PATCH body as they are, to be read one by one. @throws ScimError invalidSyntax */
export function patchOperations(body: unknown, most: number): readonly unknown[] {
  const key = isObject(body) ? propertyOf(body, 'Operations') : undefined;
  const operations = key === undefined ? undefined : (body as ScimObject)[key];
  if (!Array.isArray(operations) || operations.length === 0 || operations.length > most)
    throw new ScimError('invalidSyntax', `a PATCH has 1 to ${most} Operations`);
  return operations as readonly unknown[];
}

/** Reads one operation. @throws ScimError */
export function parseOperation(operation: unknown): PatchOperation {
  if (!isObject(operation)) throw new ScimError('invalidSyntax', 'an operation is an object');
  const { op, path, value } = operation;
  const verb = typeof op === 'string' ? op.toLowerCase() : '';
  if (verb !== 'add' && verb !== 'replace' && verb !== 'remove')
    throw new ScimError('invalidSyntax', 'an operation is add, replace or remove');
  if (path !== undefined && typeof path !== 'string') throw new ScimError('invalidPath', 'a path is a text');
  const parsed = path === undefined || path === '' ? undefined : parsePatchPath(path);
  if (!parsed && verb === 'remove') throw new ScimError('noTarget', 'a remove needs a path');
  if (!parsed && !isObject(value)) throw new ScimError('invalidValue', 'without a path the value is an object');
  if (verb !== 'remove' && value === undefined) throw new ScimError('invalidValue', `${verb} needs a value`);
  return { op: verb, path: parsed, value };
}

/** Parses a path. @throws ScimError invalidPath */
function parsePatchPath(text: string): PatchPath {
  if (text.length > 1_024) throw new ScimError('invalidPath', 'the path is too long');
  const open = text.indexOf('[');
  if (open < 0) return { ...parseAttributePath(text, 'invalidPath'), filter: undefined };
  const close = text.lastIndexOf(']');
  if (close < open) throw new ScimError('invalidPath', 'a ] is expected');
  const path = parseAttributePath(text.slice(0, open), 'invalidPath');
  const rest = text.slice(close + 1);
  if (path.name === '' || path.sub !== '' || (rest !== '' && !/^\.[^.]+$/.test(rest)))
    throw new ScimError('invalidPath', 'a path is name[filter].sub');
  const sub = rest === '' ? '' : checkName(rest.slice(1));
  return { ...path, sub, filter: parseScimFilter(text.slice(open + 1, close)) };
}

/**
 * Carries operations out on a copy, in their order. What they may cost together is bounded, whatever they are.
 * @throws ScimError; the resource is untouched then
 */
export function applyPatch(resource: ScimObject, operations: readonly PatchOperation[]): ScimObject {
  const copy = structuredClone(resource) as Mutable;
  const work = new Work();
  for (const { op, path, value } of operations) {
    if (path) applyAt(copy, path, { op, value, work });
    else applyWhole(copy, { op, value, work });
  }
  return copy;
}

/** Without a path each member of the value is one: Entra ID also writes `name.givenName` and URNs as keys. */
function applyWhole(resource: Mutable, { op, value, work }: Change): void {
  for (const [key, part] of Object.entries(value as ScimObject)) {
    work.spend(1);
    if (part !== undefined) applyAt(resource, parsePatchPath(key), { op, value: part, work });
  }
}

/** All attributes of a schema at once: of an extension, or of the core, which is the resource itself. */
function applySchema(resource: Mutable, schema: string, { op, value, work }: Change): void {
  if (isCore(schema)) {
    if (op === 'remove') throw new ScimError('noTarget', 'a resource is removed by DELETE');
    if (!isObject(value)) throw new ScimError('invalidValue', 'a schema has an object as its value');
    return applyWhole(resource, { op, value, work });
  }
  const key = propertyOf(resource, schema) ?? schema;
  if (op === 'remove') delete resource[key];
  else if (!isObject(value)) throw new ScimError('invalidValue', 'a schema has an object as its value');
  else
    for (const [name, part] of Object.entries(value))
      if (part !== undefined)
        applyAt(resource, { schema, name: checkName(name), sub: '', filter: undefined }, { op, value: part, work });
}

type Change = Pick<PatchOperation, 'op' | 'value'> & { readonly work: Work };

function applyAt(resource: Mutable, path: PatchPath, change: Change): void {
  change.work.spend(1);
  if (path.name === '') return applySchema(resource, path.schema, change);
  const container = containerFor(resource, path, change.op !== 'remove');
  if (!container) return;
  const key = propertyOf(container, path.name) ?? path.name;
  if (path.filter) return applyToElements(container, { key, filter: path.filter, sub: path.sub }, change);
  if (path.sub !== '') return applyToSub(container, key, { sub: path.sub, ...change });
  applyToAttribute(container, key, change);
}

/** Where an attribute of a schema extension lives; the core schemas live at the top. */
function containerFor(resource: Mutable, { schema }: AttributePath, create: boolean): Mutable | undefined {
  if (isCore(schema)) return resource;
  const key = propertyOf(resource, schema) ?? schema;
  const found = resource[key];
  if (isObject(found)) return found as Mutable;
  if (!create) return undefined;
  const made: Mutable = {};
  resource[key] = made;
  return made;
}

function applyToAttribute(container: Mutable, key: string, { op, value, work }: Change): void {
  const before = container[key];
  if (Array.isArray(before)) work.spend(before.length);
  if (op === 'remove') {
    // Entra ID removes members by listing them.
    if (Array.isArray(value) && Array.isArray(before))
      container[key] = withoutElements(before as ScimValue[], value as ScimValue[], work);
    else delete container[key];
    return;
  }
  if (op === 'add' && Array.isArray(before))
    container[key] = withElements(
      before as ScimValue[],
      Array.isArray(value) ? (value as ScimValue[]) : [value!],
      work,
    );
  else if (op === 'add' && isObject(before) && isObject(value))
    container[key] = { ...before, ...cleanedObject(value, work) };
  else container[key] = cleaned(value!, work);
}

function applyToSub(container: Mutable, key: string, { sub, op, value, work }: Change & { sub: string }): void {
  const before = container[key];
  if (Array.isArray(before)) {
    for (const element of before.filter(isObject))
      applyToAttribute(element as Mutable, propertyOf(element, sub) ?? sub, { op, value, work });
    return;
  }
  if (!isObject(before) && op === 'remove') return;
  const object = (isObject(before) ? before : {}) as Mutable;
  container[key] = object;
  applyToAttribute(object, propertyOf(object, sub) ?? sub, { op, value, work });
}

/** Elements that fit a filter. When none does, an add or replace makes one: Entra ID counts on it. */
function applyToElements(
  container: Mutable,
  at: { key: string; filter: ScimFilter; sub: string },
  { op, value, work }: Change,
): void {
  const { key, filter, sub } = at;
  const before = container[key];
  const elements = Array.isArray(before) ? ([...before] as ScimValue[]) : [];
  work.spend((1 + elements.length) * costOf(filter));
  const fitting = elements.filter(
    (element): element is ScimObject => isObject(element) && matchesFilter(element, filter),
  );
  if (op === 'remove' && sub === '') {
    const leaving = new Set<ScimValue>(fitting);
    const rest = elements.filter((element) => !leaving.has(element));
    if (rest.length > 0) container[key] = rest;
    else delete container[key];
    return;
  }
  if (fitting.length === 0) {
    if (op === 'remove') return;
    const made = elementFor(filter);
    elements.push(made);
    fitting.push(made);
  }
  container[key] = bounded(elements);
  for (const element of fitting) {
    if (sub !== '') applyToAttribute(element as Mutable, propertyOf(element, sub) ?? sub, { op, value, work });
    else if (isObject(value)) Object.assign(element as Mutable, cleanedObject(value, work));
    else (element as Mutable)['value'] = cleaned(value!, work);
  }
}

/** An element that fits a filter of equalities. @throws ScimError noTarget for any other one */
function elementFor(filter: ScimFilter): Mutable {
  if (filter.kind === 'and') return { ...elementFor(filter.left), ...elementFor(filter.right) };
  if (filter.kind === 'compare' && filter.operator === 'eq' && filter.path.sub === '')
    return { [filter.path.name]: filter.value };
  throw new ScimError('noTarget', 'nothing fits the filter of the path');
}

function withElements(before: readonly ScimValue[], added: readonly ScimValue[], work: Work): ScimValue[] {
  work.spend(added.length);
  const known = new Set(before.map((one) => identityOf(one, work)));
  const fresh = added.filter((one) => {
    const identity = identityOf(one, work);
    if (known.has(identity)) return false;
    known.add(identity);
    return true;
  });
  return bounded([...before, ...fresh.map((one) => cleaned(one, work))]);
}

function withoutElements(before: readonly ScimValue[], gone: readonly ScimValue[], work: Work): ScimValue[] {
  work.spend(gone.length);
  const identities = new Set(gone.map((one) => identityOf(one, work)));
  return before.filter((element) => !identities.has(identityOf(element, work)));
}

/** Two elements are one when they have the same `value`, bare or in an object, or are the same altogether. */
function identityOf(element: ScimValue, work: Work): string {
  const value = isObject(element) ? element['value'] : element;
  if (typeof value === 'string') return `=${value}`;
  const text = JSON.stringify(element);
  work.spend(text.length / CHARACTERS_PER_WORK);
  return text;
}

function bounded(list: ScimValue[]): ScimValue[] {
  if (list.length > MAX_VALUES) throw new ScimError('tooMany', `an attribute has at most ${MAX_VALUES} values`);
  return list;
}

/** A value without names that would reach into the language. @throws ScimError */
function cleaned(value: ScimValue, work: Work, depth = 0): ScimValue {
  work.spend(1 + (typeof value === 'string' ? value.length / CHARACTERS_PER_WORK : 0));
  if (depth > MAX_DEPTH) throw new ScimError('invalidValue', 'the value is nested too deeply');
  if (Array.isArray(value)) return bounded((value as ScimValue[]).map((one) => cleaned(one, work, depth + 1)));
  return isObject(value) ? cleanedObject(value, work, depth + 1) : value;
}

function cleanedObject(value: ScimObject, work: Work, depth = 0): Mutable {
  const copy: Mutable = {};
  for (const [name, part] of Object.entries(value))
    if (part !== undefined) copy[isSchema(name) ? name : checkName(name)] = cleaned(part, work, depth);
  return copy;
}

/** What a PATCH of a group asks for; members are ids. `replace` stands for all members. */
export interface GroupPatch {
  readonly attributes: ScimObject;
  readonly steps: readonly { readonly op: 'add' | 'remove' | 'replace'; readonly members: readonly string[] }[];
}

type Step = { op: 'add' | 'remove' | 'replace'; members: string[] };

/**
 * Splits a PATCH of a group into its attributes and its members, who may be too many to hold in the resource. Operations
 * are taken one by one, so that whoever takes very many can pause between them.
 */
export class GroupPatchReader {
  readonly #attributes: PatchOperation[] = [];
  readonly #steps: Step[] = [];
  #named = 0;

  /** @throws ScimError */
  take(operation: PatchOperation): void {
    const step = memberStep(operation);
    if (step) return this.#add(step);
    const rest = this.#withoutMembers(operation);
    if (rest.path || Object.keys(rest.value as ScimObject).length > 0) this.#attributes.push(rest);
  }

  /** What is to become of a group. @throws ScimError */
  patchOf(group: ScimObject): GroupPatch {
    return { attributes: applyPatch(group, this.#attributes), steps: this.#steps };
  }

  /** Steps of one kind that follow each other are one. */
  #add({ op, members }: GroupPatch['steps'][number]): void {
    this.#named += members.length;
    checkCount(this.#named);
    const last = this.#steps.at(-1);
    if (last?.op === op && op !== 'replace') for (const member of members) last.members.push(member);
    else this.#steps.push({ op, members: [...members] });
  }

  /** Members in an object without a path: the rest of the object is the attributes. */
  #withoutMembers(operation: PatchOperation): PatchOperation {
    if (operation.path || !isObject(operation.value)) return operation;
    const key = propertyOf(operation.value, 'members');
    if (key === undefined) return operation;
    const { [key]: members, ...rest } = operation.value;
    this.#add({ op: operation.op, members: memberIds(members) });
    return { ...operation, value: rest };
  }
}

/** Splits a PATCH of a group. @throws ScimError */
export function splitGroupPatch(group: ScimObject, operations: readonly PatchOperation[]): GroupPatch {
  const reader = new GroupPatchReader();
  for (const operation of operations) reader.take(operation);
  return reader.patchOf(group);
}

function memberStep({ op, path, value }: PatchOperation): GroupPatch['steps'][number] | undefined {
  if (path?.name.toLowerCase() !== 'members') return undefined;
  if (path.filter) {
    if (op !== 'remove' || path.sub !== '')
      throw new ScimError('invalidPath', 'by a filter members are only removed: members[value eq "id"]');
    return { op, members: namedBy(path.filter) };
  }
  if (op === 'remove' && value === undefined) return { op: 'replace', members: [] };
  return { op, members: memberIds(value) };
}

/** Ids that a filter names, one or several. @throws ScimError invalidPath for a filter that does anything else */
function namedBy(filter: ScimFilter): string[] {
  if (filter.kind === 'or') return [...namedBy(filter.left), ...namedBy(filter.right)];
  if (filter.kind === 'compare' && filter.operator === 'eq' && filter.path.name.toLowerCase() === 'value')
    return memberIds(filter.value);
  throw new ScimError('invalidPath', 'members are removed by members[value eq "id"], or several with or');
}

/** @throws ScimError tooMany */
function checkCount(members: number): void {
  if (members > MAX_MEMBERS) throw new ScimError('tooMany', `a request names at most ${MAX_MEMBERS} members`);
}

/** Ids of members as clients write them: objects with `value`, or bare ids. @throws ScimError invalidValue */
export function memberIds(value: ScimValue | undefined): string[] {
  const list = Array.isArray(value) ? (value as ScimValue[]) : value === undefined || value === null ? [] : [value];
  checkCount(list.length);
  return list.map((member) => {
    const id = isObject(member) ? member['value'] : member;
    if (typeof id !== 'string' || id === '' || id.length > 64 || !isText(id))
      throw new ScimError('invalidValue', 'a member has the id of a user as its value');
    return id;
  });
}
