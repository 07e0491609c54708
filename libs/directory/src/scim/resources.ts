import { isText } from '@sallyport/security-api';
import { ScimError } from './errors.ts';
import { isObject, propertyOf, type ScimObject, type ScimValue } from './filter.ts';
import { MAX_DEPTH, MAX_VALUES } from './patch.ts';

/** URNs of the schemas (RFC 7643, section 8). */
export const URNS = {
  user: 'urn:ietf:params:scim:schemas:core:2.0:User',
  group: 'urn:ietf:params:scim:schemas:core:2.0:Group',
  enterprise: 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User',
  list: 'urn:ietf:params:scim:api:messages:2.0:ListResponse',
  error: 'urn:ietf:params:scim:api:messages:2.0:Error',
} as const;

const MAX_BODY_CHARACTERS = 64 * 1024;
/** What only the server says. */
const READ_ONLY = new Set(['id', 'meta', 'groups', 'schemas', 'password']);

/** What a user resource says that we go by; the rest is kept as it is. */
export interface ScimUser {
  readonly userName: string;
  readonly externalId: string;
  readonly displayName: string;
  readonly active: boolean;
  /** Everything the client may write, for giving it back. Passwords are dropped: nobody signs in by them. */
  readonly attributes: ScimObject;
}

/** Reads a user resource as a client wrote it; `active` stands for one that says nothing of it. @throws ScimError invalidValue */
export function readScimUser(body: unknown, activeBefore = true): ScimUser {
  const attributes = withManager(writable(body));
  const userName = textOf(attributes, 'userName');
  if (userName === undefined || userName.trim() === '') throw new ScimError('invalidValue', 'a user needs a userName');
  const displayName = textOf(attributes, 'displayName') ?? nameOf(attributes) ?? userName;
  const active = booleanOf(attributes, 'active') ?? activeBefore;
  return {
    userName,
    externalId: textOf(attributes, 'externalId') ?? '',
    displayName: displayName.slice(0, 128),
    active,
    attributes: { ...withoutName(attributes, 'active'), active },
  };
}

/** What a group resource says that we go by. */
export interface ScimGroup {
  readonly displayName: string;
  readonly externalId: string;
}

/** Entra ID writes the manager as a bare id; by its schema it is an object. An empty one is none. */
function withManager(attributes: ScimObject): ScimObject {
  const key = propertyOf(attributes, URNS.enterprise);
  const extension = key === undefined ? undefined : attributes[key];
  if (!isObject(extension)) return attributes;
  const name = propertyOf(extension, 'manager');
  const manager = name === undefined ? undefined : extension[name];
  if (name === undefined || isObject(manager)) return attributes;
  const { [name]: _, ...rest } = extension;
  if (manager === '' || manager === null || manager === undefined) return { ...attributes, [key!]: rest };
  if (typeof manager !== 'string') throw new ScimError('invalidValue', 'a manager is an object with a value');
  return { ...attributes, [key!]: { ...rest, [name]: { value: manager } } };
}

/** Reads a group resource, without its members. @throws ScimError invalidValue */
export function readScimGroup(body: unknown): ScimGroup {
  const attributes = writable(withoutName(isObject(body) ? body : {}, 'members'));
  const displayName = textOf(attributes, 'displayName');
  if (displayName === undefined || displayName.trim() === '')
    throw new ScimError('invalidValue', 'a group needs a displayName');
  return { displayName, externalId: textOf(attributes, 'externalId') ?? '' };
}

function writable(body: unknown): ScimObject {
  if (!isObject(body)) throw new ScimError('invalidSyntax', 'a resource is a JSON object');
  const kept = Object.entries(body).filter(
    ([name, value]) => !READ_ONLY.has(name.toLowerCase()) && value !== undefined && name !== '__proto__',
  );
  const attributes = Object.fromEntries(kept);
  checkShape(attributes, 0);
  if (JSON.stringify(attributes).length > MAX_BODY_CHARACTERS)
    throw new ScimError('invalidValue', 'the resource is too large');
  return attributes;
}

/**
 * Texts of lines, lists and depths of a size, and no attribute twice: what stands under two names that differ only by case
 * would be one thing for a filter and another for a reader.
 * @throws ScimError
 */
function checkShape(value: ScimValue | undefined, depth: number): void {
  if (depth > MAX_DEPTH) throw new ScimError('invalidValue', 'the resource is nested too deeply');
  if (typeof value === 'string' && !isText(value.replace(/[\t\n\r]/g, ' ')))
    throw new ScimError('invalidValue', 'a text has control characters');
  if (Array.isArray(value)) {
    if (value.length > MAX_VALUES) throw new ScimError('tooMany', `an attribute has at most ${MAX_VALUES} values`);
    for (const one of value) checkShape(one as ScimValue, depth + 1);
  } else if (isObject(value)) {
    const names = Object.keys(value);
    if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
      throw new ScimError('invalidSyntax', 'an attribute is named twice');
    if (!names.every((name) => isText(name))) throw new ScimError('invalidValue', 'a name has control characters');
    for (const name of names) checkShape(value[name], depth + 1);
  }
}

function withoutName(object: ScimObject, name: string): ScimObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key.toLowerCase() !== name));
}

function attributeIn(object: ScimObject, name: string): ScimValue | undefined {
  const key = propertyOf(object, name);
  return key === undefined ? undefined : object[key];
}

function textOf(object: ScimObject, name: string): string | undefined {
  const value = attributeIn(object, name);
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' || value.length > 256 || !isText(value))
    throw new ScimError('invalidValue', `${name} is a line of text of at most 256 characters`);
  return value;
}

/** A truth value. Entra ID writes "False" in quotes. */
function booleanOf(object: ScimObject, name: string): boolean | undefined {
  const value = attributeIn(object, name);
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  throw new ScimError('invalidValue', `${name} is true or false`);
}

function nameOf(attributes: ScimObject): string | undefined {
  const name = attributeIn(attributes, 'name');
  if (!isObject(name)) return undefined;
  const parts = [attributeIn(name, 'givenName'), attributeIn(name, 'familyName')].filter(
    (part) => typeof part === 'string',
  );
  const formatted = attributeIn(name, 'formatted');
  return typeof formatted === 'string' && formatted !== '' ? formatted : parts.join(' ') || undefined;
}

/** A resource with only the attributes that a request wants (RFC 7644, section 3.9). `id` and `schemas` always are. */
export function projected(
  resource: ScimObject,
  attributes: string | undefined,
  excluded: string | undefined,
): ScimObject {
  const names = (list: string): Set<string> =>
    new Set(list.split(',').map((name) => name.trim().split('.')[0]!.toLowerCase()));
  const always = new Set(['id', 'schemas']);
  if (attributes !== undefined && attributes !== '') {
    const wanted = names(attributes);
    return pick(resource, (name) => always.has(name) || wanted.has(name));
  }
  if (excluded === undefined || excluded === '') return resource;
  const unwanted = names(excluded);
  return pick(resource, (name) => always.has(name) || !unwanted.has(name));
}

function pick(resource: ScimObject, keep: (name: string) => boolean): ScimObject {
  return Object.fromEntries(Object.entries(resource).filter(([name]) => keep(name.toLowerCase())));
}
