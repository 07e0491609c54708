import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { decodeText, encodeText, formatHex, parseHex } from './bytes.ts';

/** Roles of The Update Framework (specification 1.0.34, section 2.1). */
export type UpdateRole = 'root' | 'targets' | 'snapshot' | 'timestamp';

/** A public key as metadata names it (section 4.2). */
export interface UpdateKey {
  /** Kind of key. */
  readonly keytype: 'ed25519';
  /** How it signs. */
  readonly scheme: 'ed25519';
  /** The key itself. */
  readonly keyval: {
    /** 32 bytes, hex. */
    readonly public: string;
  };
}

/** Whose signatures count for a role, and how many of them there must be. */
export interface RoleKeys {
  /** Ids of the keys. */
  readonly keyids: readonly string[];
  /** How many of them must have signed. */
  readonly threshold: number;
}

/** What the metadata of every role says. */
export interface UpdateCommon<Role extends UpdateRole> {
  /** The role that signs it. */
  readonly _type: Role;
  /** Version of the specification. */
  readonly spec_version: string;
  /** Grows with each metadata of the role. */
  readonly version: number;
  /** Until when it is good, like `2026-11-26T10:00:00Z`. */
  readonly expires: string;
}

/** Who signs what (section 4.3). */
export interface RootContent extends UpdateCommon<'root'> {
  /** Names of files have their versions. */
  readonly consistent_snapshot: true;
  /** All keys, by their ids. */
  readonly keys: Readonly<Record<string, UpdateKey>>;
  /** Whose signatures each role needs. */
  readonly roles: Readonly<Record<UpdateRole, RoleKeys>>;
}

/** Hashes of a file. */
export interface UpdateHashes {
  /** SHA-256, hex. */
  readonly sha256: string;
}

/** A file that may be installed (section 4.5). */
export interface UpdateTarget {
  /** Bytes of it. */
  readonly length: number;
  /** What its bytes are known by. */
  readonly hashes: UpdateHashes;
}

/** All files that may be installed. */
export interface TargetsContent extends UpdateCommon<'targets'> {
  /** They, by their paths. */
  readonly targets: Readonly<Record<string, UpdateTarget>>;
}

/** Another piece of metadata (section 4.4). */
export interface MetaFile {
  /** Its version. */
  readonly version: number;
  /** Bytes of it. */
  readonly length: number;
  /** What its bytes are known by. */
  readonly hashes: UpdateHashes;
}

/** Which targets belong together at one moment. */
export interface SnapshotContent extends UpdateCommon<'snapshot'> {
  /** Metadata that it names. */
  readonly meta: {
    /** The targets. */
    readonly 'targets.json': MetaFile;
  };
}

/** Which snapshot is the newest (section 4.6). */
export interface TimestampContent extends UpdateCommon<'timestamp'> {
  /** Metadata that it names. */
  readonly meta: {
    /** The snapshot. */
    readonly 'snapshot.json': MetaFile;
  };
}

/** What each role signs. */
export interface UpdateContents {
  /** Of the root. */
  readonly root: RootContent;
  /** Of the targets. */
  readonly targets: TargetsContent;
  /** Of the snapshot. */
  readonly snapshot: SnapshotContent;
  /** Of the timestamp. */
  readonly timestamp: TimestampContent;
}

/** Metadata with its signatures. */
export interface SignedUpdate<Content> {
  /** Signatures, each with the id of its key. */
  readonly signatures: readonly UpdateSignature[];
  /** What is signed. */
  readonly signed: Content;
}

/** A signature over the canonical JSON of metadata. */
export interface UpdateSignature {
  /** Id of the key. */
  readonly keyid: string;
  /** 64 bytes, hex. */
  readonly sig: string;
}

/** The version of the specification that this is. */
export const UPDATE_SPEC = '1.0.34';

/**
 * The one text of a value that signatures are made over (canonical JSON of OLPC): keys in order, no space, only `"` and `\` escaped.
 * @throws TypeError for what it cannot hold: numbers that are no safe integers
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
  if (typeof value === 'boolean' || value === null) return String(value);
  if (Number.isSafeInteger(value)) return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`canonical JSON has no ${typeof value}`);
  const members = Object.entries(value as object).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** The id of a key: SHA-256 of its canonical JSON, hex (section 4.2). */
export function updateKeyId(key: UpdateKey): string {
  return formatHex(sha256(encodeText(canonicalJson(key))));
}

/** A public key of 32 bytes as metadata names it. */
export function updateKeyOf(publicKey: Uint8Array): UpdateKey {
  return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: formatHex(publicKey) } };
}

/** A new key of Ed25519: its secret, 32 bytes, and what metadata says of it. */
export function updateKeyFrom(secret: Uint8Array): { readonly id: string; readonly key: UpdateKey } {
  const key = updateKeyOf(ed25519.getPublicKey(secret));
  return { id: updateKeyId(key), key };
}

/** Adds a signature by a secret key of Ed25519; one by the same key before it is replaced. */
export function signUpdate<Content>(update: SignedUpdate<Content>, secret: Uint8Array): SignedUpdate<Content> {
  const { id: keyid } = updateKeyFrom(secret);
  const sig = formatHex(ed25519.sign(encodeText(canonicalJson(update.signed)), secret));
  return { ...update, signatures: [...update.signatures.filter((one) => one.keyid !== keyid), { keyid, sig }] };
}

/**
 * Ids of the role's keys that signed an update rightly, each once. Keys are told apart by their bytes: one key under two ids counts once.
 */
export function signersOfUpdate(
  { signatures, signed }: SignedUpdate<unknown>,
  { keys, roles }: Pick<RootContent, 'keys' | 'roles'>,
  role: UpdateRole,
): readonly string[] {
  const bytes = encodeText(canonicalJson(signed));
  const found = new Map<string, string>();
  for (const { keyid, sig } of signatures) {
    const key = roles[role].keyids.includes(keyid) && Object.hasOwn(keys, keyid) ? keys[keyid] : undefined;
    if (key && fits(key, sig, bytes)) found.set(key.keyval.public.toLowerCase(), keyid);
  }
  return [...found.values()];
}

function fits({ keytype, scheme, keyval }: UpdateKey, sig: string, bytes: Uint8Array): boolean {
  if (keytype !== 'ed25519' || scheme !== 'ed25519') return false;
  try {
    // Strict: what any other implementation takes or leaves is no matter of taste (RFC 8032, not ZIP 215).
    return ed25519.verify(parseHex(sig), bytes, parseHex(keyval.public), { zip215: false });
  } catch {
    return false;
  }
}

/** Bytes that metadata of a role has at most: a device reads no more, and nothing longer is to be signed. */
export const MAX_UPDATE_BYTES: Readonly<Record<UpdateRole, number>> = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 2_000_000,
  targets: 5_000_000,
};

const HEX = /^[0-9a-f]{64}$/;
const EXPIRES = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MAX_KEYS = 64;
const TARGET_PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;

/**
 * Reads metadata of a role. Every field that is used has the form that it must have; others are left alone.
 * @throws TypeError that says what is wrong
 */
export function parseUpdate<Role extends UpdateRole>(
  role: Role,
  bytes: Uint8Array,
): SignedUpdate<UpdateContents[Role]> {
  const update = asObject(JSON.parse(decodeText(bytes)), 'it');
  const signed = asObject(update['signed'], 'signed');
  const signatures = asList(update['signatures'], 'signatures').map((one) => {
    const { keyid, sig } = asObject(one, 'a signature');
    check(typeof keyid === 'string' && typeof sig === 'string', 'a signature has no key or no bytes');
    return { keyid: keyid as string, sig: sig as string };
  });
  check(signatures.length <= MAX_KEYS, 'too many signatures');
  check(signed['_type'] === role, `it is of another role than ${role}`);
  check(/^1\.\d+(\.\d+)?$/.test(String(signed['spec_version'])), 'it is of another version of the specification');
  check(isCount(signed['version']) && signed['version'] !== 0, 'it has no version');
  const { expires } = signed;
  check(typeof expires === 'string' && EXPIRES.test(expires) && !Number.isNaN(Date.parse(expires)), 'it has no end');
  CHECKS[role](signed);
  // What no signature can be over is malformed: numbers that are no integers, and depths without end.
  canonicalJson(signed);
  // Every field that is used has been looked at.
  return { signatures, signed: signed as unknown as UpdateContents[Role] };
}

const CHECKS: Readonly<Record<UpdateRole, (signed: Record<string, unknown>) => void>> = {
  root: ({ keys, roles, consistent_snapshot }) => {
    check(consistent_snapshot === true, 'its files have no versions in their names');
    const known = Object.values(asObject(keys, 'keys'));
    check(known.length <= MAX_KEYS, 'too many keys');
    for (const key of known) {
      const { keyval } = asObject(key, 'a key');
      check(isHex(asObject(keyval, 'a key')['public']), 'a key is none of Ed25519');
    }
    const named = asObject(roles, 'roles');
    for (const role of ['root', 'targets', 'snapshot', 'timestamp']) {
      const { keyids, threshold } = asObject(Object.hasOwn(named, role) ? named[role] : undefined, `the role ${role}`);
      check(isCount(threshold) && threshold !== 0, `the role ${role} needs no signature`);
      check(
        asList(keyids, 'keyids').every((id) => typeof id === 'string'),
        'an id of a key is no text',
      );
    }
  },
  targets: ({ targets, delegations }) => {
    check(delegations === undefined, 'it says who else may sign, which nobody here follows');
    for (const [path, target] of Object.entries(asObject(targets, 'targets'))) {
      check(TARGET_PATH.test(path), 'a target leads elsewhere');
      checkFile(target);
    }
  },
  snapshot: ({ meta }) => checkMeta(meta, 'targets.json'),
  timestamp: ({ meta }) => checkMeta(meta, 'snapshot.json'),
};

function checkMeta(meta: unknown, name: string): void {
  const files = asObject(meta, 'meta');
  const file = asObject(Object.hasOwn(files, name) ? files[name] : undefined, name);
  check(isCount(file['version']) && file['version'] !== 0, `${name} has no version`);
  checkFile(file);
}

function checkFile(file: unknown): void {
  const { length, hashes } = asObject(file, 'a file');
  check(isCount(length), 'a file has no length');
  check(isHex(asObject(hashes, 'hashes')['sha256']), 'a file has no hash');
}

/** 32 bytes as hexadecimal digits. */
function isHex(value: unknown): boolean {
  return typeof value === 'string' && HEX.test(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  check(typeof value === 'object' && value !== null && !Array.isArray(value), `${what} is no object`);
  return value as Record<string, unknown>;
}

function asList(value: unknown, what: string): readonly unknown[] {
  check(Array.isArray(value), `${what} is no list`);
  return value as readonly unknown[];
}

function check(holds: boolean, words: string): void {
  if (!holds) throw new TypeError(`malformed metadata: ${words}`);
}

/** Metadata as a file: what was parsed comes out as it went in. */
export function formatUpdate({ signatures, signed }: SignedUpdate<unknown>): Uint8Array {
  return encodeText(JSON.stringify({ signatures, signed }));
}

/** How metadata that is a file is named by the metadata above it. */
export function metaFileOf(update: SignedUpdate<{ readonly version: number }>): MetaFile {
  const bytes = formatUpdate(update);
  return { version: update.signed.version, length: bytes.length, hashes: { sha256: formatHex(sha256(bytes)) } };
}

/** A moment, epoch ms, as metadata says it: whole seconds. */
export function formatExpires(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** The authority under which a realm serves updates; Security answers there. */
export const UPDATE_AUTHORITY = 'updates.sallyport';
/** Pieces in which packages are verified, bytes. */
export const UPDATE_CHUNK_BYTES = 1_048_576;

/** A release, as it is signed: a target of its own. */
export interface ReleaseDocument {
  /** Id of the release. */
  readonly release: string;
  /** Id of the app. */
  readonly app: string;
  /** Numbers with dots. */
  readonly version: string;
  /** Build; empty where there is none. */
  readonly build: string;
  /** System that it runs on, as an app context names it. */
  readonly os: string;
  /** Lowest version of the system; empty for any. */
  readonly minOsVersion: string;
  /** What changed, by language. */
  readonly notes: Readonly<Record<string, string>>;
  /** What the package asks the system for. */
  readonly permissions: readonly string[];
  /** SHA-256 of the package, hex. */
  readonly sha256: string;
  /** Bytes of the package. */
  readonly bytes: number;
  /** Bytes of each piece but the last. */
  readonly chunkBytes: number;
  /** SHA-256 of each piece, hex. */
  readonly chunks: readonly string[];
}

/** The document of a release as it is signed and served: one text for one release. */
export function formatRelease(document: ReleaseDocument): Uint8Array {
  return encodeText(canonicalJson(document));
}

/** What targets say of a release: its document, and its package. */
export function targetsOfRelease(document: ReleaseDocument): Readonly<Record<string, UpdateTarget>> {
  const bytes = formatRelease(document);
  return {
    [releasePath(document.release)]: { length: bytes.length, hashes: { sha256: formatHex(sha256(bytes)) } },
    [packagePath(document.sha256)]: { length: document.bytes, hashes: { sha256: document.sha256 } },
  };
}

/** Path of the target that is the document of a release. */
export function releasePath(release: string): string {
  return `releases/${release}.json`;
}

/** Path of the target that is a package. */
export function packagePath(sha256: string): string {
  return `packages/${sha256}`;
}

/** Reads the document of a release. @throws TypeError that says what is wrong */
export function parseRelease(bytes: Uint8Array): ReleaseDocument {
  const document = asObject(JSON.parse(decodeText(bytes)), 'a release');
  for (const name of ['release', 'app', 'version', 'build', 'os', 'minOsVersion'])
    check(typeof document[name] === 'string', `${name} of a release is no text`);
  check(/^\d+(\.\d+)*$/.test(String(document['version'])), 'the version of a release is no numbers with dots');
  check(isHex(document['sha256']) && isCount(document['bytes']), 'a release has no package');
  check(document['chunkBytes'] === UPDATE_CHUNK_BYTES, 'a release is in pieces of another size');
  const chunks = asList(document['chunks'], 'chunks');
  check(
    chunks.length === Math.ceil((document['bytes'] as number) / UPDATE_CHUNK_BYTES),
    'pieces of a release are missing',
  );
  check(chunks.every(isHex), 'a piece of a release has no hash');
  check(
    Object.values(asObject(document['notes'], 'notes')).every((note) => typeof note === 'string'),
    'a note is no text',
  );
  check(
    asList(document['permissions'], 'permissions').every((one) => typeof one === 'string'),
    'a permission is no text',
  );
  // Every field has been looked at.
  return document as unknown as ReleaseDocument;
}
