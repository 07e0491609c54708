import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw, inflateRawSync } from 'node:zlib';
import { PackageError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';

/** A part of a package, as its directory says. */
export interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly headerAt: number;
  /** Its sizes stand behind it, too, and not in its header. */
  readonly isStreamed: boolean;
}

/** The directory of a zip file, and where it lies. */
export interface Zip {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly directoryAt: number;
  readonly endAt: number;
}

/** Bounds of what is taken into memory. */
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024;
const MAX_ENTRIES = 65_534;
const MAX_NAME_BYTES = 4_096;
/** What may be in a part that is read: manifests are far smaller. */
const MAX_PART_BYTES = 16 * 1024 * 1024;

/** Bytes of a part that are in memory at a time where it is read as a whole. */
const PIECE_BYTES = 1024 * 1024;

const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const END = 0x06054b50;
const ZIP64_LOCATOR = 0x07064b50;
const ENTRY = 0x02014b50;
const HEADER = 0x04034b50;
const ENTRY_BYTES = 46;
const HEADER_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const STREAMED = 8;
/** What a part may be: nothing said, a file or a folder. */
const KINDS = [0, 0o100000, 0o040000];
/** A part that is streamed has its checksum and sizes behind it, with or without a mark before them. */
const DESCRIPTOR_BYTES = [12, 16];
const NO_ZIP64 = 0xffffffff;

/**
 * Reads the directory of a zip file (APPNOTE.TXT, 4.3). One end record, at the very end; no archive in parts, no zip64; names that lead
 * nowhere else, each once. Nothing is unpacked.
 *
 * Ours and no library's, because the signature of an APK covers what lies around this directory: both must read the same bytes in
 * the same way.
 * @throws PackageError ERR_PACKAGE_FORMAT, ERR_PACKAGE_LARGE, ERR_PACKAGE_NAME
 */
export async function readZip(source: ByteSource): Promise<Zip> {
  const { end, endAt } = await findEnd(source);
  const [disk, directoryDisk, here, count] = [4, 6, 8, 10].map((at) => end.readUInt16LE(at));
  const [directoryBytes, directoryAt] = [end.readUInt32LE(12), end.readUInt32LE(16)];
  if (count === 0xffff || directoryBytes === NO_ZIP64 || directoryAt === NO_ZIP64 || (await hasZip64(source, endAt)))
    throw new PackageError('ERR_PACKAGE_LARGE', 'packages of 4 GiB and more (zip64) are not taken');
  if (disk !== 0 || directoryDisk !== 0 || here !== count) throw malformed('it is one of several parts');
  if (count! > MAX_ENTRIES || directoryBytes > MAX_DIRECTORY_BYTES)
    throw new PackageError('ERR_PACKAGE_LARGE', `more than ${MAX_ENTRIES} parts, or too long names`);
  if (directoryAt + directoryBytes !== endAt) throw malformed('its directory does not end where it says');
  const directory = await source.read(directoryAt, directoryBytes);
  return { source, entries: readEntries(directory, { count: count!, directoryAt }), directoryAt, endAt };
}

function malformed(why: string): PackageError {
  return new PackageError('ERR_PACKAGE_FORMAT', `this is no whole package: ${why}`);
}

/** The end record whose comment reaches exactly to the end of the file; another one before it would be another directory. */
async function findEnd(source: ByteSource): Promise<{ end: Buffer; endAt: number }> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT);
  if (length < END_BYTES) throw malformed('it has no directory');
  const tail = await source.read(source.size - length, length);
  const found: number[] = [];
  for (let at = length - END_BYTES; at >= 0; at--)
    if (tail.readUInt32LE(at) === END && at + END_BYTES + tail.readUInt16LE(at + 20) === length) found.push(at);
  if (found.length === 0) throw malformed('it has no directory');
  if (found.length > 1) throw malformed('it has two directories');
  return { end: tail.subarray(found[0]!), endAt: source.size - length + found[0]! };
}

async function hasZip64(source: ByteSource, endAt: number): Promise<boolean> {
  return endAt >= 20 && (await source.read(endAt - 20, 4)).readUInt32LE() === ZIP64_LOCATOR;
}

function readEntries(
  directory: Buffer,
  { count, directoryAt }: { readonly count: number; readonly directoryAt: number },
): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_BYTES > directory.length || directory.readUInt32LE(at) !== ENTRY)
      throw malformed('a part has no entry');
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field));
    const end = at + ENTRY_BYTES + nameBytes! + extra! + comment!;
    if (end > directory.length) throw malformed('its directory is cut off');
    const entry = readEntry(directory.subarray(at, at + ENTRY_BYTES + nameBytes!));
    if (entries.has(entry.name)) throw new PackageError('ERR_PACKAGE_NAME', `two parts have one name: ${entry.name}`);
    if (entry.headerAt + HEADER_BYTES + entry.packedBytes > directoryAt) throw malformed('a part lies behind its end');
    entries.set(entry.name, entry);
    at = end;
  }
  if (at !== directory.length) throw malformed('its directory is longer than its parts');
  checkApart(entries);
  return entries;
}

/** No byte belongs to two parts: a small file in which many parts share theirs unpacks to any size. */
function checkApart(entries: ReadonlyMap<string, ZipEntry>): void {
  let end = 0;
  for (const { headerAt, packedBytes } of inOrder(entries)) {
    if (headerAt < end) throw malformed('its parts lie over each other');
    end = headerAt + HEADER_BYTES + packedBytes;
  }
}

function inOrder(entries: ReadonlyMap<string, ZipEntry>): ZipEntry[] {
  return [...entries.values()].sort((a, b) => a.headerAt - b.headerAt);
}

function readEntry(bytes: Buffer): ZipEntry {
  const flags = bytes.readUInt16LE(8);
  const [packedBytes, size, headerAt] = [20, 24, 42].map((field) => bytes.readUInt32LE(field));
  if ([packedBytes, size, headerAt].includes(NO_ZIP64))
    throw new PackageError('ERR_PACKAGE_LARGE', 'a part of 4 GiB and more is not taken');
  if (flags & ENCRYPTED) throw malformed('a part is encrypted');
  // The upper half of its attributes, as Unix has them: a link leads anywhere.
  if (!KINDS.includes(bytes.readUInt16LE(40) & 0xf000))
    throw new PackageError('ERR_PACKAGE_NAME', 'a part is no file and no folder');
  return {
    name: readName(bytes.subarray(ENTRY_BYTES)),
    method: bytes.readUInt16LE(10),
    crc: bytes.readUInt32LE(16),
    packedBytes: packedBytes!,
    bytes: size!,
    headerAt: headerAt!,
    isStreamed: (flags & STREAMED) !== 0,
  };
}

/** A name that stays inside of the package, whatever unpacks it. */
function readName(bytes: Buffer): string {
  if (bytes.length === 0 || bytes.length > MAX_NAME_BYTES)
    throw new PackageError('ERR_PACKAGE_NAME', 'a part has no fit name');
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new PackageError('ERR_PACKAGE_NAME', 'the name of a part is not UTF-8');
  }
  const parts = name.replace(/\/$/, '').split('/');
  const leads = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\:\p{Cc}]/u.test(name);
  if (leads) throw new PackageError('ERR_PACKAGE_NAME', 'the name of a part leads out of the package');
  return name;
}

/**
 * Holds the headers of all parts against the directory, which alone was read so far: parts lie one behind the other from the first byte to
 * the directory, each named and as large as that says. Whoever unpacks it from its beginning then finds the same as who goes by its end.
 * @throws PackageError ERR_PACKAGE_FORMAT
 */
export async function checkParts(zip: Zip): Promise<void> {
  const differs = (): PackageError => malformed('its parts and its directory do not say the same');
  let ends = [0];
  for (const entry of inOrder(zip.entries)) {
    if (!ends.includes(entry.headerAt)) throw differs();
    const { header, contentAt } = await readHeader(zip, entry);
    const isStreamed = (header.readUInt16LE(6) & STREAMED) !== 0;
    const said = [14, 18, 22].map((at) => header.readUInt32LE(at));
    const known = [entry.crc, entry.packedBytes, entry.bytes];
    if (isStreamed !== entry.isStreamed || (!isStreamed && String(said) !== String(known))) throw differs();
    const end = contentAt + entry.packedBytes;
    ends = entry.isStreamed ? DESCRIPTOR_BYTES.map((bytes) => end + bytes) : [end];
  }
  if (!ends.includes(zip.directoryAt)) throw differs();
}

/** The own header of a part, which must say the same name and method as the directory. */
async function readHeader({ source }: Zip, entry: ZipEntry): Promise<{ header: Buffer; contentAt: number }> {
  const header = await source.read(entry.headerAt, HEADER_BYTES);
  if (header.readUInt32LE() !== HEADER) throw malformed('a part has no header');
  const [nameBytes, extraBytes] = [header.readUInt16LE(26), header.readUInt16LE(28)];
  const name = await source.read(entry.headerAt + HEADER_BYTES, nameBytes);
  if (name.toString() !== entry.name || header.readUInt16LE(8) !== entry.method)
    throw malformed('a part and the directory do not say the same');
  return { header, contentAt: entry.headerAt + HEADER_BYTES + nameBytes + extraBytes };
}

/**
 * Unpacks one part, at most 16 MiB of it. Its own header must say the same as the directory.
 * @throws PackageError ERR_PACKAGE_LARGE for more, ERR_PACKAGE_FORMAT for a part that is not what it says
 */
export async function readPart(zip: Zip, entry: ZipEntry): Promise<Buffer> {
  if (entry.bytes > MAX_PART_BYTES || entry.packedBytes > MAX_PART_BYTES)
    throw new PackageError('ERR_PACKAGE_LARGE', `a part that is to be read has more than ${MAX_PART_BYTES} bytes`);
  const { contentAt } = await readHeader(zip, entry);
  const packed = await zip.source.read(contentAt, entry.packedBytes);
  const content = unpack(packed, entry);
  if (content.length !== entry.bytes || crc32(content) !== entry.crc) throw malformed('a part is damaged');
  return content;
}

function unpack(packed: Buffer, { method, bytes }: ZipEntry): Buffer {
  if (method === STORED) return packed;
  if (method !== DEFLATED) throw malformed('a part is packed in an unknown way');
  try {
    // It ends where it has more than it said: a bomb costs no more memory than what it is taken for.
    return inflateRawSync(packed, { maxOutputLength: bytes + 1 });
  } catch (cause) {
    // Node's own way to say so: a RangeError, where all else is an error of zlib.
    if (cause instanceof RangeError)
      throw new PackageError('ERR_PACKAGE_LARGE', 'a part unpacks to more than it says', { cause });
    throw new PackageError('ERR_PACKAGE_FORMAT', 'this is no whole package: a part is damaged', { cause });
  }
}

/**
 * The digest of what a part unpacks to, however large that is: some MiB of it are in memory at a time.
 * @throws PackageError ERR_PACKAGE_LARGE, ERR_PACKAGE_FORMAT for a part that is not what it says
 */
export async function digestOfPart(zip: Zip, entry: ZipEntry, algorithm: string): Promise<Buffer> {
  const { contentAt } = await readHeader(zip, entry);
  const hash = createHash(algorithm);
  let [bytes, crc] = [0, 0];
  const take = async (content: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of content) {
      bytes += piece.length;
      if (bytes > entry.bytes) throw new PackageError('ERR_PACKAGE_LARGE', 'a part unpacks to more than it says');
      crc = crc32(piece, crc);
      hash.update(piece);
    }
  };
  const packed = piecesOf(zip, { at: contentAt, length: entry.packedBytes });
  if (entry.method === STORED) await take(packed);
  else if (entry.method === DEFLATED)
    await pipeline(Readable.from(packed), createInflateRaw(), take).catch((cause: unknown) => {
      if (cause instanceof PackageError) throw cause;
      throw new PackageError('ERR_PACKAGE_FORMAT', 'this is no whole package: a part is damaged', { cause });
    });
  else throw malformed('a part is packed in an unknown way');
  if (bytes !== entry.bytes || crc !== entry.crc) throw malformed('a part is damaged');
  return hash.digest();
}

async function* piecesOf({ source }: Zip, { at, length }: { at: number; length: number }): AsyncGenerator<Buffer> {
  for (let done = 0; done < length; done += PIECE_BYTES)
    yield await source.read(at + done, Math.min(PIECE_BYTES, length - done));
}
