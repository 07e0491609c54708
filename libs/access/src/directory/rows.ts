import type {
  DirectoryInput,
  LdapSettings,
  OidcSettings,
  SyncProgress,
  SyncQuestion,
  SyncReport,
} from '@sallyport/security-api';
import type { Json, Shapes } from '../store/shape.ts';

/** What kinds of directories there are, each with its settings. */
export type DirectorySettings =
  | { readonly kind: 'ldap'; readonly settings: LdapSettings }
  | { readonly kind: 'oidc'; readonly settings: OidcSettings }
  | { readonly kind: 'scim'; readonly settings: Extract<DirectoryInput, { kind: 'scim' }>['settings'] };

/** Where the next incremental sync begins: only at the same server, whose numbers or clock it is made of. */
export interface SyncCursor {
  readonly server: string;
  readonly changed: string;
  /** When everything was read last, epoch ms. */
  readonly fullAt: number;
}

/** An account that could not become a user, and why. */
export interface AccountConflict {
  readonly subject: string;
  readonly login: string;
  readonly why: string;
}

/** Logout tokens that were used, each with its time and the log entry it led to: as long as such a token can be good. */
export type UsedLogouts = readonly (readonly [id: string, at: number, index: number])[];

/** What a directory's row remembers between syncs. */
export interface DirectoryState {
  readonly cursor?: SyncCursor;
  readonly report?: SyncReport;
  readonly progress?: SyncProgress | null;
  readonly question?: SyncQuestion | null;
  /** At most `MAX_CONFLICTS`. */
  readonly conflicts?: readonly AccountConflict[];
  /** Why it does not work, and since when; null when it does. */
  readonly trouble?: string | null;
  readonly troubleSince?: number | null;
  /** When the last attempt ended, by the store's clock. */
  readonly endedAt?: number;
  /** Endpoints of an OpenID provider as it published them last, for the site map. */
  readonly provider?: { readonly authorizationEndpoint: string };
  readonly logouts?: UsedLogouts;
}

interface DirectoryColumns {
  readonly name: string;
  /** Staged: its accounts are read, but make no users yet. */
  readonly stage: 'staged' | 'active';
  /** Its secrets, a JSON object, wrapped. */
  readonly secret: Uint8Array | null;
  /** What the last sync left: cursor, counts, an open question, trouble. */
  readonly state: DirectoryState;
  /** The sync that runs, if any: its id, its node, and a number that counts up while it lives. */
  readonly runId: string | null;
  readonly runNode: string;
  readonly runBeat: number;
  readonly createdAt: number;
}

/** A directory of the company: where users come from, or where they sign in. Its kind says what its settings are. */
export type DirectoryRow = DirectoryColumns & DirectorySettings;

/** What is kept of an account beside its columns: attributes that a migration may match by, and a SCIM client's own object. */
export interface AccountAttributes {
  readonly displayName?: string;
  readonly [name: string]: Json | undefined;
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
  readonly attributes: AccountAttributes;
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

/** Rows of this room by their tables. */
export interface DirectoryRows {
  readonly directories: DirectoryRow;
  readonly identities: IdentityRow;
  readonly bindings: BindingRow;
  readonly directoryGroups: DirectoryGroupRow;
  readonly accountGroups: AccountGroupRow;
  readonly directoryTokens: DirectoryTokenRow;
}

/** Shapes of these tables. */
export const DIRECTORY_TABLES: Shapes<DirectoryRows> = {
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
};
