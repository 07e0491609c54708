export {
  type AuditEvent,
  auditOrder,
  auditRefusal,
  listAudit,
  verifyAudit,
} from './audit.ts';
export { type AuditFilter, type AuditPage, searchAudit } from './audit-search.ts';
export { type AuditState, AuditWatch } from './audit-watch.ts';
export {
  ASSERTION_TTL_MS,
  type Authorisation,
  authorise,
  type BareGrant,
  type ChannelHolder,
  type HelloRequest,
  type NoRights,
  PolicyCache,
  reauthorise,
} from './authorise.ts';
export { openedBackend, shownBackend } from './backend-secrets.ts';
export { type Bus, type BusTopic, memoryBus, nextMessage } from './bus.ts';
export { type Change, change } from './change.ts';
export { type CodeHolder, findCodeHolder, type IssuedCode, isOurCode, issueCode } from './codes.ts';
export type { AccessContext, Actor, PasswordHasher } from './context.ts';
export type { CredentialChange } from './credentials.ts';
export type { DelegatedToken } from './delegated.ts';
export {
  type Account,
  type AccountAuthor,
  type AccountConflict,
  type AccountOutcome,
  applyAccounts,
  applyAccountsIn,
  changeAccounts,
  expireAccounts,
  placeAccounts,
  removeAccounts,
} from './directory/accounts.ts';
export {
  type AccountClaims,
  type BindingState,
  claimBinding,
  confirmBinding,
  listBindings,
  type NamedBinding,
  refuseBinding,
} from './directory/bindings.ts';
export {
  type DirectoryChange,
  findDirectoryByToken,
  getDirectory,
  type IssuedDirectoryToken,
  issueDirectoryToken,
  listDirectories,
  mergeState,
  putDirectory,
  removeDirectory,
  secretsOf,
} from './directory/directories.ts';
export {
  changeMembers,
  changeMembersIn,
  changeMembersOfMany,
  type MembershipChange,
  mapDirectoryGroup,
  membersOf,
  putDirectoryGroup,
  putDirectoryGroups,
  removeDirectoryGroup,
  removeDirectoryGroups,
  type SourceGroup,
  setAccountGroups,
} from './directory/groups.ts';
export { bindIdentity, findIdentity } from './directory/identities.ts';
export { endProviderSessions, type LoggedOut, type ProviderLogout } from './directory/logout.ts';
export {
  applyMigration,
  type MigrationConflict,
  type MigrationMapping,
  type MigrationPlan,
  planMigration,
  type RightsChange,
} from './directory/migration.ts';
export { explainRights, type GroupReason, type RightReason, type UserRights } from './directory/rights.ts';
export { accountsOf, type SignedIn, whoSignedIn } from './directory/sign-in.ts';
export { claimSync, endSync, keepClaim, type SyncRun, tellProgress } from './directory/sync-run.ts';
export {
  type CredentialCheck,
  type EnrolRequest,
  type EnrolResult,
  enrol,
  findInstallation,
  listInstallations,
  type NamedInstallation,
} from './enrolment.ts';
export { eraseSecrets } from './erasure.ts';
export { AccessError, type AccessErrorCode, StoreError, type StoreErrorCode } from './errors.ts';
export { type FactorChange, issueFactor, removeFactor, useFactor } from './factors.ts';
export { listSites, putSite } from './farm.ts';
export { EpochFence, fencedStore } from './fence.ts';
export { endHold, Hold, raiseLongestLease } from './hold.ts';
export { randomId } from './ids.ts';
export {
  type AwaitedEntry,
  type InForce,
  type Patience,
  untilHeadInForce,
  untilInForce,
  untilProxyGone,
  type WaitingNode,
} from './in-force.ts';
export {
  claimedByOther,
  epochsWithGaps,
  type Journal,
  type JournalContent,
  type JournalEntry,
  JournalError,
  type JournalErrorCode,
  journalDamaged,
  memoryJournal,
} from './journal.ts';
export { type JournalKeeper, NO_JOURNAL, settleJournal } from './journal-place.ts';
export { JournalWriter, openClaim } from './journal-writer.ts';
export { checkKeks, nextKekId } from './keks.ts';
export { createKeyring, type Keyring, kekOf, PURPOSES } from './keyring.ts';
export { type BeatRecord, type BeatResult, leaseHolderOf, leaseKeyOf, recordBeat } from './lease.ts';

export { LeaseWatch, type WaitingProxy } from './lease-watch.ts';
export { LOCKOUT, type Lockout, type LockoutLimits, lockoutWaitMs, memoryLockout } from './lockout.ts';
export { MemoryStore } from './memory-store.ts';
export { beginNewEpoch, closeRealm, type NewEpoch, type Restored } from './new-epoch.ts';
export {
  type FarmView,
  forgetInstances,
  NODE_SILENCE_MS,
  NodeWatch,
  type NodeWord,
  recordNode,
  removeNode,
} from './nodes.ts';
export {
  type Admission,
  admitOperator,
  breakGlassToken,
  findOperator,
  firstOperatorToken,
  inviteOperator,
  type OperatorAtWork,
  type OperatorSignIn,
  type OperatorToken,
  redeemOperatorToken,
  renewOperator,
} from './operator-tokens.ts';
export {
  type EndedOperators,
  endOperator,
  listOperators,
  type OperatorState,
  type OperatorView,
} from './operators.ts';
export {
  changePolicy,
  grantedResources,
  type PolicySet,
  type PutOptions,
  putPolicy,
  readPolicySet,
  removeRight,
} from './policies.ts';
export { memoryPresence, type Presence, type Sighting } from './presence.ts';
export {
  findProxy,
  isJoinToken,
  issueJoinToken,
  type JoinOrder,
  type JoinToken,
  listProxies,
  PROXY_KEPT_MS,
  type ProxyKey,
  proxyOfBeat,
  redeemJoinToken,
  renewProxy,
  revokeProxy,
} from './proxies.ts';
export { bumpMapVersion, ensureRealm, getRealm, settingsOf } from './realm.ts';
export {
  type HandshakeKeys,
  type HandshakePart,
  loadHandshakeKeys,
  loadRealmKeys,
  type MapKeys,
  publishHandshakeKey,
  type RealmKey,
  readMapKeys,
  replaceHandshakeKeys,
  retireHandshakeKeys,
  rewrapRealm,
  storeRealmKey,
} from './realm-keys.ts';
export { applyResources, changeResource, putResource } from './resources.ts';
export { type Swept, sweepEnded, trimAudit } from './retention.ts';
export {
  appendRevocation,
  entriesAfter,
  listRevocations,
  type Revocation,
  type RevocationQuery,
  revoke,
} from './revocation.ts';
export { type KeyCandidate, type KeySlot, keyCandidates, type RotationStep } from './rotation.ts';
export { type ForgedRow, sealedStore, sealRealm } from './sealed-store.ts';
export { endByDevice, endReplacedSessions, replacedSessions, tellDevice } from './session-end.ts';
export {
  type CheckedCredentials,
  createSession,
  type DirectorySignIn,
  isLive,
  listSessions,
  type NamedSession,
  type NewSession,
  type SessionRequest,
} from './sessions.ts';
export { changeSettings } from './settings.ts';
export type { OutBy } from './standing.ts';
export type { Page, RealmStore, RowLock, Selection, Table, Tables, Transaction, Urgency } from './store.ts';
export {
  type AuditRow,
  type ColumnType,
  type DirectoryGroupRow,
  type DirectoryKind,
  type DirectoryRow,
  type IdentityRow,
  type InstallationRow,
  type Json,
  type KeyPurpose,
  type LeaseRow,
  NEVER,
  type NodeRow,
  type OperatorOrigin,
  type OperatorRow,
  type OperatorTokenRow,
  type PolicyRow,
  type ProxyRow,
  type RealmRow,
  type ResourceRow,
  type RevocationRow,
  type Rows,
  type SessionRow,
  type SiteRow,
  TABLE_NAMES,
  TABLES,
  type TableName,
  type TableShape,
  type UserRow,
} from './tables.ts';
export { memoryThrottle, type Throttle } from './throttle.ts';
export { removeUser, renameUser } from './user-ends.ts';
export {
  disableUser,
  enableUser,
  findUser,
  type GroupWithMembers,
  listGroups,
  listUsers,
  putGroup,
  putUser,
  type UserChange,
  type UserWithGroups,
  verifyPassword,
} from './users.ts';
