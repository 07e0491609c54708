import type { Shapes } from '../store/shape.ts';

/** Somebody who may sign in, and who says that they may not. */
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

/** A group of users; policies name groups. */
export interface GroupRow {
  readonly name: string;
  readonly createdAt: number;
}

/** A user in a group, by one of those who may say so. */
export interface MemberRow {
  readonly groupName: string;
  readonly userId: string;
  /** Who says so: empty for an operator, else `directory/subject` of the source's group. */
  readonly source: string;
}

/** An activation code, with which one user may enrol one installation. */
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

/** A user's second factor: TOTP (RFC 6238). */
export interface FactorRow {
  readonly userId: string;
  /** The shared secret, wrapped. */
  readonly secret: Uint8Array;
  /** Last time step that was accepted: no code is good twice. */
  readonly lastStep: number;
  readonly createdAt: number;
}

/** Rows of this room by their tables. */
export interface PeopleRows {
  readonly users: UserRow;
  readonly groups: GroupRow;
  readonly members: MemberRow;
  readonly codes: CodeRow;
  readonly factors: FactorRow;
}

/** Shapes of these tables. */
export const PEOPLE_TABLES: Shapes<PeopleRows> = {
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
  factors: {
    key: ['userId'],
    sealed: ['userId', 'createdAt'],
    columns: { userId: 'text', secret: 'bytes', lastStep: 'int', createdAt: 'int', rowMac: 'bytes' },
  },
};
