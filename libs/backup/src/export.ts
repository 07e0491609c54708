import { createHash } from 'node:crypto';
import { sealData } from './data.ts';
import { BackupError, TargetError } from './errors.ts';
import { EXPORT_FORMAT, formatManifest, type Manifest, macBytesOf, parseManifest } from './manifest.ts';
import { EXPORT_OBJECTS, newExportName, objectPath } from './name.ts';
import { readmeOf } from './readme.ts';
import type { ExportPart } from './script.ts';
import type { BackupTarget } from './target.ts';

/** MACs by the key-encryption keys of the realm, as its keyring makes them. */
export interface ManifestKeys {
  /** The key that signs from now on. */
  readonly current: number;
  /** `kek u32 | tag(16)` by the current one. */
  mac(bytes: Uint8Array): Uint8Array;
  verifyMac(mac: Uint8Array, bytes: Uint8Array): boolean;
  /** What tells keys of one number apart, 16 bytes; undefined for a key that is not at hand. */
  checkValue(kek: number): Uint8Array | undefined;
}

/** What a snapshot says of itself: the manifest, but for what is known when it was sealed. */
export type SnapshotFacts = Pick<Manifest, 'realm' | 'product' | 'migration' | 'epoch' | 'log' | 'audit'> & {
  /** Epoch ms. */
  readonly takenAt: number;
};

/** A sealed export that is at no target yet: its data lies sealed in a file or in memory. */
export interface SealedExport {
  readonly manifest: Manifest;
  /** Text of `manifest.json`. */
  readonly text: string;
  /** Its data; may be read as often as there are targets. */
  data(): AsyncIterable<Uint8Array>;
}

/** The number of the key in front of a MAC. */
const KEK_BYTES = 4;

/** Where sealed data lies until it is at all targets. */
export interface Spool {
  write(content: AsyncIterable<Uint8Array>): Promise<void>;
  read(): AsyncIterable<Uint8Array>;
}

/**
 * Seals a snapshot into a spool, so that it is open no longer than the database takes to give it, however slow targets are.
 * @throws whatever parts and spool throw
 */
export async function sealExport(
  facts: SnapshotFacts,
  parts: AsyncIterable<ExportPart>,
  {
    recipients,
    keys,
    spool,
  }: { readonly recipients: readonly string[]; readonly keys: ManifestKeys; readonly spool: Spool },
): Promise<SealedExport> {
  if (recipients.length === 0) throw new BackupError('ERR_BACKUP_RECIPIENT', 'there is nobody to encrypt to');
  const sealed = await sealData(parts, recipients);
  const sum = createHash('sha256');
  let bytes = 0;
  const passing = async function* (): AsyncIterable<Uint8Array> {
    for await (const piece of sealed.content) {
      sum.update(piece);
      bytes += piece.length;
      yield piece;
    }
  };
  await spool.write(passing());
  const { realm, product, migration, takenAt, epoch, log, audit } = facts;
  const manifest = signManifest(
    {
      format: EXPORT_FORMAT,
      realm,
      name: newExportName(takenAt),
      product,
      migration,
      takenAt: new Date(takenAt).toISOString(),
      epoch,
      log: { head: log.head, hash: log.hash },
      audit: { seq: audit.seq, hash: audit.hash },
      recipients,
      parts: sealed.parts,
      data: { bytes, sha256: sum.digest('hex') },
    },
    keys,
  );
  const text = formatManifest(manifest);
  // What nobody could read is not put anywhere: a realm whose row was changed may have no head that is one.
  parseManifest(text);
  return { manifest, text, data: () => spool.read() };
}

function signManifest(unsigned: Omit<Manifest, 'mac'>, keys: ManifestKeys): Manifest {
  const kek = keys.current;
  const check = Buffer.from(keys.checkValue(kek)!).toString('hex');
  const manifest = { ...unsigned, mac: { kek, check, tag: '' } };
  const tag = Buffer.from(keys.mac(macBytesOf(manifest)).subarray(KEK_BYTES)).toString('hex');
  return { ...manifest, mac: { kek, check, tag } };
}

/**
 * Puts an export at a target, the manifest last, and reads each object back: when this returns the target has given it back as
 * it was given. `onBytes` hears of each piece that was sent or came back.
 * @throws TargetError ERR_TARGET_DAMAGED when it gives back something else
 */
export async function putExport(
  target: BackupTarget,
  { manifest, text, data }: SealedExport,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<void> {
  const path = (object: 'readme' | 'data' | 'manifest'): string =>
    objectPath(manifest.realm, manifest.name, EXPORT_OBJECTS[object]);
  await putChecked(target, path('readme'), () => textContent(readmeOf(manifest)));
  await putChecked(target, path('data'), data, onBytes);
  await putChecked(target, path('manifest'), () => textContent(text));
}

/** Puts an object and reads it back. @throws TargetError ERR_TARGET_DAMAGED when the target lies; the object is removed then */
export async function putChecked(
  target: BackupTarget,
  path: string,
  content: () => AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<void> {
  const [sent, back] = [new Sum(onBytes), new Sum(onBytes)];
  await target.put(path, sent.of(content()));
  try {
    for await (const _ of back.of(target.get(path)));
    if (back.value() === sent.value()) return;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_TARGET_MISSING') throw error;
  }
  await target.remove(path).catch(() => undefined);
  throw new TargetError('ERR_TARGET_DAMAGED', `${target.description}: ${path} does not come back as it was written`);
}

class Sum {
  readonly #hash = createHash('sha256');
  readonly #onBytes: (bytes: number) => void;
  #value: string | undefined;

  constructor(onBytes: (bytes: number) => void) {
    this.#onBytes = onBytes;
  }

  async *of(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const bytes of content) {
      this.#hash.update(bytes);
      this.#onBytes(bytes.length);
      yield bytes;
    }
  }

  value(): string {
    this.#value ??= this.#hash.digest('hex');
    return this.#value;
  }
}

async function* textContent(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

/** Manifests and receipts are small; whoever puts something else there fills no memory. */
const LONGEST_TEXT = 1024 * 1024;

/** The text of a small object. @throws TargetError ERR_TARGET_MISSING; BackupError ERR_BACKUP_MANIFEST when it is not small */
export async function readObject(target: BackupTarget, path: string): Promise<string> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of target.get(path)) {
    bytes += piece.length;
    if (bytes > LONGEST_TEXT) throw new BackupError('ERR_BACKUP_MANIFEST', `${path} is larger than any of its kind`);
    read.push(Buffer.from(piece));
  }
  return Buffer.concat(read).toString('utf8');
}

/** A manifest as it was found at a target, and its text. */
export interface FoundManifest {
  readonly manifest: Manifest;
  readonly text: string;
  /** Its MAC was held against the keys of the realm. */
  readonly genuine: boolean;
}

/**
 * Reads the manifest of an export. Without keys nobody knows whether it is genuine.
 * @throws BackupError ERR_BACKUP_FORMAT, ERR_BACKUP_MANIFEST; ERR_BACKUP_REALM when it is another realm's; ERR_BACKUP_KEK when its
 * key is not among these. TargetError ERR_TARGET_MISSING when there is none
 */
export async function readManifest(
  target: BackupTarget,
  { realm, name, keys }: { readonly realm: string; readonly name: string; readonly keys: ManifestKeys | undefined },
): Promise<FoundManifest> {
  const text = await readObject(target, objectPath(realm, name, EXPORT_OBJECTS.manifest));
  const manifest = parseManifest(text);
  if (manifest.realm !== realm)
    throw new BackupError(
      'ERR_BACKUP_REALM',
      `this is an export of realm ${JSON.stringify(manifest.realm)}, not of ${JSON.stringify(realm)}`,
    );
  if (manifest.name !== name)
    throw new BackupError('ERR_BACKUP_MANIFEST', `the manifest in ${name} is that of export ${manifest.name}`);
  if (keys) checkMac(manifest, keys);
  return { manifest, text, genuine: keys !== undefined };
}

function checkMac(manifest: Manifest, keys: ManifestKeys): void {
  const { kek, check, tag } = manifest.mac;
  const own = keys.checkValue(kek);
  if (!own || Buffer.from(own).toString('hex') !== check)
    throw new BackupError(
      'ERR_BACKUP_KEK',
      `export ${manifest.name} was made with key-encryption key ${kek}, and kek.json here has ${own ? 'another one of that number' : 'none of that number'}`,
    );
  const mac = Buffer.alloc(KEK_BYTES + tag.length / 2);
  mac.writeUInt32BE(kek);
  mac.write(tag, KEK_BYTES, 'hex');
  if (!keys.verifyMac(mac, macBytesOf(manifest)))
    throw new BackupError('ERR_BACKUP_MANIFEST', `the manifest of ${manifest.name} was changed: its MAC does not fit`);
}
