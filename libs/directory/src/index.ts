export type { Connector, Finding, PasswordOutcome } from './connector.ts';
export { DirectoryError, type DirectoryErrorCode } from './errors.ts';
export { LdapConnector } from './ldap/connector.ts';
export { LdapSync, type SyncOrder, type SyncResult } from './ldap/sync.ts';
export {
  type AuthorizationCode,
  type ExchangedToken,
  type LogoutOrder,
  OidcConnector,
  type OidcSignIn,
} from './oidc/connector.ts';
export { type Claims, type TokenDemands, verifyIdToken, verifyLogoutToken } from './oidc/tokens.ts';
export { MAX_RESULTS, resourceTypes, scimSchemas, serviceProviderConfig } from './scim/discovery.ts';
export { ScimError, type ScimType } from './scim/errors.ts';
export {
  type AttributePath,
  comparedTexts,
  costOf,
  equalText,
  isObject,
  matchesFilter,
  mentions,
  parseScimFilter,
  type ScimFilter,
  type ScimObject,
  type ScimValue,
} from './scim/filter.ts';
export { parseJsonInTurns } from './scim/json.ts';
export { Pace } from './scim/pace.ts';
export {
  applyPatch,
  type GroupPatch,
  GroupPatchReader,
  MAX_GROUP_OPERATIONS,
  memberIds,
  type PatchOperation,
  type PatchPath,
  parseOperation,
  parsePatch,
  patchOperations,
  splitGroupPatch,
} from './scim/patch.ts';
export { projected, readScimGroup, readScimUser, type ScimGroup, type ScimUser, URNS } from './scim/resources.ts';
