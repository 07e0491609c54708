import { equalBytes, formatBase64Url, type LinkPin, parseBase64Url } from '@sallyport/channel';

/** A key object of Web Crypto, by whichever types the app has: those of the DOM or of Node. */
export type StoredKeyObject = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A key of the curve P-256 as JSON (RFC 7517; RFC 7518, section 6.2): numbers in base64url, `d` only in a private one. */
export interface StoredJwk {
  /** `EC`. */
  readonly kty?: string;
  /** `P-256`. */
  readonly crv?: string;
  /** First coordinate of the point. */
  readonly x?: string;
  /** Second coordinate of the point. */
  readonly y?: string;
  /** The private number. */
  readonly d?: string;
}

/** The signing key `HK`: kept by the platform where storage can hold key objects, else as a JWK. */
export interface StoredSigningKey {
  /** The public half, as Security gets it when the installation enrols. */
  readonly publicJwk: StoredJwk;
  /** A key object that cannot be exported where the storage holds such (`holdsKeyObjects`), else the private key as JSON. */
  readonly privateKey: StoredKeyObject | StoredJwk;
}

/** The shared keys of an installation: the current one, and the one before. */
export interface StoredKeys {
  /** Generation of `current`; 0 is that of the enrolment. */
  readonly generation: number;
  /** The shared key of that generation, 32 bytes. */
  readonly current: Uint8Array;
  /** Tried until `current` has proved good, and again only when Security was restored from a backup. */
  readonly previous?: Uint8Array;
  /** The epoch of the site map in which a login with `current` was answered; absent until then. */
  readonly provenIn?: string;
}

/** How new routes are, by the revocation log. */
export interface RoutesMark {
  /** Epoch of the log, 32 hex digits. */
  readonly epoch: string;
  /** Index in it. */
  readonly asOf: number;
}

/** A session as the device keeps it. */
export interface StoredSession {
  /** Id of the session, 16 bytes. */
  readonly sid: Uint8Array;
  /** Secret of the session, 32 bytes. */
  readonly secret: Uint8Array;
  /** Channel numbers up to this one may have been used: reserved in blocks before use. */
  readonly reservedChanNo: number;
  /** The newest routes that said something new: older ones are not taken, by the next process neither. */
  readonly routes?: RoutesMark;
}

/** True when two records of a session are of the same one. */
export function sameSession(a: StoredSession | undefined, b: StoredSession | undefined): boolean {
  return a !== undefined && b !== undefined && equalBytes(a.sid, b.sid);
}

/** A session that this device has signed out of, until Security has said that it is over. */
export interface StoredEnding {
  /** Id of the session, 16 bytes. */
  readonly sid: Uint8Array;
  /** Key that ends the session and opens nothing. */
  readonly key: Uint8Array;
}

/** Where the realm's Proxies are, from the signed site map. */
export interface StoredSite {
  /** Name of the site; part of the audience of its channels. */
  readonly name: string;
  /** What people call it, when that is another word than its name. */
  readonly title?: string;
  /** WebSocket origins of its Proxies, `wss://host[:port]`. */
  readonly origins: readonly string[];
}

/** How far a Proxy was from this device in one network. */
export interface StoredMeasure {
  /** WebSocket origin of the Proxy. */
  readonly origin: string;
  /** How long a connection took to be made, ms. */
  readonly connectMs: number;
  /** How long a ping on a channel took, ms; absent when none was sent. */
  readonly pingMs?: number;
  /** When a connection was made last, epoch ms. */
  readonly at: number;
}

/** Proxies that were measured in one network. */
export interface StoredNetwork {
  /** The app's name of the network. */
  readonly id: string;
  /** Those that were measured there, the last one first. */
  readonly origins: readonly StoredMeasure[];
}

/** An OpenID provider at which users may sign in, from the signed site map. */
export interface StoredProvider {
  /** The realm's name of it. */
  readonly directory: string;
  /** Its issuer (OpenID Connect Discovery, section 3). */
  readonly issuer: string;
  /** URL at which a sign-in begins. */
  readonly authorizationEndpoint: string;
  /** The client id of the realm there. */
  readonly clientId: string;
  /** Scopes to ask for, with spaces between. */
  readonly scope: string;
  /** Redirects that may be used. */
  readonly redirects: readonly string[];
  /** Authentication context classes to ask for, the one that is liked best first. */
  readonly acr?: readonly string[];
}

/** Whom an installation belongs to, as Security said when it enrolled or signed in. */
export interface DeviceUser {
  /** Name of the user in the realm. */
  readonly name: string;
  /** How people call them; their name where nobody said. */
  readonly displayName: string;
}

/** What a device has verified of the updates of its app: less is never taken again. */
export interface StoredUpdates {
  /** The root that Security named when the device enrolled, or signed in for the first time after there was one. */
  readonly pin: {
    /** Version of that root. */
    readonly version: number;
    /** SHA-256 of its file, hex. */
    readonly sha256: string;
  };
  /** The newest root that was verified, as its file says it; absent until the first look for updates. */
  readonly root?: string;
  /** Version of the newest timestamp. */
  readonly timestamp?: number;
  /** Version of the newest snapshot. */
  readonly snapshot?: number;
  /** Version of the newest targets. */
  readonly targets?: number;
  /** The latest moment at which metadata was good, epoch ms: no clock goes back behind it. */
  readonly newestAt?: number;
}

/** Everything a device keeps of one installation. Written as a whole, atomically. */
export interface DeviceRecord {
  /** Name of the realm. */
  readonly realm: string;
  /** Id of Security's key that `rs` is, u32. */
  readonly kid: number;
  /** Security's static public key, 32 bytes. */
  readonly rs: Uint8Array;
  /** Pinned thumbprint of the realm's root key. */
  readonly root: Uint8Array;
  /** WebSocket origins of the link, for as long as no site map names others. */
  readonly origins: readonly string[];
  /** X25519 secret key of the installation, 32 bytes. */
  readonly deviceSecret: Uint8Array;
  /** The signing key `HK` of the installation. */
  readonly signingKey: StoredSigningKey;
  /** Absent while the enrolment is not finished. */
  readonly iid?: string;
  /** Whom the installation belongs to. */
  readonly user?: DeviceUser;
  /** Shared keys of the installation; absent while it is not enrolled. */
  readonly keys?: StoredKeys;
  /** The session that goes on; absent while nobody is signed in. */
  readonly session?: StoredSession;
  /** Sessions to end at Security, oldest first. */
  readonly ending?: readonly StoredEnding[];
  /** Why the last session was over, as the gateway said; until the next sign-in. */
  readonly ended?: {
    /** How, one of `DeviceErrorCode`. */
    readonly code: string;
    /** Why, one of `EndCause`. */
    readonly cause?: string;
  };
  /** What is known of updates; absent while the realm has none. */
  readonly updates?: StoredUpdates;
  /** Sites of the last site map. */
  readonly sites?: readonly StoredSite[];
  /** Providers of the last site map. */
  readonly providers?: readonly StoredProvider[];
  /** What the enrolment link fixed this device to. */
  readonly pin?: LinkPin;
  /** What was measured, the network that was used last in front. */
  readonly networks?: readonly StoredNetwork[];
  /** `seq` of the last site map: an older one is not taken. */
  readonly siteMapSeq?: number;
  /** Which life of Security's records the site map tells of: another one after a restore. */
  readonly epoch?: string;
}

/** Where a record is kept. `store` is atomic: after a crash either the old record is there or the new one, whole. */
export interface DeviceStorage {
  /** True when key objects that cannot be exported may be stored. */
  readonly holdsKeyObjects: boolean;
  /** The record as it was stored last; undefined when there is none. @throws DeviceError STORAGE_FAILED */
  load(): Promise<DeviceRecord | undefined>;
  /** Keeps a record in place of the one before, durably once it resolves. @throws DeviceError STORAGE_FAILED */
  store(record: DeviceRecord): Promise<void>;
  /** Forgets the record. */
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

/**
 * JSON text of a record: byte strings as `{"$bytes": base64url}`, whichever kind of view holds them. A Buffer's `toJSON` never
 * runs: bytes are looked for before JSON is made.
 */
export function formatRecord(record: DeviceRecord): string {
  return JSON.stringify(withBytesNamed(record));
}

function withBytesNamed(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return nameBytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (value instanceof ArrayBuffer) return nameBytes(new Uint8Array(value));
  if (Array.isArray(value)) return value.map(withBytesNamed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withBytesNamed(member)]));
}

function nameBytes(bytes: Uint8Array): { $bytes: string } {
  return { $bytes: formatBase64Url(bytes) };
}

/**
 * Reads what formatRecord wrote; also files in which byte strings stand as `{"type":"Buffer","data":[…]}`.
 * @throws SyntaxError or TypeError for anything else.
 */
export function parseRecord(text: string): DeviceRecord {
  const record = parsedRecord(text) as DeviceRecord;
  checkRecord(record);
  return record;
}

/** What a parser says quotes the text, which has keys in it. */
function parsedRecord(text: string): unknown {
  try {
    return JSON.parse(text, (_name, value: unknown) => bytesNamed(value) ?? value);
  } catch {
    throw new SyntaxError('the record of a device is no JSON');
  }
}

function bytesNamed(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { $bytes, type, data } = value as { $bytes?: unknown; type?: unknown; data?: unknown };
  if (typeof $bytes === 'string') return parseBase64Url($bytes);
  if (type === 'Buffer' && Array.isArray(data) && data.every(isByte)) return Uint8Array.from(data);
  return undefined;
}

function isByte(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255;
}

/** A record whose keys are no bytes would fail much later, and without a word that helps. */
function checkRecord({ rs, root, deviceSecret, keys, session }: DeviceRecord): void {
  const bytes = [rs, root, deviceSecret];
  if (keys) bytes.push(keys.current);
  if (session) bytes.push(session.sid, session.secret);
  if (!bytes.every((value) => value instanceof Uint8Array)) throw new TypeError('a key in the record is not bytes');
}
