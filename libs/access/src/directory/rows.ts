import type { Json, Shapes } from '../store/shape.ts';

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
