import { formatBase64Url, parseBase64Url } from '@sallyport/channel';

/** The signing key `HK`: kept by the platform where storage can hold key objects, else as a JWK. */
export interface StoredSigningKey {
  readonly publicJwk: JsonWebKey;
  readonly privateKey: CryptoKey | JsonWebKey;
}

/** The shared keys of an installation: the current one, and the one before until the new one is proven. */
export interface StoredKeys {
  readonly generation: number;
  readonly current: Uint8Array;
  readonly previous?: Uint8Array;
}

/** A session as the device keeps it. */
export interface StoredSession {
  readonly sid: Uint8Array;
  readonly secret: Uint8Array;
  /** Channel numbers up to this one may have been used: reserved in blocks before use. */
  readonly reservedChanNo: number;
}

/** Where the realm's Proxies are, from the signed site map. */
export interface StoredSite {
  readonly name: string;
  readonly origins: readonly string[];
}

/** An OpenID provider at which users may sign in, from the signed site map. */
export interface StoredProvider {
  readonly directory: string;
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly clientId: string;
  readonly scope: string;
  readonly redirects: readonly string[];
  readonly acr?: readonly string[];
}

/** Everything a device keeps of one installation. Written as a whole, atomically. */
export interface DeviceRecord {
  readonly realm: string;
  readonly kid: number;
  readonly rs: Uint8Array;
  /** Pinned thumbprint of the realm's root key. */
  readonly root: Uint8Array;
  readonly origins: readonly string[];
  readonly deviceSecret: Uint8Array;
  readonly signingKey: StoredSigningKey;
  /** Absent while the enrolment is not finished. */
  readonly iid?: string;
  readonly keys?: StoredKeys;
  readonly ticket?: Uint8Array;
  readonly session?: StoredSession;
  readonly sites?: readonly StoredSite[];
  readonly providers?: readonly StoredProvider[];
  readonly siteMapSeq?: number;
}

/** Where a record is kept. `store` is atomic: after a crash either the old record is there or the new one, whole. */
export interface DeviceStorage {
  /** True when key objects that cannot be exported may be stored. */
  readonly holdsKeyObjects: boolean;
  load(): Promise<DeviceRecord | undefined>;
  store(record: DeviceRecord): Promise<void>;
  clear(): Promise<void>;
}

/** Storage that lasts as long as the process. */
export function memoryStorage(): DeviceStorage {
  let kept: DeviceRecord | undefined;
  return {
    holdsKeyObjects: true,
    load: async () => kept,
    async store(record) {
      kept = record;
    },
    async clear() {
      kept = undefined;
    },
  };
}

/** JSON text of a record: byte strings as `{"$bytes": base64url}`. */
export function formatRecord(record: DeviceRecord): string {
  return JSON.stringify(record, (_name, value: unknown) =>
    value instanceof Uint8Array ? { $bytes: formatBase64Url(value) } : value,
  );
}

/** Reads what formatRecord wrote. @throws SyntaxError or TypeError for anything else. */
export function parseRecord(text: string): DeviceRecord {
  return JSON.parse(text, (_name, value: unknown) => {
    const bytes = (value as { $bytes?: unknown } | null)?.$bytes;
    return typeof bytes === 'string' ? parseBase64Url(bytes) : value;
  }) as DeviceRecord;
}
