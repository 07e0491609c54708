import Type, { type Static, type TNull, type TSchema, type TUnion } from 'typebox';
import { AuthorityText, Backend, ContextRule, Methods, Paths, RevocationKind, Timeouts } from './grant.ts';
import { Text } from './text.ts';

const CLOSED = { additionalProperties: false } as const;
/** What a name looks like, for people. */
export const NameWords = 'a name of 1 to 64 letters a-z, digits and . _ @ -, with a letter or digit at both ends';
/** Names of users, groups, resources, policies and sites. */
export const NamePattern = '^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$';
const Name = Type.String({ pattern: NamePattern, description: NameWords });
const Names = Type.Array(Name, { maxItems: 256 });

/** Why an operator does something; goes into the audit log. */
const Reason = Text({ minLength: 3, maxLength: 500 });
const Time = Type.Integer({ description: 'epoch ms' });
const OptionalTime = Type.Union([Time, Type.Null()]);

export const UserInput = Type.Object(
  {
    displayName: Type.Optional(Text({ maxLength: 128 })),
    password: Type.Optional(Type.String({ minLength: 8, maxLength: 256 })),
    groups: Type.Optional(Names),
    /** Whether sessions go on after a new password; they end otherwise. */
    keepSessions: Type.Optional(Type.Boolean()),
    /** A new user of an OpenID provider that does not push its users: the first sign-in with a code binds the account. */
    directory: Type.Optional(Name),
    /** What their account there is called: login, verified mail address or id. Absent: like the user. */
    account: Type.Optional(Text({ minLength: 1, maxLength: 256 })),
  },
  { ...CLOSED, $id: 'UserInput' },
);
export type UserInput = Static<typeof UserInput>;

export const BindingView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    directory: Type.String(),
    subject: Type.String(),
    login: Type.String(),
    /** Empty when the provider has verified none. */
    email: Type.String(),
    createdAt: Time,
  },
  { ...CLOSED, $id: 'Binding' },
);
export type BindingView = Static<typeof BindingView>;

export const UserRename = Type.Object({ name: Name }, { ...CLOSED, $id: 'UserRename' });
export type UserRename = Static<typeof UserRename>;

export const User = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    displayName: Type.String(),
    enabled: Type.Boolean(),
    /** Where the user comes from and signs in; empty for a local one. */
    directory: Type.String(),
    groups: Type.Array(Type.String()),
    createdAt: Time,
  },
  { ...CLOSED, $id: 'User' },
);
export type User = Static<typeof User>;

export const GroupView = Type.Object(
  {
    name: Type.String(),
    count: Type.Integer(),
    /** Names of the first hundred. */
    members: Type.Array(Type.String()),
    createdAt: Time,
  },
  { ...CLOSED, $id: 'Group' },
);
export type GroupView = Static<typeof GroupView>;

export const ResourceInput = Type.Object(
  {
    kind: Type.Union([Type.Literal('http'), Type.Literal('tcp')]),
    authority: AuthorityText,
    backend: Backend,
    title: Type.Optional(Text({ maxLength: 128 })),
  },
  { ...CLOSED, $id: 'ResourceInput' },
);
export type ResourceInput = Static<typeof ResourceInput>;

/** What null takes away, and what is not named stays (RFC 7396). */
function orNull<Schema extends TSchema>(schema: Schema): TUnion<[Schema, TNull]> {
  return Type.Union([schema, Type.Null()], { description: 'what it is, or null to take it away' });
}

const { url, weight, servers, health, networks, ca, readsContent, xForwarded, passFields, delegate } =
  Backend.properties;
const { http, sticky, prefix, host, clientCertificate, basic, publicScheme, paths, fields } = Backend.properties;
const { webSocketMessageBytes } = Backend.properties;

const { connectMs, answerMs, idleMs } = Timeouts.properties;
const TimeoutsChange = Type.Object(
  {
    connectMs: Type.Optional(orNull(connectMs)),
    answerMs: Type.Optional(orNull(answerMs)),
    idleMs: Type.Optional(orNull(idleMs)),
  },
  CLOSED,
);

/** A change of a resource: what it does not name stays as it is. */
export const ResourceChange = Type.Object(
  {
    kind: Type.Optional(ResourceInput.properties.kind),
    authority: Type.Optional(ResourceInput.properties.authority),
    title: Type.Optional(ResourceInput.properties.title),
    backend: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(url),
          weight: Type.Optional(orNull(weight)),
          servers: Type.Optional(orNull(servers)),
          http: Type.Optional(orNull(http)),
          sticky: Type.Optional(orNull(sticky)),
          health: Type.Optional(orNull(Type.Partial(health, CLOSED))),
          networks: Type.Optional(networks),
          ca: Type.Optional(orNull(ca)),
          readsContent: Type.Optional(orNull(readsContent)),
          xForwarded: Type.Optional(orNull(xForwarded)),
          publicScheme: Type.Optional(orNull(publicScheme)),
          passFields: Type.Optional(orNull(passFields)),
          prefix: Type.Optional(orNull(prefix)),
          host: Type.Optional(orNull(host)),
          clientCertificate: Type.Optional(orNull(Type.Partial(clientCertificate, CLOSED))),
          basic: Type.Optional(orNull(Type.Partial(basic, CLOSED))),
          paths: Type.Optional(orNull(paths)),
          fields: Type.Optional(orNull(fields)),
          delegate: Type.Optional(orNull(delegate)),
          timeouts: Type.Optional(orNull(TimeoutsChange)),
          webSocketMessageBytes: Type.Optional(orNull(webSocketMessageBytes)),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'ResourceChange' },
);
export type ResourceChange = Static<typeof ResourceChange>;

export const ResourceView = Type.Object(
  { name: Type.String(), ...ResourceInput.properties, title: Type.String() },
  { ...CLOSED, $id: 'Resource' },
);
export type ResourceView = Static<typeof ResourceView>;

/** All resources that a file names, as they shall be. A secret that is not given stays as it is. */
export const ResourcesInput = Type.Object(
  {
    resources: Type.Array(Type.Object({ name: Name, ...ResourceInput.properties }, CLOSED), { maxItems: 4_096 }),
    /** Whether resources that are not named go. */
    prune: Type.Optional(Type.Boolean()),
    /** Only say what would change. */
    dryRun: Type.Optional(Type.Boolean()),
    /** Of a plan: nothing is done when rights have changed since. */
    basis: Type.Optional(Type.String({ maxLength: 128 })),
  },
  { ...CLOSED, $id: 'ResourcesInput' },
);
export type ResourcesInput = Static<typeof ResourcesInput>;

/** What a file changes, or has changed: of each resource which settings, by name and never by value. */
export const ResourcesPlan = Type.Object(
  {
    changes: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          what: Type.Union([Type.Literal('add'), Type.Literal('change'), Type.Literal('remove'), Type.Literal('same')]),
          settings: Type.Array(Type.String()),
        },
        CLOSED,
      ),
    ),
    basis: Type.String(),
  },
  { ...CLOSED, $id: 'ResourcesPlan' },
);
export type ResourcesPlan = Static<typeof ResourcesPlan>;

export const PolicyInput = Type.Object(
  {
    groups: Names,
    resources: Names,
    context: ContextRule,
    methods: Type.Optional(Methods),
    paths: Type.Optional(Paths),
  },
  { ...CLOSED, $id: 'PolicyInput' },
);
export type PolicyInput = Static<typeof PolicyInput>;

/** A change of a policy: what it does not name stays as it is; lists are replaced, or added to and taken from. */
export const PolicyChange = Type.Object(
  {
    groups: Type.Optional(Names),
    addGroups: Type.Optional(Names),
    removeGroups: Type.Optional(Names),
    resources: Type.Optional(Names),
    addResources: Type.Optional(Names),
    removeResources: Type.Optional(Names),
    context: Type.Optional(ContextRule),
    methods: Type.Optional(orNull(PolicyInput.properties.methods)),
    paths: Type.Optional(orNull(PolicyInput.properties.paths)),
  },
  { ...CLOSED, $id: 'PolicyChange' },
);
export type PolicyChange = Static<typeof PolicyChange>;

export const PolicyView = Type.Object({ name: Type.String(), ...PolicyInput.properties }, { ...CLOSED, $id: 'Policy' });
export type PolicyView = Static<typeof PolicyView>;

export const CodeInput = Type.Object(
  { user: Name, ttlMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 })) },
  { ...CLOSED, $id: 'CodeInput' },
);
export type CodeInput = Static<typeof CodeInput>;

export const CodeView = Type.Object(
  { id: Type.String(), user: Type.String(), code: Type.String(), link: Type.String(), expiresAt: Time },
  { ...CLOSED, $id: 'Code' },
);
export type CodeView = Static<typeof CodeView>;

export const InstallationView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    status: Type.String(),
    generation: Type.Integer(),
    app: Type.String(),
    model: Type.String(),
    createdAt: Time,
    lastSeenAt: OptionalTime,
  },
  { ...CLOSED, $id: 'Installation' },
);
export type InstallationView = Static<typeof InstallationView>;

export const SessionView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    installation: Type.String(),
    app: Type.String(),
    createdAt: Time,
    expiresAt: Time,
    endedAt: OptionalTime,
    endReason: Type.Union([Type.String(), Type.Null()]),
    /** Number of the last channel that was authorised; not how many there are. */
    lastChannel: Type.Integer(),
    /** Where and when it was last seen; null when nobody remembers. */
    seenAt: OptionalTime,
    proxy: Type.Union([Type.String(), Type.Null()]),
  },
  { ...CLOSED, $id: 'Session' },
);
export type SessionView = Static<typeof SessionView>;

/** What an operator revokes by this call. A Proxy has one of its own, which waits until nothing of it serves. */
const RevocableKind = Type.Union([
  Type.Literal('session'),
  Type.Literal('installation'),
  Type.Literal('user'),
  Type.Literal('app'),
  Type.Literal('before'),
  Type.Literal('lift'),
  Type.Literal('rights'),
]);

export const RevocationInput = Type.Object(
  { kind: RevocableKind, subject: Text({ minLength: 1, maxLength: 256 }), reason: Reason },
  { ...CLOSED, $id: 'RevocationInput' },
);
export type RevocationInput = Static<typeof RevocationInput>;

/** For whom a revocation waits. */
const Waiting = Type.Object(
  {
    proxy: Type.String(),
    /** Which of its processes. */
    instance: Type.String(),
    applied: Type.Integer(),
    untilAt: Time,
    remainingMs: Type.Integer(),
  },
  CLOSED,
);

export const RevocationView = Type.Object(
  {
    index: Type.Integer(),
    kind: RevocationKind,
    subject: Type.String(),
    reason: Type.String(),
    at: Time,
    inForce: Type.Boolean(),
    waitedMs: Type.Integer(),
    waitingFor: Type.Array(Waiting),
    /** Perhaps not what was meant, in words. */
    doubt: Type.Optional(Type.String()),
  },
  { ...CLOSED, $id: 'Revocation' },
);
export type RevocationView = Static<typeof RevocationView>;

/** An entry of the revocation log as an operator reads it. */
export const RevocationRowView = Type.Object(
  {
    index: Type.Integer(),
    kind: RevocationKind,
    subject: Type.String(),
    reason: Type.String(),
    actor: Type.String(),
    at: Time,
    /** Of an app: it was lifted since. */
    lifted: Type.Boolean(),
  },
  { ...CLOSED, $id: 'RevocationRow' },
);
export type RevocationRowView = Static<typeof RevocationRowView>;

/** A Proxy that was revoked: over when none of its processes may hold a lease any more. */
export const ProxyRevocationView = Type.Object(
  { done: Type.Boolean(), inForce: Type.Boolean(), waitedMs: Type.Integer(), waitingFor: Type.Array(Waiting) },
  { ...CLOSED, $id: 'ProxyRevocation' },
);
export type ProxyRevocationView = Static<typeof ProxyRevocationView>;

export const AuditView = Type.Object(
  {
    seq: Type.Integer(),
    at: Time,
    actor: Type.String(),
    action: Type.String(),
    subject: Type.String(),
    outcome: Type.String(),
    reason: Type.String(),
    hash: Type.String(),
  },
  { ...CLOSED, $id: 'AuditEvent' },
);
export type AuditView = Static<typeof AuditView>;

export const ProxyView = Type.Object(
  {
    name: Type.String(),
    site: Type.String(),
    joinedAt: Time,
    revokedAt: OptionalTime,
    applied: Type.Integer(),
    leaseUntil: Time,
    live: Type.Boolean(),
    channels: Type.Integer(),
    /** The Security node it beats at. */
    node: Type.String(),
    /** Its processes that may hold a lease. */
    instances: Type.Array(
      Type.Object(
        {
          instance: Type.String(),
          applied: Type.Integer(),
          leaseUntil: Time,
          channels: Type.Integer(),
          node: Type.String(),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'Proxy' },
);
export type ProxyView = Static<typeof ProxyView>;

/** A Security node, as the asked node sees it. */
export const NodeView = Type.Object(
  {
    id: Type.String(),
    state: Type.Union([Type.Literal('up'), Type.Literal('draining'), Type.Literal('silent')]),
    version: Type.String(),
    proxyUrl: Type.String(),
    adminUrl: Type.String(),
    startedAt: Time,
    /** Ms since its last sign of life. */
    silentMs: Type.Integer(),
    /** Its wall clock less the database's, ms. */
    clockOffsetMs: Type.Integer(),
  },
  { ...CLOSED, $id: 'Node' },
);
export type NodeView = Static<typeof NodeView>;

/** A server of the database, as the primary sees it. */
export const DatabaseView = Type.Object(
  {
    name: Type.String(),
    role: Type.Union([Type.Literal('primary'), Type.Literal('standby')]),
    /** How a commit waits for it: `quorum`, `sync`, `potential` or `async`; empty for the primary. */
    sync: Type.String(),
    state: Type.String(),
    /** What it has not written yet of what the primary has, in bytes and in ms. */
    lagBytes: Type.Integer(),
    lagMs: Type.Integer(),
  },
  { ...CLOSED, $id: 'DatabaseServer' },
);
export type DatabaseView = Static<typeof DatabaseView>;

/** The bus between nodes. */
const BusView = Type.Object(
  {
    kind: Type.Union([Type.Literal('in-process'), Type.Literal('redis')]),
    connected: Type.Boolean(),
    server: Type.String(),
  },
  { ...CLOSED, $id: 'Bus' },
);

/** Where revocations are kept outside of the database, as the node that answers has last seen it. */
export const JournalView = Type.Object(
  {
    /** In words: a folder, or the servers of a PostgreSQL. */
    place: Type.String(),
    /** The epoch that may write to it; absent before the first claim, and while it was never reached. */
    claimedBy: Type.Optional(Type.String()),
    /** True when that is the epoch of this database: a revocation that the journal does not take is not in force. */
    ours: Type.Boolean(),
    /** Ms since it last answered; absent when it never did. */
    silentMs: Type.Optional(Type.Integer()),
    /** Last entry of this epoch that it holds, with all before it. */
    written: Type.Integer(),
  },
  { ...CLOSED, $id: 'Journal' },
);
export type JournalView = Static<typeof JournalView>;

/** The life of the revocation log, and what is waited for in it. */
export const LogView = Type.Object(
  {
    /** One uninterrupted life of the log; a restore draws another one. */
    epoch: Type.String(),
    /** Epochs that it takes the place of. */
    supersedes: Type.Array(Type.String()),
    /** Counts up with each revocation of everything. */
    generation: Type.Integer(),
    /** Ms until leases from before a restore are over: nothing is in force sooner. 0 for no hold. */
    holdMs: Type.Integer(),
    longestLeaseMs: Type.Integer(),
    /** Processes of Proxies that may serve without having the newest entry in force. */
    waitingFor: Type.Array(Waiting),
    /** Absent where there is none: a restore then loses what was revoked since the backup. */
    journal: Type.Optional(JournalView),
  },
  { ...CLOSED, $id: 'Log' },
);
export type LogView = Static<typeof LogView>;

export const StatusView = Type.Object(
  {
    realm: Type.String(),
    version: Type.String(),
    database: Type.String(),
    databaseServers: Type.Array(DatabaseView),
    bus: BusView,
    /** The node that answers. */
    node: Type.String(),
    nodes: Type.Array(NodeView),
    /** What works worse than it could, in words; empty when everything is well. */
    degraded: Type.Array(Type.String()),
    leaseMs: Type.Integer(),
    startedAt: Time,
    head: Type.Integer(),
    log: LogView,
    liveSessions: Type.Integer(),
    /** Those that are not revoked. */
    installations: Type.Integer(),
    users: Type.Integer(),
    /** When sessions, installations and users were counted: a moment ago, or earlier where counting takes long. */
    countedAt: Time,
    proxies: Type.Array(ProxyView),
    /** Events so far, up to which one this node has checked the chain, and whether all of that fits. */
    audit: Type.Object({ events: Type.Integer(), verified: Type.Integer(), intact: Type.Boolean() }, CLOSED),
  },
  { ...CLOSED, $id: 'Status' },
);
export type StatusView = Static<typeof StatusView>;

export const OperatorLogin = Type.Object(
  {
    token: Type.String({ maxLength: 256 }),
    /** How the first operator is called. Who was invited has the name of the invitation: another one is refused. */
    name: Type.Optional(Name),
    /** The client's own id: repeated with it, a lost answer is given again. */
    request: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$', description: '8 to 64 letters, digits and -' }),
    ),
  },
  { ...CLOSED, $id: 'OperatorLogin' },
);
export type OperatorLogin = Static<typeof OperatorLogin>;

export const OperatorCredential = Type.Object(
  { name: Type.String(), token: Type.String(), expiresAt: Time },
  { ...CLOSED, $id: 'OperatorCredential' },
);
export type OperatorCredential = Static<typeof OperatorCredential>;

export const OperatorView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    state: Type.Union([
      Type.Literal('invited'),
      Type.Literal('active'),
      Type.Literal('expired'),
      Type.Literal('ended'),
    ]),
    origin: Type.Union([Type.Literal('bootstrap'), Type.Literal('invite'), Type.Literal('provider')]),
    /** The node that printed the first token, or the provider; empty for the invited. */
    place: Type.String(),
    /** Name of the operator who invited; empty for the others. */
    invitedBy: Type.String(),
    createdAt: Time,
    /** When the newest token ends; 0 for none that is good. */
    tokenUntil: Time,
    lastUsedAt: OptionalTime,
    /** When the operator ends, whatever is renewed; null for never. */
    endsAt: OptionalTime,
    endedAt: OptionalTime,
    endReason: Type.Union([Type.String(), Type.Null()]),
  },
  { ...CLOSED, $id: 'Operator' },
);
export type OperatorView = Static<typeof OperatorView>;

export const OperatorEnded = Type.Object(
  {
    ended: Type.Array(Type.String()),
    /** Whom they invited, and who still are operators. */
    invited: Type.Array(Type.String()),
  },
  { ...CLOSED, $id: 'OperatorEnded' },
);
export type OperatorEnded = Static<typeof OperatorEnded>;

export const JoinTokenInput = Type.Object(
  {
    name: Name,
    site: Name,
    ttlMs: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 86_400_000 })),
    /** Takes the place of the Proxy that has this name; its certificate is worth nothing then. */
    replace: Type.Optional(Type.Boolean()),
    /** The Proxy of this name was at another site. */
    moveSite: Type.Optional(Type.Boolean()),
  },
  { ...CLOSED, $id: 'JoinTokenInput' },
);
export type JoinTokenInput = Static<typeof JoinTokenInput>;

export const JoinTokenView = Type.Object({ token: Type.String(), expiresAt: Time }, { ...CLOSED, $id: 'JoinToken' });
export type JoinTokenView = Static<typeof JoinTokenView>;

export const HandshakeKeysView = Type.Object(
  {
    kid: Type.Integer({ minimum: 1, description: 'the new key' }),
    revoked: Type.Array(Type.Integer({ minimum: 1 }), { description: 'keys that are good for nothing any more' }),
  },
  { ...CLOSED, $id: 'HandshakeKeys' },
);
export type HandshakeKeysView = Static<typeof HandshakeKeysView>;

export const SiteInput = Type.Object(
  {
    origins: Type.Array(
      Type.String({
        pattern: '^wss?://[^/?#@]+$',
        description: 'an origin like wss://gw.example.com:443, without a path',
        maxLength: 255,
      }),
      { minItems: 1, maxItems: 16 },
    ),
    resources: Type.Optional(Names),
  },
  { ...CLOSED, $id: 'SiteInput' },
);
export type SiteInput = Static<typeof SiteInput>;

export const SiteView = Type.Object(
  { name: Type.String(), origins: Type.Array(Type.String()), resources: Type.Array(Type.String()) },
  { ...CLOSED, $id: 'Site' },
);
export type SiteView = Static<typeof SiteView>;

export const RealmSettings = Type.Object(
  {
    sessionTtlMs: Type.Integer({ minimum: 1_000, maximum: 30 * 86_400_000 }),
    rotateAfterMs: Type.Integer({ minimum: 0, maximum: 365 * 86_400_000 }),
    previousKeyGraceMs: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
    codeTtlMs: Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 }),
    openBurst: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    openRate: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /** Channels at one Proxy at once: of a session, of an installation with all its sessions, of a user with all devices. */
    channelsPerSession: Type.Integer({ minimum: 1, maximum: 64 }),
    channelsPerInstallation: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    channelsPerUser: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /** Bytes of the largest message of a WebSocket, where its resource says nothing else. */
    webSocketMessageBytes: Type.Integer({ minimum: 1, maximum: 268_435_456 }),
    /** Whether a login needs the user's password beside the installation's keys. */
    loginNeedsPassword: Type.Boolean(),
    /** Whether who has no second factor may sign in; who has one always needs it. */
    secondFactor: Type.Union([Type.Literal('whenEnrolled'), Type.Literal('required')]),
    /** How long ended sessions, revoked installations and tokens are kept for the record. */
    endedKeepMs: Type.Integer({ minimum: 86_400_000, maximum: 3_650 * 86_400_000 }),
    /** How long audit events are kept; 0 for ever. Older ones are removed up to a sealed checkpoint. */
    auditKeepMs: Type.Integer({ minimum: 0, maximum: 3_650 * 86_400_000 }),
    context: ContextRule,
    /** Page that enrolment links lead to. */
    enrolPage: Type.String({ maxLength: 255 }),
  },
  { ...CLOSED, $id: 'RealmSettings' },
);
export type RealmSettings = Static<typeof RealmSettings>;

export const RealmSettingsPatch = Type.Partial(RealmSettings, { ...CLOSED, $id: 'RealmSettingsPatch' });
export type RealmSettingsPatch = Static<typeof RealmSettingsPatch>;

export const ProblemView = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.Optional(Type.String()),
  },
  { $id: 'Problem' },
);
