import { URNS } from './resources.ts';

/** What this server can do (RFC 7643, section 5). */
export function serviceProviderConfig(base: string): object {
  const no = { supported: false };
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: MAX_RESULTS },
    changePassword: no,
    sort: no,
    etag: no,
    authenticationSchemes: [
      {
        type: 'oauthbearertoken',
        name: 'Bearer token',
        description: 'A token of "sallyport directory token"',
        primary: true,
      },
    ],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base}/ServiceProviderConfig` },
  };
}

/** Most resources of one answer. */
export const MAX_RESULTS = 1_000;

/** Kinds of resources (RFC 7643, section 6). */
export function resourceTypes(base: string): readonly object[] {
  const of = (id: string, endpoint: string, schema: string, extensions: readonly object[]): object => ({
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],
    id,
    name: id,
    endpoint,
    schema,
    schemaExtensions: extensions,
    meta: { resourceType: 'ResourceType', location: `${base}/ResourceTypes/${id}` },
  });
  return [
    of('User', '/Users', URNS.user, [{ schema: URNS.enterprise, required: false }]),
    of('Group', '/Groups', URNS.group, []),
  ];
}

interface AttributeOptions {
  readonly type?: string;
  readonly multi?: boolean;
  readonly required?: boolean;
  readonly mutability?: string;
  readonly uniqueness?: string;
  readonly caseExact?: boolean;
  readonly sub?: readonly object[];
}

function attribute(name: string, options: AttributeOptions = {}): object {
  const {
    type = 'string',
    multi = false,
    required = false,
    mutability = 'readWrite',
    uniqueness = 'none',
    caseExact = false,
    sub,
  } = options;
  const shape = { name, type, multiValued: multi, required, mutability, uniqueness, caseExact, returned: 'default' };
  return sub ? { ...shape, subAttributes: sub } : shape;
}

const VALUES = ['value', 'display', 'type']
  .map((name) => attribute(name))
  .concat(attribute('primary', { type: 'boolean' }));

const USER_ATTRIBUTES: readonly object[] = [
  attribute('userName', { required: true, uniqueness: 'server' }),
  attribute('externalId', { caseExact: true }),
  attribute('name', {
    type: 'complex',
    sub: ['formatted', 'familyName', 'givenName', 'middleName'].map((name) => attribute(name)),
  }),
  ...['displayName', 'nickName', 'title', 'userType', 'preferredLanguage', 'locale', 'timezone'].map((name) =>
    attribute(name),
  ),
  attribute('active', { type: 'boolean' }),
  ...['emails', 'phoneNumbers', 'addresses', 'roles', 'entitlements'].map((name) =>
    attribute(name, { type: 'complex', multi: true, sub: VALUES }),
  ),
  attribute('groups', { type: 'complex', multi: true, mutability: 'readOnly', sub: VALUES }),
];

const GROUP_ATTRIBUTES: readonly object[] = [
  attribute('displayName', { required: true }),
  attribute('externalId', { caseExact: true }),
  attribute('members', {
    type: 'complex',
    multi: true,
    sub: [
      attribute('value', { mutability: 'immutable' }),
      attribute('$ref', { type: 'reference', mutability: 'immutable' }),
      attribute('display'),
    ],
  }),
];

const ENTERPRISE_ATTRIBUTES: readonly object[] = [
  ...['employeeNumber', 'costCenter', 'organization', 'division', 'department'].map((name) => attribute(name)),
  attribute('manager', {
    type: 'complex',
    sub: [attribute('value'), attribute('displayName', { mutability: 'readOnly' })],
  }),
];

/** Schemas of the resources (RFC 7643, section 7). */
export function scimSchemas(base: string): readonly { readonly id: string }[] {
  const of = (id: string, name: string, attributes: readonly object[]): { readonly id: string } => ({
    ...{ schemas: ['urn:ietf:params:scim:schemas:core:2.0:Schema'], id, name, description: name, attributes },
    ...{ meta: { resourceType: 'Schema', location: `${base}/Schemas/${id}` } },
  });
  return [
    of(URNS.user, 'User', USER_ATTRIBUTES),
    of(URNS.group, 'Group', GROUP_ATTRIBUTES),
    of(URNS.enterprise, 'EnterpriseUser', ENTERPRISE_ATTRIBUTES),
  ];
}
