/** Kinds of bad requests (RFC 7644, section 3.12). */
export type ScimType =
  | 'invalidFilter'
  | 'tooMany'
  | 'uniqueness'
  | 'mutability'
  | 'invalidSyntax'
  | 'invalidPath'
  | 'noTarget'
  | 'invalidValue';

const STATUS: Readonly<Record<ScimType, number>> = {
  invalidFilter: 400,
  tooMany: 400,
  uniqueness: 409,
  mutability: 400,
  invalidSyntax: 400,
  invalidPath: 400,
  noTarget: 400,
  invalidValue: 400,
};

/** A request that a SCIM client made wrong; `detail` is for its operator. */
export class ScimError extends Error {
  readonly status: number;
  readonly scimType: ScimType;

  constructor(scimType: ScimType, detail: string) {
    super(detail);
    this.name = 'ScimError';
    this.scimType = scimType;
    this.status = STATUS[scimType];
  }
}

/** The URN of a whole schema: of a resource of some version, or of a User or Group. */
export function isSchema(name: string): boolean {
  return /^urn:[A-Za-z0-9:._-]{1,200}:(?:\d+(?:\.\d+)*:[A-Za-z][A-Za-z0-9]{0,63}|User|Group)$/i.test(name);
}

/** True for the schemas whose attributes are at the top of a resource. */
export function isCore(schema: string): boolean {
  return schema === '' || /:schemas:core:/i.test(schema);
}

/** Names that would reach into the language itself. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/** @throws ScimError for a name that no attribute has */
export function checkName(name: string, type: ScimType = 'invalidPath'): string {
  if (FORBIDDEN.has(name) || !/^[A-Za-z$][A-Za-z0-9_$-]{0,63}$/.test(name))
    throw new ScimError(type, 'that is no attribute name');
  return name;
}
