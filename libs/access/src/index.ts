export { adoptApps } from './apps/adopt.ts';
export { appIdOf, isUpdates } from './apps/app-rule.ts';
export { getApp, listApps, putApp, removeApp } from './apps/apps.ts';
export { blockedWords } from './apps/blocked-versions.ts';
export { rolloutsOf } from './apps/channels.ts';
export { type KeptPackages, livePackages, sweepPackages } from './apps/kept-packages.ts';
export { endPublisher, findPublisher, issuePublisher, listPublishers } from './apps/publishers.ts';
export { noteReport, type ReleaseStanding, releaseStandings } from './apps/release-reports.ts';
export {
  approveRelease,
  changeRollout,
  checkPackage,
  draftWith,
  listReleases,
  proposeRelease,
  releaseDocument,
  withdrawRelease,
} from './apps/releases.ts';
export type { AppRow, PublisherRow, ReleaseRow, UpdateFileRow } from './apps/rows.ts';
export { type UpdateEnds, updateEnds, updateWords } from './apps/update-ends.ts';
export {
  findUpdateRoot,
  type OnlineKey,
  putRoot,
  readUpdateFile,
} from './apps/update-files.ts';
export type {
  Attestation,
  AttestedKey,
  EvidenceClaim,
  EvidenceFault,
  Proven,
  Unproven,
} from './attestation/attestation.ts';
export { makeChallenge } from './attestation/challenge.ts';
export { type EvidenceOutcome, type EvidenceParts, takeEvidence, type VerifyProof } from './attestation/evidence.ts';
export {
  backupWords,
  newestVerified,
  verifiedAgeMs,
} from './backup/health.ts';
export type {
  BackupTargetRow,
  BackupTargetState,
  SafeguardKind,
  SafeguardRow,
  VerifiedExport,
} from './backup/rows.ts';
export {
  type ArchiveProof,
  forgetSafeguard,
  listSafeguards,
  missedSafeguards,
  noteArchiveProof,
  noteCopy,
  noteStandbys,
  safeguardWords,
} from './backup/safeguards.ts';
export {
  type BackupFinding,
  type BackupRhythm,
  type BackupTurn,
  backupTargetsNow,
  backupWorkDue,
  claimBackups,
  endBackupTurn,
  giveBackBackupTurn,
  keepBackupTurn,
} from './backup/turns.ts';
export {
  type Account,
  type AccountAuthor,
  type AccountOutcome,
  applyAccounts,
  expireAccounts,
  placeAccounts,
  removeAccounts,
} from './directory/accounts.ts';
export { admitAtProvider, type ProviderSignIn } from './directory/admission.ts';
export {
  type AccountClaims,
  type AccountVerdict,
  confirmBinding,
  listBindings,
  type NamedBinding,
  refuseBinding,
  settleAccount,
} from './directory/bindings.ts';
export {
  type DirectoryChange,
  directoriesNow,
  findDirectory,
  findDirectoryByToken,
  getDirectory,
  type IssuedDirectoryToken,
  issueDirectoryToken,
  listDirectories,
  putDirectory,
  removeDirectory,
  secretsOf,
} from './directory/directories.ts';
export {
  addAccount,
  dropGroup,
  editAccount,
  type GroupPart,
  type PushedAccount,
  type WrittenAccount,
  type WrittenGroup,
  writeGroupPart,
} from './directory/edits.ts';
export {
  changeMembers,
  type MembershipChange,
  mapDirectoryGroup,
  membersOf,
  putDirectoryGroups,
  removeDirectoryGroups,
  type SourceGroup,
  setAccountGroups,
} from './directory/groups.ts';
export {
  type AccountListing,
  type AccountWithGroups,
  findAccount,
  findSourceGroup,
  type GroupListing,
  type GroupWithMember,
  knownSubjects,
  type Listed,
  type Listing,
  listAccounts,
  listMembers,
  listSourceGroups,
} from './directory/listing.ts';
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
export type {
  AccountConflict,
  DirectoryGroupRow,
  DirectoryRow,
  DirectoryState,
  IdentityRow,
  SyncCursor,
} from './directory/rows.ts';
export { noteProvider, type ProviderAnswer } from './directory/state.ts';
export {
  claimSync,
  endSync,
  failSync,
  isSyncDue,
  keepClaim,
  type SyncOutcome,
  type SyncRun,
  tellProgress,
} from './directory/sync-run.ts';
export { type SourceGroupView, viewDirectories, viewDirectory, viewSourceGroups } from './directory/view.ts';
export {
  type FarmView,
  forgetInstances,
  listNodes,
  NODE_SILENCE_MS,
  type NodeReport,
  NodeWatch,
  recordNode,
  removeNode,
} from './farm/nodes.ts';
export { joinPod, type Pod, podNames } from './farm/pods.ts';
export {
  findProxy,
  isJoinToken,
  issueJoinToken,
  type JoinOrder,
  type JoinToken,
  listProxies,
  listProxiesWithLeases,
  moveProxy,
  PROXY_KEPT_MS,
  type ProxiesWithLeases,
  type ProxyKey,
  proxiesServing,
  proxyOfBeat,
  redeemJoinToken,
  renewProxy,
  revokeProxy,
} from './farm/proxies.ts';
export type { NodeRow, ProxyRow, SeenCertificate, SeenCertificatesRow, SiteRow } from './farm/rows.ts';
export {
  type CertificateHolder,
  listCertificates,
  recordCertificates,
} from './farm/seen-certificates.ts';
export { Sightings } from './farm/sightings.ts';
export { type ProviderEntry, providerEntries, readSiteMap, type SiteMapContent } from './farm/site-map.ts';
export {
  adoptSiteLists,
  drainSite,
  listSitePage,
  listSites,
  putSite,
  removeSite,
  resourcesAt,
  type SiteOrder,
  type SitesWithProxies,
} from './farm/sites.ts';
export type { FreeAccount } from './identity/identities.ts';
export { type SignedIn, whoSignedIn } from './identity/provider-accounts.ts';
export { type CopyPlace, type JournalCopy, openCopy, sealCopy } from './journal/copies.ts';
export {
  claimedByOther,
  epochsWithGaps,
  type Journal,
  type JournalContent,
  type JournalEntry,
  JournalError,
  type JournalErrorCode,
  journalDamaged,
  journalDiffers,
  lastOf,
  memoryJournal,
  refuseOthers,
} from './journal/journal.ts';
export { checkLogHolds, OLDER_THAN_JOURNAL } from './journal/journal-check.ts';
export { type JournalKeeper, NO_JOURNAL, settleJournal } from './journal/journal-place.ts';
export { JournalWriter, openClaim } from './journal/journal-writer.ts';
export { eraseSecrets } from './keys/erasure.ts';
export {
  type EscrowProven,
  endEscrow,
  fitsKeyring,
  listEscrows,
  type NewEscrow,
  noteEscrowProof,
  recordEscrow,
} from './keys/escrow.ts';
export {
  type AwakeNodes,
  KekNode,
  type KekNodeParts,
  type KekShelf,
  type MissingKek,
  takenBack,
} from './keys/kek-node.ts';
export {
  type BegunTurn,
  beginKekTurn,
  forgetKek,
  isUnderWay,
  type KekView,
  listKeks,
  type TurnWait,
  turnWaits,
} from './keys/kek-turn.ts';
export {
  beginKeyChange,
  type KeyChangeTimes,
  type LastingKeyState,
  type LastingPurpose,
  listLastingKeys,
  listRootParts,
  type MakeNextKey,
  stepKeyChanges,
} from './keys/lasting-keys.ts';
export {
  ensureRealmKey,
  type HandshakeKeys,
  loadHandshakeKeys,
  loadRealmKeys,
  publishHandshakeKey,
  type RealmKey,
  type RealmKeyOf,
  renewHandshakeKeys,
  replaceHandshakeKeys,
} from './keys/realm-keys.ts';
export { type KeyCandidate, type KeySlot, keyCandidates, type RotationStep } from './keys/rotation.ts';
export type { EscrowOfficer, EscrowRow, HandshakePart, KeyPurpose } from './keys/rows.ts';
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
} from './operators/operator-tokens.ts';
export {
  type EndedOperators,
  endOperator,
  listOperators,
  type OperatorStanding,
  type OperatorState,
} from './operators/operators.ts';
export type { OperatorOrigin, OperatorRow, OperatorTokenRow } from './operators/rows.ts';
export { type CodeHolder, findCodeHolder, type IssuedCode, isOurCode, issueCode } from './people/codes.ts';
export type { CredentialChange } from './people/credentials.ts';
export { type FactorChange, issueFactor, removeFactor, useFactor } from './people/factors.ts';
export type { UserRow } from './people/rows.ts';
export { removeUser, renameUser } from './people/user-ends.ts';
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
} from './people/users.ts';
export { type AuditEvent, auditOrder, auditRefusal, listAudit, verifyAudit } from './realm/audit.ts';
export { type AuditFilter, type AuditPage, searchAudit } from './realm/audit-search.ts';
export { type AuditState, AuditWatch } from './realm/audit-watch.ts';
export { type Change, change } from './realm/change.ts';
export type { AccessContext, Actor, PasswordHasher } from './realm/context.ts';
export { countRealm, isAppKnown, type RealmCounts } from './realm/counts.ts';
export { randomId } from './realm/ids.ts';
export { DEFAULT_LEASE_MS, revocationBoundMs } from './realm/lease-time.ts';
export { type FoundLife, type KnownLife, lifeRefusal, witnessRefusal } from './realm/life.ts';
export {
  bumpMapVersion,
  ensureRealm,
  getRealm,
  hasRealm,
  type LogPlaces,
  readRealm,
  readTime,
  type SeenRealm,
  settingsOf,
  settleRealm,
} from './realm/realm.ts';
export { type Swept, sweepEnded, trimAudit } from './realm/retention.ts';
export { appendRevocation, type Revocation } from './realm/revocation-log.ts';
export type { AuditRow, RealmRow } from './realm/rows.ts';
export { changeSettings } from './realm/settings.ts';
export { type DatabaseWitness, openWitness, sealWitness } from './realm/witness.ts';
export { type BroughtBack, takeBack } from './revocation/brought-back.ts';
export { endHold, type HeldRealm, Hold, type HoldReason, isHeld, raiseLongestLease } from './revocation/hold.ts';
export {
  type AwaitedEntry,
  type Patience,
  untilHeadInForce,
  untilInForce,
  untilProxyGone,
  type Waited,
  type WaitingNode,
} from './revocation/in-force.ts';
export { type BeatRecord, type BeatResult, leaseHolderOf, leaseKeyOf, recordBeat } from './revocation/lease.ts';
export { LeaseWatch, type WaitingProxy } from './revocation/lease-watch.ts';
export { LifeGuard, type LifeMemory, type LifeParts } from './revocation/life-guard.ts';
export { checkLogs } from './revocation/log-check.ts';
export { beginNewEpoch, closeRealm, type NewEpoch, type Restored, type SeenLog } from './revocation/new-epoch.ts';
export type { HostChange } from './revocation/renamed-hosts.ts';
export { faultOfKeys, faultOfRestored, type RealmHeads, readHeads } from './revocation/restored-realm.ts';
export {
  entriesAfter,
  type LogPiece,
  listRevocations,
  logAfter,
  type RevocationQuery,
  readEntries,
  revoke,
} from './revocation/revocation.ts';
export type { LeaseRow, RevocationRow } from './revocation/rows.ts';
export type { OutBy } from './revocation/standing.ts';
export {
  closeForTakeover,
  confirmClosed,
  continueEpoch,
  LIFE_EVENTS,
  planTakeover,
  readSiteLife,
  type SiteLife,
  siteLifeOf,
  type TakeoverFacts,
  type TakeoverPlan,
} from './revocation/takeover.ts';
export { openedBackend, shownBackend } from './rights/backend-secrets.ts';
export {
  changePolicy,
  grantedResources,
  listPolicies,
  type PolicySet,
  type PutOptions,
  putPolicy,
  readPolicySet,
  removeRight,
} from './rights/policies.ts';
export { PolicyCache } from './rights/policy-cache.ts';
export { applyResources, changeResource, findResource, listResources, putResource } from './rights/resources.ts';
export type { PolicyRow, ResourceRow } from './rights/rows.ts';
export { checkKeks, kekOfRealm } from './sealing/keks.ts';
export { createKeyring, type KekSet, type Keyring, kekOf, LiveKeyring, PURPOSES } from './sealing/keyring.ts';
export { type ForgedRow, genuineRows, sealedStore, sealRealm } from './sealing/sealed-store.ts';
export { type AppVersion, appVersions } from './session/app-versions.ts';
export {
  ASSERTION_TTL_MS,
  type Authorisation,
  authorise,
  type ChannelHolder,
  findOpenChannel,
  type HelloDoubt,
  type HelloRequest,
  type NoRights,
  type OpenChannel,
  type ReadRights,
  reauthorise,
} from './session/authorise.ts';
export { type ChannelDevice, listChannelDevices, putOnChannel, takeOffChannel } from './session/channel-devices.ts';
export { type DelegatedToken, type Delegation, delegationsOf } from './session/delegated.ts';
export {
  type CredentialCheck,
  type EnrolRequest,
  type EnrolResult,
  enrol,
  listInstallations,
  type NamedInstallation,
} from './session/enrolment.ts';
export {
  claimInstallLink,
  findInstallLink,
  type IssuedInstallLink,
  isClaimGood,
  issueInstallLink,
  issueOwnInstallLink,
  type LinkedApp,
  readInstallClaim,
} from './session/install-links.ts';
export { type OfferedTo, offeredTo } from './session/offered-to.ts';
export {
  type CatalogueEntry,
  catalogueFor,
  offerFor,
  ownRelease,
  releaseForDevice,
  type UpdateAsker,
  type UpdateOffer,
  type WantedRelease,
} from './session/offers.ts';
export { noteRefusedVersion, noteRevokedVersion, noteServedVersion } from './session/refused-versions.ts';
export type { InstallationRow, PublicJwk, SessionRow } from './session/rows.ts';
export { endByDevice, endReplacedSessions, replacedSessions, tellDevice } from './session/session-end.ts';
export { isOurSession, newSessionId } from './session/session-ids.ts';
export {
  type CheckedCredentials,
  createSession,
  type DirectorySignIn,
  isLive,
  listSessions,
  type NamedSession,
  type NewSession,
  type SessionRequest,
} from './session/sessions.ts';
export { findSigningDevice, readSigningPlace, type SigningDevice, type SigningPlace } from './session/signing.ts';
export { type Bus, type BusTopic, memoryBus, nextMessage } from './shared/bus.ts';
export { LOCKOUT, type Lockout, type LockoutLimits, lockoutWaitMs, memoryLockout } from './shared/lockout.ts';
export { memoryPresence, type Presence, type Sighting } from './shared/presence.ts';
export { memoryThrottle, type Throttle } from './shared/throttle.ts';
export { AccessError, type AccessErrorCode, StoreError, type StoreErrorCode } from './store/errors.ts';
export { EpochFence, fencedStore } from './store/fence.ts';
export { missing } from './store/missing.ts';
export type { ListPage } from './store/pages.ts';
export { type Json, NEVER } from './store/shape.ts';
export type { RealmStore } from './store/store.ts';
