import type { Shapes } from '../store/shape.ts';

/** Where Proxies stand. */
export interface SiteRow {
  readonly name: string;
  readonly origins: readonly string[];
  /** Always empty: resources name their sites. In the MAC of rows that were sealed before they did. */
  readonly resources: readonly string[];
  /** How long its Proxies may serve after a beat, ms; null for as long as the nodes say. */
  readonly leaseMs: number | null;
  /** Since when nothing new is served there, epoch ms; null for a site that is open. */
  readonly drainedAt: number | null;
}

/** A Proxy that has joined. */
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

/** What lets one Proxy ask for its certificate once. */
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

/** A Proxy that is a pod of a cluster, beside its row. */
export interface PodRow {
  /** Name of the Proxy. */
  readonly name: string;
  /** `namespace/name` of the service account that vouched for it. */
  readonly account: string;
  /** When it last got a certificate, epoch ms. */
  readonly certificateAt: number;
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
  readonly degraded: readonly string[];
  /** The newest handshake key that it can answer with. */
  readonly keyId: string;
  /** Ids of the keys of the realm that it works with; empty for one of a version that did not say. */
  readonly knownKeys: readonly string[];
  /** Identity of the journal that it keeps; empty for one of a version that did not say. */
  readonly journal: string;
}

/** A certificate that a node or a Proxy shows, as it says itself. */
export interface SeenCertificate {
  /** Where it is used: a listener, or `identity` for what a Proxy shows to Security. */
  readonly place: string;
  /** PEM, with its chain. */
  readonly chain: string;
  readonly renewedBy: 'itself' | 'files';
  /** Why a newer one is not in use. */
  readonly trouble: string | null;
}

/** The certificates of one holder. */
export interface SeenCertificatesRow {
  /** `node/ID` or `proxy/NAME`. */
  readonly holder: string;
  readonly certificates: readonly SeenCertificate[];
  readonly seenAt: number;
}

/** Rows of this room by their tables. */
export interface FarmRows {
  readonly sites: SiteRow;
  readonly proxies: ProxyRow;
  readonly joinTokens: JoinTokenRow;
  readonly pods: PodRow;
  readonly nodes: NodeRow;
  readonly seenCertificates: SeenCertificatesRow;
}

/** Shapes of these tables. */
export const FARM_TABLES: Shapes<FarmRows> = {
  seenCertificates: {
    key: ['holder'],
    columns: { holder: 'text', certificates: 'json', seenAt: 'int' },
  },
  sites: {
    key: ['name'],
    sealed: ['name', 'origins', 'resources'],
    sealedLater: ['leaseMs', 'drainedAt'],
    columns: {
      name: 'text',
      origins: 'json',
      resources: 'json',
      leaseMs: 'int',
      drainedAt: 'int',
      rowMac: 'bytes',
    },
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
  pods: {
    key: ['name'],
    sealed: ['name', 'account', 'certificateAt'],
    columns: { name: 'text', account: 'text', certificateAt: 'int', rowMac: 'bytes' },
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
      knownKeys: 'json',
      journal: 'text',
    },
  },
};
