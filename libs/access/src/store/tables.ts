import type { ContextRule, RevocationKind } from '@sallyport/security-api';

/** JSON that a column may hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined };

/** A time that never comes. */
export const NEVER: number = Number.MAX_SAFE_INTEGER;

/** A realm: its settings, the epoch and head of its revocation log, and which sessions count. */
export interface RealmRow {
  readonly id: 'realm';
  /** One uninterrupted life of the log: 32 random hex digits, drawn anew by each restore. */
  readonly epoch: string;
  /** Epochs that this one takes the place of, a list of texts. */
  readonly supersedes: Json;
  /** Nothing may be given from this database any more: another one takes its place. */
  readonly closed: boolean;
  /** False while leases of an epoch before may live: nothing is called in force until a node has waited for their end. */
  readonly held: boolean;
  readonly head: number;
  /** Hash of the entry at the head; empty for an empty log. */
  readonly headHash: string;
  /** Counts up when everything so far is revoked: sessions of an older one are over. */
  readonly generation: number;
  /** The longest lease that any node was ever set up to give, ms. Raised before it is given. */
  readonly longestLeaseMs: number;
  /** Identity of the journal that all nodes of this epoch keep; empty before the first one has said so. */
  readonly journal: string;
  readonly policyVersion: number;
  /** Sessions created before this are over, epoch ms. */
  readonly notBefore: number;
  /** Goes up with every change that a site map shows, whatever clocks say; after a restore it is above all before. */
  readonly mapVersion: number;
  readonly settings: Json;
}

export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly displayName: string;
  readonly passwordHash: string | null;
  /** What follows from the next two: in is whom nobody says to be out. Write all three by `standing`. */
  readonly enabled: boolean;
  /** An operator says that the user is out; no directory can take that back. */
  readonly outByOperator: boolean;
  /** The user's directory says that they are out; no operator can take that back. */
  readonly outByDirectory: boolean;
  /** The directory that says whether the user may be in and checks their sign-in; empty for a local user. */
  readonly directory: string;
  /** The source's name of the account that the directory removed, by which its person is known again; else empty. */
  readonly pastAccount: string;
  readonly createdAt: number;
}

export interface GroupRow {
  readonly name: string;
  readonly createdAt: number;
}

export interface MemberRow {
  readonly groupName: string;
  readonly userId: string;
  /** Who says so: empty for an operator, else `directory/subject` of the source's group. */
  readonly source: string;
}

export type DirectoryKind = 'ldap' | 'oidc' | 'scim';

/** A directory of the company: where users come from, or where they sign in. */
export interface DirectoryRow {
  readonly name: string;
  readonly kind: DirectoryKind;
  /** Staged: its accounts are read, but make no users yet. */
  readonly stage: 'staged' | 'active';
  readonly settings: Json;
  /** Its secrets, a JSON object, wrapped. */
  readonly secret: Uint8Array | null;
  /** What the last sync left: cursor, counts, an open question, trouble. */
  readonly state: Json;
  /** The sync that runs, if any: its id, its node, and a number that counts up while it lives. */
  readonly runId: string | null;
  readonly runNode: string;
  readonly runBeat: number;
  readonly createdAt: number;
}

/** An account of a directory, in the directory's own namespace, and the user it stands for. */
export interface IdentityRow {
  readonly directory: string;
  /** The directory's id of the account: never changes, never used again. */
  readonly subject: string;
  /** What its source calls it: SCIM's externalId, else empty. */
  readonly externalId: string;
  /** Empty while it stands for nobody: staged, inactive from the start, or in conflict. */
  readonly userId: string;
  readonly login: string;
  readonly active: boolean;
  /** When the account ends by itself, epoch ms; NEVER when it does not. */
  readonly expiresAt: number;
  /** Distinguished name, normalised; empty but in LDAP. */
  readonly dn: string;
  /** `directory/login` where the directory gives a login only once (SCIM), else null. */
  readonly onlyName: string | null;
  /** Changes with the account at its source. */
  readonly version: string;
  readonly attributes: Json;
  readonly createdAt: number;
  readonly changedAt: number;
}

/** An account of a provider that is to be, or asks to be, a user's. */
export interface BindingRow {
  readonly id: string;
  readonly directory: string;
  readonly userId: string;
  /** The provider's id of the account; empty for one that an officer expects by its name. */
  readonly subject: string;
  /** What the account is called; of an expected one its login, verified address or id, in lower case. */
  readonly login: string;
  readonly email: string;
  readonly state: 'expected' | 'waits' | 'refused';
  readonly createdAt: number;
}

/** A group of a directory and the group of the realm it stands for. */
export interface DirectoryGroupRow {
  readonly directory: string;
  readonly subject: string;
  readonly externalId: string;
  readonly name: string;
  readonly groupName: string;
  /** What no other group of the directory may be called (SCIM), else null. */
  readonly onlyName: string | null;
  readonly version: string;
  readonly createdAt: number;
  readonly changedAt: number;
}

/** An account in a group, as their directory says; the memberships of its user follow from it. */
export interface AccountGroupRow {
  readonly directory: string;
  readonly groupSubject: string;
  readonly subject: string;
}

/** A bearer token with which a SCIM client comes. */
export interface DirectoryTokenRow {
  readonly id: string;
  readonly directory: string;
  readonly tokenHash: Uint8Array;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** A user's second factor: TOTP (RFC 6238). */
export interface FactorRow {
  readonly userId: string;
  /** The shared secret, wrapped. */
  readonly secret: Uint8Array;
  /** Last time step that was accepted: no code is good twice. */
  readonly lastStep: number;
  readonly createdAt: number;
}

export interface CodeRow {
  readonly id: string;
  readonly userId: string;
  /** What the secret part stands for, wrapped; null once the code can enrol nobody any more. */
  readonly codeKey: Uint8Array | null;
  readonly expiresAt: number;
  readonly triesLeft: number;
  readonly usedAt: number | null;
  readonly installationId: string | null;
  readonly createdAt: number;
}

export type InstallationStatus = 'pending' | 'active' | 'revoked';

export interface InstallationRow {
  readonly id: string;
  readonly userId: string;
  readonly deviceStatic: Uint8Array;
  /** Public JWK of the device's signing key. */
  readonly signingKey: Json;
  readonly status: InstallationStatus;
  readonly generation: number;
  /** The keys are wrapped, and null once it is revoked. */
  readonly currentKey: Uint8Array | null;
  readonly nextKey: Uint8Array | null;
  readonly previousKey: Uint8Array | null;
  /** When `currentKey` became current. */
  readonly rotatedAt: number;
  readonly app: string;
  readonly model: string;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
  /** The proof of its enrolment that may open its first session, by its id; null once it is used or void. */
  readonly resumeId: string | null;
}

export interface SessionRow {
  /** sid, 32 hex digits. */
  readonly id: string;
  readonly installationId: string;
  readonly userId: string;
  /** Wrapped; null once the session has ended. */
  readonly secret: Uint8Array | null;
  readonly app: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Number of the last channel that was authorised. */
  readonly chanNo: number;
  /** The Proxy's id of the request that took `chanNo`: only its repetition gets the same answer. */
  readonly chanRequest: string | null;
  readonly endedAt: number | null;
  readonly endReason: string | null;
  /** The directory that vouched for the sign-in; empty for a local one. */
  readonly directory: string;
  /** The provider's own session id, by which it may log out. */
  readonly providerSession: string | null;
  /** Tokens that the user delegated for backends, wrapped. */
  readonly delegated: Uint8Array | null;
  /** Generation of the realm at the sign-in. */
  readonly generation: number;
  /** Who opened its channels, a list of `ChannelHolder` texts, oldest first. */
  readonly holders: Json;
  /** The key with which its device ends it, wrapped; it outlives the secret. Null in sessions of the version before. */
  readonly endKey: Uint8Array | null;
}

export interface ResourceRow {
  readonly name: string;
  readonly kind: 'http' | 'tcp';
  readonly authority: string;
  readonly title: string;
  readonly backend: Json;
}

export interface PolicyRow {
  readonly name: string;
  readonly groups: Json;
  readonly resources: Json;
  readonly rule: Json;
}

export interface RevocationRow {
  readonly index: number;
  /** Client-made id: the same one gives the same entry. */
  readonly requestId: string;
  readonly kind: RevocationKind;
  readonly subject: string;
  readonly reason: string;
  readonly actor: string;
  readonly at: number;
  /** 32 random hex digits, so that two logs differ wherever they were written apart. */
  readonly salt: string;
  /** Hash over the entry before, the content and the salt. */
  readonly hash: string;
}

export interface LeaseRow {
  /** `name/instance`: each process of a Proxy has a lease of its own. Those of the version before have a name only. */
  readonly proxy: string;
  /** Last entry that is in force there: seen, and all rights that it changed are read again. */
  readonly applied: number;
  /** By the store's clock: for people to read, never to decide by. */
  readonly expiresAt: number;
  readonly channels: number;
  /** Counts the beats: whoever sees it stand still for a lease knows that the lease is over, whatever clocks say. */
  readonly beat: number;
  readonly leaseMs: number;
  /** The node that recorded the last beat. */
  readonly node: string;
}

/** A Security node, as it says of itself once a second. */
export interface NodeRow {
  readonly id: string;
  /** Where Proxies reach it. */
  readonly proxyUrl: string;
  /** Where operators reach it. */
  readonly adminUrl: string;
  readonly version: string;
  readonly startedAt: number;
  readonly state: 'up' | 'draining';
  /** Counts up once a second while the node lives. */
  readonly beat: number;
  readonly seenAt: number;
  /** Its wall clock less the store's, ms. */
  readonly clockOffsetMs: number;
  /** Why it works worse than it could, in words; empty when it does not. */
  readonly degraded: Json;
  /** The newest handshake key that it can answer with. */
  readonly keyId: string;
  /** Identity of the journal that it keeps; empty for one of a version that did not say. */
  readonly journal: string;
}

export interface AuditRow {
  readonly seq: number;
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly reason: string;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

export interface AuditHeadRow {
  /** `head`: the last event. `start`: the last event that was removed because it was old. */
  readonly id: 'head' | 'start';
  readonly seq: number;
  readonly hash: Uint8Array;
  /** Of `start`: seq and hash, wrapped, so that only a Security server can move it. */
  readonly seal: Uint8Array | null;
}

export type KeyPurpose = 'handshake' | 'root' | 'assertion' | 'ca';

export interface KeyRow {
  readonly id: string;
  readonly purpose: KeyPurpose;
  /** Public part: X25519 key, JWK or certificate, as JSON. */
  readonly publicPart: Json;
  /** Wrapped; null once the key is retired. */
  readonly secret: Uint8Array | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Since when site maps name it; null while not every node has it. For handshake keys only, as is `retiredAt`. */
  readonly publishedAt: number | null;
  /** Since when it is good for nothing any more. */
  readonly retiredAt: number | null;
}

/** A key-encryption key, by what tells it from others with its number; the key itself is outside of the store. */
export interface KekRow {
  readonly id: number;
  readonly checkValue: Uint8Array;
}

/** How somebody became an operator: at a first start (or by break-glass), by another operator, or by a provider's groups. */
export type OperatorOrigin = 'bootstrap' | 'invite' | 'provider';

/** Who may use the admin API. Their tokens hang on it; it stays for the record when it has ended. */
export interface OperatorRow {
  readonly id: string;
  /** One among those that have not ended; the audit log names it. */
  readonly name: string;
  readonly origin: OperatorOrigin;
  /** The node that printed the first token, or the provider at which they sign in; empty for the invited. */
  readonly place: string;
  /** Id of the operator who invited; empty for the others. */
  readonly invitedBy: string;
  /** The user who signs in at the provider: the operator ends with them. */
  readonly userId: string | null;
  readonly createdAt: number;
  /** No credential of theirs is good after this, epoch ms; NEVER when there is no end. */
  readonly endsAt: number;
  readonly endedAt: number | null;
  readonly endReason: string | null;
}

/** An operator's token: one that is exchanged once, or a credential. The store has its hash only. */
export interface OperatorTokenRow {
  readonly id: string;
  readonly operatorId: string;
  readonly tokenHash: Uint8Array;
  readonly oneTime: boolean;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** When it was last used, to the hour; null before its first use. */
  readonly usedAt: number | null;
  /** The client's id of the request that exchanged it, or that made it: a repetition gets another answer, once. */
  readonly requestId: string | null;
  /** The token in whose place it came: that one ends with the first use of this one. */
  readonly replaces: string | null;
}

export interface SiteRow {
  readonly name: string;
  readonly origins: Json;
  readonly resources: Json;
}

export interface ProxyRow {
  readonly name: string;
  readonly site: string;
  readonly joinedAt: number;
  readonly revokedAt: number | null;
  /** SHA-256 of the public key that it is known by (SPKI, DER), hex. Null for one that joined before keys were kept. */
  readonly keyHash: string | null;
  /** The key of its last renewal, until that is used. */
  readonly nextKeyHash: string | null;
}

export interface JoinTokenRow {
  readonly id: string;
  readonly tokenHash: Uint8Array;
  readonly proxy: string;
  readonly site: string;
  readonly expiresAt: number;
  /** `joinedAt` of the Proxy whose place it takes. */
  readonly replaces: number | null;
  /** The site that the Proxy of this name leaves. */
  readonly movesFrom: string | null;
}

/** Every table by name. */
export interface Rows {
  readonly realms: RealmRow;
  readonly users: UserRow;
  readonly groups: GroupRow;
  readonly members: MemberRow;
  readonly codes: CodeRow;
  readonly installations: InstallationRow;
  readonly sessions: SessionRow;
  readonly resources: ResourceRow;
  readonly policies: PolicyRow;
  readonly revocations: RevocationRow;
  readonly leases: LeaseRow;
  readonly audit: AuditRow;
  readonly auditHeads: AuditHeadRow;
  readonly keys: KeyRow;
  readonly keks: KekRow;
  readonly operators: OperatorRow;
  readonly operatorTokens: OperatorTokenRow;
  readonly sites: SiteRow;
  readonly proxies: ProxyRow;
  readonly joinTokens: JoinTokenRow;
  readonly nodes: NodeRow;
  readonly directories: DirectoryRow;
  readonly identities: IdentityRow;
  readonly bindings: BindingRow;
  readonly directoryGroups: DirectoryGroupRow;
  readonly accountGroups: AccountGroupRow;
  readonly directoryTokens: DirectoryTokenRow;
  readonly factors: FactorRow;
}
export type TableName = keyof Rows;

/** How a column is stored. `int` is a safe integer, `bytes` a byte string. */
export type ColumnType = 'text' | 'int' | 'bool' | 'bytes' | 'json';

/** What a store must know of a table; every table has a realm column in front of its key. */
export interface TableShape<Row> {
  readonly key: readonly (keyof Row & string)[];
  readonly unique?: readonly (keyof Row & string)[];
  /**
   * Columns that only a Security server may write: each row carries a MAC over them in `rowMac`. Not among them is what
   * changes with every login or channel and gives nobody anything.
   */
  readonly sealed?: readonly (keyof Row & string)[];
  readonly columns: { readonly [Column in keyof Row]: ColumnType } & { readonly rowMac?: 'bytes' };
}

/** Shapes of all tables: the single source for the memory store, the SQL store and its migrations test. */
export const TABLES: { readonly [Name in TableName]: TableShape<Rows[Name]> } = {
  realms: {
    key: ['id'],
    sealed: ['id', 'settings'],
    columns: {
      id: 'text',
      epoch: 'text',
      supersedes: 'json',
      closed: 'bool',
      held: 'bool',
      head: 'int',
      headHash: 'text',
      generation: 'int',
      longestLeaseMs: 'int',
      journal: 'text',
      policyVersion: 'int',
      notBefore: 'int',
      mapVersion: 'int',
      settings: 'json',
      rowMac: 'bytes',
    },
  },
  users: {
    key: ['id'],
    unique: ['name'],
    sealed: ['id', 'name', 'passwordHash', 'enabled', 'outByOperator', 'outByDirectory', 'directory', 'pastAccount'],
    columns: {
      id: 'text',
      name: 'text',
      displayName: 'text',
      passwordHash: 'text',
      enabled: 'bool',
      outByOperator: 'bool',
      outByDirectory: 'bool',
      directory: 'text',
      pastAccount: 'text',
      createdAt: 'int',
      rowMac: 'bytes',
    },
  },
  groups: { key: ['name'], columns: { name: 'text', createdAt: 'int' } },
  members: {
    key: ['groupName', 'userId', 'source'],
    sealed: ['groupName', 'userId', 'source'],
    columns: { groupName: 'text', userId: 'text', source: 'text', rowMac: 'bytes' },
  },
  codes: {
    key: ['id'],
    sealed: ['id', 'userId', 'codeKey', 'expiresAt'],
    columns: {
      id: 'text',
      userId: 'text',
      codeKey: 'bytes',
      expiresAt: 'int',
      triesLeft: 'int',
      usedAt: 'int',
      installationId: 'text',
      createdAt: 'int',
      rowMac: 'bytes',
    },
  },
  installations: {
    key: ['id'],
    unique: ['deviceStatic'],
    sealed: [
      'id',
      'userId',
      'deviceStatic',
      'signingKey',
      'status',
      'generation',
      'currentKey',
      'nextKey',
      'previousKey',
    ],
    columns: {
      id: 'text',
      userId: 'text',
      deviceStatic: 'bytes',
      signingKey: 'json',
      status: 'text',
      generation: 'int',
      currentKey: 'bytes',
      nextKey: 'bytes',
      previousKey: 'bytes',
      rotatedAt: 'int',
      app: 'text',
      model: 'text',
      createdAt: 'int',
      lastSeenAt: 'int',
      resumeId: 'text',
      rowMac: 'bytes',
    },
  },
  sessions: {
    key: ['id'],
    sealed: ['id', 'installationId', 'userId', 'app', 'createdAt', 'expiresAt', 'directory', 'generation'],
    columns: {
      id: 'text',
      installationId: 'text',
      userId: 'text',
      secret: 'bytes',
      app: 'text',
      createdAt: 'int',
      expiresAt: 'int',
      chanNo: 'int',
      chanRequest: 'text',
      endedAt: 'int',
      endReason: 'text',
      directory: 'text',
      providerSession: 'text',
      delegated: 'bytes',
      generation: 'int',
      holders: 'json',
      endKey: 'bytes',
      rowMac: 'bytes',
    },
  },
  resources: {
    key: ['name'],
    unique: ['authority'],
    sealed: ['name', 'kind', 'authority', 'backend'],
    columns: { name: 'text', kind: 'text', authority: 'text', title: 'text', backend: 'json', rowMac: 'bytes' },
  },
  policies: {
    key: ['name'],
    sealed: ['name', 'groups', 'resources', 'rule'],
    columns: { name: 'text', groups: 'json', resources: 'json', rule: 'json', rowMac: 'bytes' },
  },
  revocations: {
    key: ['index'],
    unique: ['requestId'],
    columns: {
      index: 'int',
      requestId: 'text',
      kind: 'text',
      subject: 'text',
      reason: 'text',
      actor: 'text',
      at: 'int',
      salt: 'text',
      hash: 'text',
    },
  },
  leases: {
    key: ['proxy'],
    columns: {
      proxy: 'text',
      applied: 'int',
      expiresAt: 'int',
      channels: 'int',
      beat: 'int',
      leaseMs: 'int',
      node: 'text',
    },
  },
  audit: {
    key: ['seq'],
    columns: {
      seq: 'int',
      at: 'int',
      actor: 'text',
      action: 'text',
      subject: 'text',
      outcome: 'text',
      reason: 'text',
      previousHash: 'bytes',
      hash: 'bytes',
    },
  },
  auditHeads: { key: ['id'], columns: { id: 'text', seq: 'int', hash: 'bytes', seal: 'bytes' } },
  keys: {
    key: ['id'],
    sealed: ['id', 'purpose', 'publicPart', 'createdAt', 'expiresAt'],
    columns: {
      id: 'text',
      purpose: 'text',
      publicPart: 'json',
      secret: 'bytes',
      createdAt: 'int',
      expiresAt: 'int',
      publishedAt: 'int',
      retiredAt: 'int',
      rowMac: 'bytes',
    },
  },
  keks: { key: ['id'], columns: { id: 'int', checkValue: 'bytes' } },
  operators: {
    key: ['id'],
    sealed: ['id', 'name', 'origin', 'place', 'invitedBy', 'userId', 'createdAt', 'endsAt', 'endedAt'],
    columns: {
      id: 'text',
      name: 'text',
      origin: 'text',
      place: 'text',
      invitedBy: 'text',
      userId: 'text',
      createdAt: 'int',
      endsAt: 'int',
      endedAt: 'int',
      endReason: 'text',
      rowMac: 'bytes',
    },
  },
  operatorTokens: {
    key: ['id'],
    unique: ['tokenHash'],
    sealed: ['id', 'operatorId', 'tokenHash', 'oneTime', 'createdAt', 'expiresAt', 'usedAt'],
    columns: {
      id: 'text',
      operatorId: 'text',
      tokenHash: 'bytes',
      oneTime: 'bool',
      createdAt: 'int',
      expiresAt: 'int',
      usedAt: 'int',
      requestId: 'text',
      replaces: 'text',
      rowMac: 'bytes',
    },
  },
  sites: {
    key: ['name'],
    sealed: ['name', 'origins', 'resources'],
    columns: { name: 'text', origins: 'json', resources: 'json', rowMac: 'bytes' },
  },
  proxies: {
    key: ['name'],
    sealed: ['name', 'site', 'joinedAt', 'revokedAt', 'keyHash', 'nextKeyHash'],
    columns: {
      name: 'text',
      site: 'text',
      joinedAt: 'int',
      revokedAt: 'int',
      keyHash: 'text',
      nextKeyHash: 'text',
      rowMac: 'bytes',
    },
  },
  joinTokens: {
    key: ['id'],
    sealed: ['id', 'tokenHash', 'proxy', 'site', 'expiresAt', 'replaces', 'movesFrom'],
    columns: {
      id: 'text',
      tokenHash: 'bytes',
      proxy: 'text',
      site: 'text',
      expiresAt: 'int',
      replaces: 'int',
      movesFrom: 'text',
      rowMac: 'bytes',
    },
  },
  nodes: {
    key: ['id'],
    columns: {
      id: 'text',
      proxyUrl: 'text',
      adminUrl: 'text',
      version: 'text',
      startedAt: 'int',
      state: 'text',
      beat: 'int',
      seenAt: 'int',
      clockOffsetMs: 'int',
      degraded: 'json',
      keyId: 'text',
      journal: 'text',
    },
  },
  directories: {
    key: ['name'],
    sealed: ['name', 'kind', 'stage', 'settings'],
    columns: {
      name: 'text',
      kind: 'text',
      stage: 'text',
      settings: 'json',
      secret: 'bytes',
      state: 'json',
      runId: 'text',
      runNode: 'text',
      runBeat: 'int',
      createdAt: 'int',
      rowMac: 'bytes',
    },
  },
  identities: {
    key: ['directory', 'subject'],
    unique: ['onlyName'],
    sealed: ['directory', 'subject', 'externalId', 'userId', 'login', 'active', 'expiresAt', 'dn', 'attributes'],
    columns: {
      directory: 'text',
      subject: 'text',
      externalId: 'text',
      userId: 'text',
      login: 'text',
      active: 'bool',
      expiresAt: 'int',
      dn: 'text',
      onlyName: 'text',
      version: 'text',
      attributes: 'json',
      createdAt: 'int',
      changedAt: 'int',
      rowMac: 'bytes',
    },
  },
  bindings: {
    key: ['id'],
    sealed: ['id', 'directory', 'userId', 'subject', 'login', 'email', 'state', 'createdAt'],
    columns: {
      id: 'text',
      directory: 'text',
      userId: 'text',
      subject: 'text',
      login: 'text',
      email: 'text',
      state: 'text',
      createdAt: 'int',
      rowMac: 'bytes',
    },
  },
  directoryGroups: {
    key: ['directory', 'subject'],
    unique: ['onlyName'],
    sealed: ['directory', 'subject', 'externalId', 'name', 'groupName'],
    columns: {
      directory: 'text',
      subject: 'text',
      externalId: 'text',
      name: 'text',
      groupName: 'text',
      onlyName: 'text',
      version: 'text',
      createdAt: 'int',
      changedAt: 'int',
      rowMac: 'bytes',
    },
  },
  accountGroups: {
    key: ['directory', 'groupSubject', 'subject'],
    sealed: ['directory', 'groupSubject', 'subject'],
    columns: { directory: 'text', groupSubject: 'text', subject: 'text', rowMac: 'bytes' },
  },
  directoryTokens: {
    key: ['id'],
    unique: ['tokenHash'],
    sealed: ['id', 'directory', 'tokenHash', 'expiresAt'],
    columns: { id: 'text', directory: 'text', tokenHash: 'bytes', createdAt: 'int', expiresAt: 'int', rowMac: 'bytes' },
  },
  factors: {
    key: ['userId'],
    sealed: ['userId', 'createdAt'],
    columns: { userId: 'text', secret: 'bytes', lastStep: 'int', createdAt: 'int', rowMac: 'bytes' },
  },
};

/** Names of all tables. */
export const TABLE_NAMES: readonly TableName[] = Object.keys(TABLES) as TableName[];

/** Tables whose rows are authenticated. */
export const SEALED_TABLES: readonly TableName[] = TABLE_NAMES.filter((name) => TABLES[name].sealed !== undefined);

/** A rule as a policy row holds it. */
export interface StoredRule {
  readonly context: ContextRule;
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}
