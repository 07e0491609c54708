export { AppInput, AppLinkView, AppMinimum, AppView, ChannelDeviceView } from './admin/apps.ts';
export { AuditView } from './admin/audit.ts';
export {
  DirectoryGroupView,
  DirectoryInput,
  DirectoryTokenView,
  DirectoryView,
  FindingView,
  LdapSettings,
  MigrationView,
  OidcSettings,
  SyncInput,
  SyncProgress,
  SyncQuestion,
  SyncReport,
} from './admin/directories.ts';
export { CodeView } from './admin/enrolment.ts';
export { GroupView } from './admin/groups.ts';
export {
  OperatorCredential,
  OperatorOidcLogin,
  OperatorView,
} from './admin/operators.ts';
export { PLACE_FIELDS, PolicyChange, PolicyInput, PolicyView } from './admin/policies.ts';
export { ProxyRevocationView, ProxyView } from './admin/proxies.ts';
export { RealmSettings } from './admin/realm.ts';
export {
  AppVersionView,
  OfferedToView,
  PackageClaims,
  PackageView,
  ReleaseInput,
  ReleaseStandingView,
  ReleaseView,
  Rollout,
  RolloutChange,
} from './admin/releases.ts';
export { ResourceChange, ResourceInput, ResourcesInput, ResourcesPlan, ResourceView } from './admin/resources.ts';
export { RevocationView } from './admin/revocations.ts';
export { SiteDetails, SiteView } from './admin/sites.ts';
export {
  BackupTargetView,
  BackupView,
  CopyView,
  DatabaseView,
  JournalView,
  LogView,
  NodeView,
  SafeguardView,
  StatusView,
} from './admin/status.ts';
export { FactorView, RightsView, User } from './admin/users.ts';
export { BackendReason, BackendTrouble, ResourceTrial, TriedBackend, TryBackend } from './backend-api.ts';
export { parseJson, parserOf } from './check.ts';
export {
  AccessRule,
  AppPlatform,
  AttestedRule,
  Backend,
  ContextRule,
  EVIDENCE_LEVELS,
  EvidenceLevel,
  EvidenceVerdict,
  Grant,
  MAX_BLOCKED_VERSIONS,
  MAX_DELEGATED_CHARACTERS,
  ProvenFacts,
  ResourceGrant,
  RevocationEntry,
  RevocationKind,
  SPENT_EVIDENCE_MS,
} from './grant.ts';
export {
  AuthoriseAnswer,
  AuthoriseAnswers,
  AuthoriseBatch,
  AuthoriseRequest,
  Beat,
  BeatAnswer,
  BeginAnew,
  ChallengeAnswer,
  ChannelRequest,
  ControlMessage,
  EvidenceAnswer,
  EvidenceRequest,
  INSTALL_PREFIX,
  JoinAnswer,
  JoinRequest,
  KeptAnswer,
  KeptRequest,
  KeptRevocation,
  MAX_AUTHORIZATIONS,
  MAX_KEPT_AT_ONCE,
  MAX_RIGHTS_READ,
  PodJoinRequest,
  PROXY_PATHS,
  Push,
  ReauthoriseAnswer,
  ReauthoriseRequest,
  RelayAnswer,
  RelayRequest,
  RenewNow,
  RenewRequest,
  RevocationSeal,
  RightsAnswer,
  ShownRequest,
  SiteMapAnswer,
  SiteMapQuery,
} from './proxy-api.ts';
export { parseReason, REASON_LENGTH, REASON_WORDS } from './reason.ts';
export { isText } from './text.ts';
