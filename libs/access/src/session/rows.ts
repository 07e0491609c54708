import type { Shapes } from '../store/shape.ts';

/** The public part of a signing key (RFC 7517): an elliptic curve's, as devices make them. */
export interface PublicJwk {
  readonly kty?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
}

/** How far an installation is: it has enrolled, it has signed in, it is out for good. */
export type InstallationStatus = 'pending' | 'active' | 'revoked';

/** An app on a device that has enrolled: its keys, and whose it is. */
export interface InstallationRow {
  readonly id: string;
  readonly userId: string;
  readonly deviceStatic: Uint8Array;
  /** Public JWK of the device's signing key. */
  readonly signingKey: PublicJwk;
  readonly status: InstallationStatus;
  readonly generation: number;
  /** The keys are wrapped, and null once it is revoked. */
  readonly currentKey: Uint8Array | null;
  readonly nextKey: Uint8Array | null;
  readonly previousKey: Uint8Array | null;
  /** When `currentKey` became current. */
  readonly rotatedAt: number;
  readonly app: string;
  /** The system that its app said it runs on at the last sign-in; absent or null in rows of the version before, and until then. */
  readonly os?: string | null;
  /** The app as which its last sign-in was refused for what it is, `id@version`; absent or null once one was not. */
  readonly refusedApp?: string | null;
  readonly model: string;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
  /** The proof of its enrolment that may open its first session, by its id; null once it is used or void. */
  readonly resumeId: string | null;
}

/** What a sign-in opened, until it ends. */
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
  /** Who opened its channels, each a `ChannelHolder` as text, oldest first. */
  readonly holders: readonly string[];
  /** The key with which its device ends it, wrapped; it outlives the secret. Null in sessions of the version before. */
  readonly endKey: Uint8Array | null;
}

/** Rows of this room by their tables. */
export interface SessionRows {
  readonly installations: InstallationRow;
  readonly sessions: SessionRow;
}

/** Shapes of these tables. */
export const SESSION_TABLES: Shapes<SessionRows> = {
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
      os: 'text',
      refusedApp: 'text',
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
};
