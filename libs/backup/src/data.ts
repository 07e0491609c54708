import { createHash, type Hash } from 'node:crypto';
import { type Duplex, pipeline, Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { Decrypter, Encrypter } from 'age-encryption';
import { BackupError } from './errors.ts';
import type { BackupIdentity } from './identity.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { type ExportPart, readScript, writeScript } from './script.ts';

/** Rows compress well with the quickest of the levels; whoever waits is a server. */
const GZIP_LEVEL = 1;
const LINE_FEED = 0x0a;

/** What `sealData` has sealed so far; whole when its content was read to the end. */
export interface SealedData {
  readonly content: AsyncIterable<Uint8Array>;
  readonly parts: readonly ManifestPart[];
}

/**
 * Seals parts as they are read: a script (script.ts) in gzip in the age v1 format (age-encryption.org/v1), for each of the
 * recipients. No more of it is in memory than a few pieces, and nothing of it is in the clear anywhere else.
 */
export async function sealData(parts: AsyncIterable<ExportPart>, recipients: readonly string[]): Promise<SealedData> {
  const sealed: ManifestPart[] = [];
  const gzip = piped(writeScript(measured(parts, (part) => sealed.push(part))), createGzip({ level: GZIP_LEVEL }));
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  const content = await encrypter.encrypt(ReadableStream.from(gzip));
  // In Node streams of the web are iterable, which the types of the library do not say.
  return { content: content as unknown as AsyncIterable<Uint8Array>, parts: sealed };
}

/**
 * Opens what was sealed, and holds it against its manifest: parts, rows, sizes and hashes, of the whole, too. Whoever takes rows
 * takes them for good only when this has ended without an error.
 * @throws BackupError ERR_BACKUP_IDENTITY when it was not sealed for this identity; ERR_BACKUP_DAMAGED when anything is not as
 * the manifest says. Whatever the content throws comes as it is
 */
export async function* openData(
  content: AsyncIterable<Uint8Array>,
  { manifest, identity }: { readonly manifest: Manifest; readonly identity: BackupIdentity },
): AsyncIterable<ExportPart> {
  refuseIdentity(manifest, identity);
  const source = new CheckedContent(content);
  yield* held(readScript(opened(source, { manifest, identity })), manifest);
  if (source.bytes !== manifest.data.bytes || source.sha256() !== manifest.data.sha256)
    throw damaged(manifest, 'its data is that of another export, or was changed');
}

/** Says before anything is read that an export is not for an identity. @throws BackupError ERR_BACKUP_IDENTITY */
export function refuseIdentity({ name, recipients }: Manifest, { recipient }: BackupIdentity): void {
  if (recipients.includes(recipient.age)) return;
  throw new BackupError(
    'ERR_BACKUP_IDENTITY',
    `export ${name} is not for this identity (${recipient.age}), but for ${recipients.join(', ')}`,
  );
}

/** What is inside; whatever goes wrong on the way is the fault of the target, or the export is damaged. */
async function* opened(
  source: CheckedContent,
  { manifest, identity }: { readonly manifest: Manifest; readonly identity: BackupIdentity },
): AsyncIterable<Uint8Array> {
  try {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity.secret);
    const decrypted = await decrypter.decrypt(ReadableStream.from(source.read()));
    // As above.
    yield* piped(decrypted as unknown as AsyncIterable<Uint8Array>, createGunzip());
  } catch (error) {
    throw source.fault ?? damaged(manifest, 'it does not decrypt', error);
  }
}

/** Parts that are those of the manifest, one by one. */
async function* held(parts: AsyncIterable<ExportPart>, manifest: Manifest): AsyncIterable<ExportPart> {
  let count = 0;
  for await (const part of parts) {
    const wanted = manifest.parts[count++];
    if (part.name !== wanted?.name) throw damaged(manifest, `part ${part.name} stands where another one belongs`);
    yield { ...part, rows: rowsHeld(part, wanted, manifest) };
  }
  if (count !== manifest.parts.length) throw damaged(manifest, `part ${manifest.parts[count]!.name} is missing`);
}

async function* rowsHeld(part: ExportPart, wanted: ManifestPart, manifest: Manifest): AsyncIterable<Uint8Array> {
  const measure = new Measure();
  yield* measure.of(part.rows);
  const { rows, bytes, sha256 } = measure.result();
  if (rows !== wanted.rows || bytes !== wanted.bytes || sha256 !== wanted.sha256)
    throw damaged(manifest, `part ${part.name} is not as the manifest says`);
}

async function* measured(
  parts: AsyncIterable<ExportPart>,
  note: (part: ManifestPart) => void,
): AsyncIterable<ExportPart> {
  for await (const part of parts) {
    const measure = new Measure();
    yield { ...part, rows: measure.of(part.rows) };
    note({ name: part.name, ...measure.result() });
  }
}

/** Rows, bytes and hash of a part that passes. */
class Measure {
  readonly #hash = createHash('sha256');
  #rows = 0;
  #bytes = 0;

  async *of(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const bytes of content) {
      this.#hash.update(bytes);
      this.#bytes += bytes.length;
      for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) this.#rows += 1;
      yield bytes;
    }
  }

  result(): Omit<ManifestPart, 'name'> {
    return { rows: this.#rows, bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}

/** What a target gives, its size and hash, and why it ended early. */
class CheckedContent {
  readonly #content: AsyncIterable<Uint8Array>;
  readonly #hash: Hash = createHash('sha256');
  bytes = 0;
  fault: unknown;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#content = content;
  }

  async *read(): AsyncIterable<Uint8Array> {
    try {
      for await (const bytes of this.#content) {
        this.#hash.update(bytes);
        this.bytes += bytes.length;
        yield bytes;
      }
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** What comes out of a transform; an error on the way in comes out, too. */
function piped(content: AsyncIterable<Uint8Array>, transform: Duplex): AsyncIterable<Uint8Array> {
  pipeline(Readable.from(content, { objectMode: false }), transform, () => undefined);
  return transform;
}

function damaged({ name }: Manifest, why: string, cause?: unknown): BackupError {
  return new BackupError('ERR_BACKUP_DAMAGED', `export ${name} is damaged: ${why}`, { cause });
}
