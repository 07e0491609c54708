export { AuditView } from './admin/audit.ts';
export { BindingView } from './admin/bindings.ts';
export {
  DirectoryGroupView,
  DirectoryInput,
  DirectoryTokenInput,
  DirectoryTokenView,
  DirectoryView,
  FindingView,
  GroupMapInput,
  LdapSettings,
  MigrationInput,
  MigrationView,
  OidcSettings,
  SyncInput,
  SyncProgress,
  SyncQuestion,
  SyncReport,
} from './admin/directories.ts';
export { CodeInput, CodeView, InstallationView } from './admin/enrolment.ts';
export { GroupView } from './admin/groups.ts';
export {
  OperatorCredential,
  OperatorEnded,
  OperatorLogin,
  OperatorOidcLogin,
  OperatorProvider,
  OperatorView,
} from './admin/operators.ts';
export { PolicyChange, PolicyInput, PolicyView } from './admin/policies.ts';
export { ProblemView } from './admin/problem.ts';
export { JoinTokenInput, JoinTokenView, ProxyRevocationView, ProxyView } from './admin/proxies.ts';
export { HandshakeKeysView, RealmSettings, RealmSettingsPatch } from './admin/realm.ts';
export { ResourceChange, ResourceInput, ResourcesInput, ResourcesPlan, ResourceView } from './admin/resources.ts';
export { RevocationInput, RevocationRowView, RevocationView } from './admin/revocations.ts';
export { SessionView } from './admin/sessions.ts';
export { SiteInput, SiteView } from './admin/sites.ts';
export { DatabaseView, JournalView, LogView, NodeView, StatusView } from './admin/status.ts';
export { FactorView, RightsView, User, UserInput, UserRename } from './admin/users.ts';
export { BackendReason, BackendTrouble, ResourceTrial, TriedBackend, TryBackend } from './backend-api.ts';
export { parseJson, parserOf } from './check.ts';
export { NamePattern, NameWords } from './fields.ts';
export {
  AccessRule,
  AuthorityText,
  Backend,
  ContextRule,
  Grant,
  ResourceGrant,
  RevocationEntry,
  RevocationKind,
} from './grant.ts';
export {
  AuthorizeAnswer,
  AuthorizeAnswers,
  AuthorizeBatch,
  AuthorizeRequest,
  Beat,
  BeatAnswer,
  BeginAnew,
  ControlMessage,
  JoinAnswer,
  JoinRequest,
  MAX_AUTHORIZATIONS,
  PROXY_PATHS,
  Push,
  ReauthorizeAnswer,
  ReauthorizeRequest,
  RelayAnswer,
  RelayRequest,
  RenewRequest,
  SiteMapAnswer,
} from './proxy-api.ts';
export { isText, Text } from './text.ts';
