import { checkName, ScimError } from './errors.ts';
import {
  type AttributePath,
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

const MAX_OPERATIONS = 1_000;
type Mutable = { [name: string]: ScimValue };

/** Reads the operations of a PATCH body. Entra ID writes `Add`, `Replace` and `Remove`. @throws ScimError */
export function parsePatch(body: unknown): PatchOperation[] {
  const key = isObject(body) ? propertyOf(body, 'Operations') : undefined;
  const operations = key === undefined ? undefined : (body as ScimObject)[key];
  if (!Array.isArray(operations) || operations.length === 0 || operations.length > MAX_OPERATIONS)
    throw new ScimError('invalidSyntax', `a PATCH has 1 to ${MAX_OPERATIONS} Operations`);
  return operations.map(parseOperation);
}

function parseOperation(operation: unknown): PatchOperation {
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
export function parsePatchPath(text: string): PatchPath {
  if (text.length > 1_024) throw new ScimError('invalidPath', 'the path is too long');
  const open = text.indexOf('[');
  if (open < 0) return { ...parseAttributePath(text, 'invalidPath'), filter: undefined };
  const close = text.lastIndexOf(']');
  if (close < open) throw new ScimError('invalidPath', 'a ] is expected');
  const path = parseAttributePath(text.slice(0, open), 'invalidPath');
  const rest = text.slice(close + 1);
  if (path.sub !== '' || (rest !== '' && !/^\.[^.]+$/.test(rest)))
    throw new ScimError('invalidPath', 'a path is name[filter].sub');
  const sub = rest === '' ? '' : checkName(rest.slice(1));
  return { ...path, sub, filter: parseScimFilter(text.slice(open + 1, close)) };
}

/** Carries operations out on a copy, in their order. @throws ScimError; the resource is untouched then */
export function applyPatch(resource: ScimObject, operations: readonly PatchOperation[]): ScimObject {
  const copy = structuredClone(resource) as Mutable;
  for (const operation of operations) {
    if (operation.path) applyAt(copy, operation.path, operation);
    else applyWhole(copy, operation);
  }
  return copy;
}

/** Without a path each member of the value is one: Entra ID also writes `name.givenName` and URNs as keys. */
function applyWhole(resource: Mutable, { op, value }: PatchOperation): void {
  for (const [key, part] of Object.entries(value as ScimObject)) {
    if (part === undefined) continue;
    if (isSchema(key) && isObject(part)) applyExtension(resource, { op, schema: key, part });
    else applyAt(resource, parsePatchPath(key), { op, value: part });
  }
}

function isSchema(key: string): boolean {
  return /^urn:[A-Za-z0-9:._-]+:(User|Group)$/i.test(key);
}

function applyExtension(resource: Mutable, of: { op: PatchOperation['op']; schema: string; part: ScimObject }): void {
  const { op, schema, part } = of;
  for (const [name, value] of Object.entries(part))
    if (value !== undefined)
      applyAt(resource, { schema, name: checkName(name), sub: '', filter: undefined }, { op, value });
}

type Change = Pick<PatchOperation, 'op' | 'value'>;

function applyAt(resource: Mutable, path: PatchPath, change: Change): void {
  const container = containerFor(resource, path, change.op !== 'remove');
  if (!container) return;
  const key = propertyOf(container, path.name) ?? path.name;
  if (path.filter) return applyToElements(container, { key, filter: path.filter, sub: path.sub }, change);
  if (path.sub !== '') return applyToSub(container, key, { sub: path.sub, ...change });
  applyToAttribute(container, key, change);
}

/** Where an attribute of a schema extension lives; the core schemas live at the top. */
function containerFor(resource: Mutable, { schema }: AttributePath, create: boolean): Mutable | undefined {
  if (schema === '' || /:schemas:core:/i.test(schema)) return resource;
  const key = propertyOf(resource, schema) ?? schema;
  const found = resource[key];
  if (isObject(found)) return found as Mutable;
  if (!create) return undefined;
  const made: Mutable = {};
  resource[key] = made;
  return made;
}

function applyToAttribute(container: Mutable, key: string, { op, value }: Change): void {
  const before = container[key];
  if (op === 'remove') {
    // Entra ID removes members by listing them.
    if (Array.isArray(value) && Array.isArray(before))
      container[key] = before.filter((element) => !value.some((one) => isSame(element, one)));
    else delete container[key];
    return;
  }
  if (op === 'add' && Array.isArray(before))
    container[key] = withElements(before as ScimValue[], Array.isArray(value) ? (value as ScimValue[]) : [value!]);
  else if (op === 'add' && isObject(before) && isObject(value)) container[key] = { ...before, ...cleanedObject(value) };
  else container[key] = cleaned(value!);
}

function applyToSub(container: Mutable, key: string, { sub, op, value }: Change & { sub: string }): void {
  const before = container[key];
  if (Array.isArray(before)) {
    for (const element of before.filter(isObject))
      applyToAttribute(element as Mutable, propertyOf(element, sub) ?? sub, { op, value });
    return;
  }
  if (!isObject(before) && op === 'remove') return;
  const object = (isObject(before) ? before : {}) as Mutable;
  container[key] = object;
  applyToAttribute(object, propertyOf(object, sub) ?? sub, { op, value });
}

/** Elements that fit a filter. When none does, an add or replace makes one: Entra ID counts on it. */
function applyToElements(
  container: Mutable,
  at: { key: string; filter: ScimFilter; sub: string },
  { op, value }: Change,
): void {
  const { key, filter, sub } = at;
  const before = container[key];
  const elements = Array.isArray(before) ? ([...before] as ScimValue[]) : [];
  const fitting = elements.filter(
    (element): element is ScimObject => isObject(element) && matchesFilter(element, filter),
  );
  if (op === 'remove' && sub === '') {
    const rest = elements.filter((element) => !fitting.includes(element as ScimObject));
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
  container[key] = elements;
  for (const element of fitting) {
    if (sub !== '') applyToAttribute(element as Mutable, propertyOf(element, sub) ?? sub, { op, value });
    else if (isObject(value)) Object.assign(element as Mutable, cleanedObject(value));
    else (element as Mutable)['value'] = value!;
  }
}

/** An element that fits a filter of equalities. @throws ScimError noTarget for any other one */
function elementFor(filter: ScimFilter): Mutable {
  if (filter.kind === 'and') return { ...elementFor(filter.left), ...elementFor(filter.right) };
  if (filter.kind === 'compare' && filter.operator === 'eq' && filter.path.sub === '')
    return { [filter.path.name]: filter.value };
  throw new ScimError('noTarget', 'nothing fits the filter of the path');
}

function withElements(before: readonly ScimValue[], added: readonly ScimValue[]): ScimValue[] {
  return [...before, ...added.filter((one) => !before.some((element) => isSame(element, one))).map(cleaned)];
}

function isSame(a: ScimValue, b: ScimValue): boolean {
  if (isObject(a) && isObject(b) && a['value'] !== undefined) return a['value'] === b['value'];
  if (isObject(a) && typeof b === 'string') return a['value'] === b;
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A value without names that would reach into the language. @throws ScimError */
function cleaned(value: ScimValue): ScimValue {
  if (Array.isArray(value)) return (value as ScimValue[]).map(cleaned);
  return isObject(value) ? cleanedObject(value) : value;
}

function cleanedObject(value: ScimObject): Mutable {
  const copy: Mutable = {};
  for (const [name, part] of Object.entries(value))
    if (part !== undefined) copy[isSchema(name) ? name : checkName(name)] = cleaned(part);
  return copy;
}

/** What a PATCH of a group asks for; members are ids. `replace` stands for all members. */
export interface GroupPatch {
  readonly attributes: ScimObject;
  readonly steps: readonly { readonly op: 'add' | 'remove' | 'replace'; readonly members: readonly string[] }[];
}

/** Splits a PATCH of a group into its attributes and its members, who may be too many to read. @throws ScimError */
export function splitGroupPatch(group: ScimObject, operations: readonly PatchOperation[]): GroupPatch {
  const steps: { op: 'add' | 'remove' | 'replace'; members: readonly string[] }[] = [];
  let attributes = group;
  for (const operation of operations) {
    const step = memberStep(operation);
    if (step) steps.push(step);
    else attributes = applyPatch(attributes, [withoutMembers(operation, steps)]);
  }
  return { attributes, steps };
}

function memberStep({ op, path, value }: PatchOperation): GroupPatch['steps'][number] | undefined {
  if (path?.name.toLowerCase() !== 'members') return undefined;
  if (path.filter) {
    if (op !== 'remove' || path.filter.kind !== 'compare' || path.filter.operator !== 'eq')
      throw new ScimError('invalidPath', 'members are removed by members[value eq "id"]');
    return { op, members: [String(path.filter.value)] };
  }
  if (op === 'remove' && value === undefined) return { op: 'replace', members: [] };
  return { op, members: memberIds(value) };
}

/** Members in an object without a path: the rest of the object is the attributes. */
function withoutMembers(
  operation: PatchOperation,
  steps: { op: PatchOperation['op']; members: readonly string[] }[],
): PatchOperation {
  if (operation.path || !isObject(operation.value)) return operation;
  const key = propertyOf(operation.value, 'members');
  if (key === undefined) return operation;
  const { [key]: members, ...rest } = operation.value;
  steps.push({ op: operation.op, members: memberIds(members) });
  return { ...operation, value: rest };
}

/** Ids of members as clients write them: objects with `value`, or bare ids. @throws ScimError invalidValue */
export function memberIds(value: ScimValue | undefined): string[] {
  const list = Array.isArray(value) ? (value as ScimValue[]) : value === undefined || value === null ? [] : [value];
  return list.map((member) => {
    const id = isObject(member) ? member['value'] : member;
    if (typeof id !== 'string' || id === '' || id.length > 64)
      throw new ScimError('invalidValue', 'a member has the id of a user as its value');
    return id;
  });
}
