import type { AppMinimum, AppPlatform, PackageView, Rollout } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** An app that devices of the realm may be. One that was removed stays as a row, so that its id never means another app. */
export interface AppRow {
  readonly id: string;
  readonly title: string;
  /** Systems it runs on, each with its lowest version; none: any. */
  readonly platforms: readonly AppPlatform[];
  /** SHA-256 of the certificates that sign it, hex; none: whoever signed it, or nobody. */
  readonly signers: readonly string[];
  /** Groups that may use it; null for everybody. */
  readonly groups: readonly string[] | null;
  /** Whom to ask about it. */
  readonly owners: readonly string[];
  /** The lowest version that is served, and from when on; null for any. */
  readonly minimum: AppMinimum | null;
  /** Groups that are on each channel of releases beside `stable`, on which everybody is; null for no such channel. */
  readonly channels: Readonly<Record<string, readonly string[]>> | null;
  /** Versions of it that are revoked, as the log says; null for none. */
  readonly blocked: readonly string[] | null;
  /** Every version below this one is refused like those, because more are revoked than a grant has room for; null where all are named. */
  readonly blockedBelow: string | null;
  /** Epoch ms; null while it is registered. */
  readonly removedAt: number | null;
}

/** A package that was published for an app. Its signed document says all that devices learn of it. */
export interface ReleaseRow {
  readonly id: string;
  readonly appId: string;
  readonly package: PackageView;
  /** What changed, by language. */
  readonly notes: Readonly<Record<string, string>>;
  /** `proposed` until enough people have signed targets with it, `withdrawn` once nobody is offered it any more. */
  readonly state: 'proposed' | 'live' | 'withdrawn';
  readonly publishedBy: string;
  readonly publishedAt: number;
  /** On the channel `stable`; one without a step is not on it. */
  readonly rollout: Rollout;
  /** On other channels of its app, by their names; null for none. */
  readonly channels: Readonly<Record<string, Rollout>> | null;
  /** SHA-256 of the package, by which it is found; null in rows of the version before. */
  readonly packageHash: string | null;
  /** Epoch ms; null until it is withdrawn. */
  readonly withdrawnAt: number | null;
}

/** A package in the store that no release names, and since when that is known. */
export interface UnnamedPackageRow {
  /** SHA-256, hex. */
  readonly hash: string;
  readonly since: number;
  /** It goes, and nobody may name it any more. */
  readonly removing: boolean;
}

/** An installation that is on a channel by itself, whatever groups its user is in. */
export interface ChannelDeviceRow {
  readonly appId: string;
  readonly channel: string;
  readonly installationId: string;
  readonly addedAt: number;
  /** The operator, and why. */
  readonly addedBy: string;
  readonly reason: string;
}

/** A file of metadata of The Update Framework, as devices read it. It is signed; `draft` is targets that more people must sign. */
export interface UpdateFileRow {
  readonly role: 'root' | 'targets' | 'snapshot' | 'timestamp' | 'draft';
  readonly version: number;
  readonly content: string;
  /** Operators who have signed a draft. */
  readonly signers: readonly string[];
}

/** What an installation said of a release, or was refused with. */
export interface ReleaseReportRow {
  readonly releaseId: string;
  readonly installationId: string;
  readonly outcome: ReleaseOutcome;
}
export type ReleaseOutcome = 'downloading' | 'installed' | 'failed' | 'refused';

/** A pipeline that may publish, and nothing else. */
export interface PublisherRow {
  readonly name: string;
  readonly tokenHash: Uint8Array;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

/** A link by which somebody installs an app where nothing of the realm is yet. Its id is the hash of its token. */
export interface InstallLinkRow {
  readonly id: string;
  readonly userId: string;
  readonly appId: string;
  /** Where it leads, `https://host`. */
  readonly origin: string;
  /** The device that asked for it: the link gives what is offered to that. Absent or null where an operator made it. */
  readonly installationId?: string | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Of what the first who opened it got; null while nobody has. */
  readonly claimHash: Uint8Array | null;
  readonly claimedAt: number | null;
  /** How often that was used. */
  readonly reads: number;
}

/** Rows of this room by their tables. */
export interface AppRows {
  readonly apps: AppRow;
  readonly releases: ReleaseRow;
  readonly unnamedPackages: UnnamedPackageRow;
  readonly channelDevices: ChannelDeviceRow;
  readonly updateFiles: UpdateFileRow;
  readonly releaseReports: ReleaseReportRow;
  readonly publishers: PublisherRow;
  readonly installLinks: InstallLinkRow;
}

/** Shapes of these tables. */
export const APP_TABLES: Shapes<AppRows> = {
  apps: {
    key: ['id'],
    sealed: ['id', 'platforms', 'signers', 'groups', 'minimum', 'removedAt'],
    sealedLater: ['channels', 'blocked', 'blockedBelow'],
    columns: {
      id: 'text',
      title: 'text',
      platforms: 'json',
      signers: 'json',
      groups: 'json',
      owners: 'json',
      minimum: 'json',
      channels: 'json',
      blocked: 'json',
      blockedBelow: 'text',
      removedAt: 'int',
      rowMac: 'bytes',
    },
  },
  releases: {
    key: ['id'],
    sealed: ['id', 'appId', 'package', 'state', 'publishedBy', 'rollout'],
    // What a release is found by is held against its package, which is sealed.
    sealedLater: ['channels'],
    columns: {
      id: 'text',
      appId: 'text',
      package: 'json',
      notes: 'json',
      state: 'text',
      publishedBy: 'text',
      publishedAt: 'int',
      rollout: 'json',
      channels: 'json',
      packageHash: 'text',
      withdrawnAt: 'int',
      rowMac: 'bytes',
    },
  },
  unnamedPackages: {
    key: ['hash'],
    columns: { hash: 'text', since: 'int', removing: 'bool' },
  },
  channelDevices: {
    key: ['appId', 'channel', 'installationId'],
    sealed: ['appId', 'channel', 'installationId', 'addedAt'],
    columns: {
      appId: 'text',
      channel: 'text',
      installationId: 'text',
      addedAt: 'int',
      addedBy: 'text',
      reason: 'text',
      rowMac: 'bytes',
    },
  },
  updateFiles: {
    key: ['role', 'version'],
    sealed: ['role', 'version', 'content', 'signers'],
    columns: { role: 'text', version: 'int', content: 'text', signers: 'json', rowMac: 'bytes' },
  },
  releaseReports: {
    key: ['releaseId', 'installationId'],
    columns: { releaseId: 'text', installationId: 'text', outcome: 'text' },
  },
  publishers: {
    key: ['name'],
    unique: ['tokenHash'],
    sealed: ['name', 'tokenHash', 'endedAt'],
    columns: { name: 'text', tokenHash: 'bytes', createdAt: 'int', endedAt: 'int', rowMac: 'bytes' },
  },
  installLinks: {
    key: ['id'],
    unique: ['claimHash'],
    sealed: ['id', 'userId', 'appId', 'origin', 'expiresAt', 'claimHash', 'claimedAt'],
    sealedLater: ['installationId'],
    columns: {
      id: 'text',
      userId: 'text',
      appId: 'text',
      origin: 'text',
      createdAt: 'int',
      expiresAt: 'int',
      claimHash: 'bytes',
      claimedAt: 'int',
      reads: 'int',
      installationId: 'text',
      rowMac: 'bytes',
    },
  },
};
