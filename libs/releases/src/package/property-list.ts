import { DOMParser, onWarningStopParsing, type Element as XmlElement } from '@xmldom/xmldom';
import { PackageError } from '../errors.ts';

/** The texts of a property list by their keys, and all keys; what is no text has its key only. */
export interface PropertyList {
  readonly texts: ReadonlyMap<string, string>;
  readonly keys: ReadonlySet<string>;
  /** Of a list as XML its values; of a binary one nothing but texts is read. */
  readonly values: Readonly<Record<string, unknown>>;
}

const BINARY = 'bplist00';
const TRAILER_BYTES = 32;
const MAX_BYTES = 512 * 1024;
const MAX_DEPTH = 16;
const MAX_KEYS = 4_096;

/**
 * Reads the outermost dictionary of a property list, as XML or binary. Of a binary one no more than that is followed: in such lists
 * parts may stand for each other, and a small one for more than any memory.
 * @throws PackageError ERR_PACKAGE_MANIFEST
 */
export function readPropertyList(bytes: Buffer): PropertyList {
  if (bytes.length > MAX_BYTES) throw wrong('it is too long');
  return bytes.subarray(0, BINARY.length).toString('latin1') === BINARY ? readBinary(bytes) : readXml(bytes);
}

function wrong(why: string, cause?: unknown): PackageError {
  const message = `the property list cannot be read: ${why}`;
  return new PackageError('ERR_PACKAGE_MANIFEST', message, cause === undefined ? {} : { cause });
}

function readXml(bytes: Buffer): PropertyList {
  const [top, ...more] = childrenOf(rootOf(bytes));
  if (top?.tagName !== 'dict' || more.length > 0) throw wrong('it is no dictionary');
  const values = readValue(top, 0) as Readonly<Record<string, unknown>>;
  const entries = Object.entries(values);
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { texts: new Map(texts), keys: new Set(entries.map(([key]) => key)), values };
}

/** The element `plist`. Whatever the parser has to say ends it, and is said nowhere else: it may be anybody's text. */
function rootOf(bytes: Buffer): XmlElement {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const root = new DOMParser({ onError: onWarningStopParsing }).parseFromString(text, 'text/xml').documentElement;
    if (root?.tagName === 'plist') return root;
  } catch (cause) {
    throw wrong('it is no XML of that kind', cause);
  }
  throw wrong('it is no XML of that kind');
}

function childrenOf({ childNodes }: XmlElement): XmlElement[] {
  return [...childNodes].filter((node): node is XmlElement => node.nodeType === 1);
}

function readValue(element: XmlElement, depth: number): unknown {
  if (depth > MAX_DEPTH) throw wrong('it is nested too deep');
  const text = element.textContent ?? '';
  switch (element.tagName) {
    case 'dict':
      return entriesOf(childrenOf(element), depth);
    case 'array':
      return childrenOf(element).map((child) => readValue(child, depth + 1));
    case 'string':
      return text;
    case 'date':
      return new Date(text);
    case 'data':
      return Uint8Array.from(Buffer.from(text, 'base64'));
    default:
      // Numbers and flags are nothing that is asked for.
      return null;
  }
}

function entriesOf(children: readonly XmlElement[], depth: number): Readonly<Record<string, unknown>> {
  const entries = new Map<string, unknown>();
  for (let i = 0; i < children.length; i += 2) {
    const [key, value] = [children[i]!, children[i + 1]];
    const name = key.textContent ?? '';
    if (key.tagName !== 'key' || !value || entries.has(name))
      throw wrong('an entry in it has no key, no value, or is there twice');
    entries.set(name, readValue(value, depth + 1));
  }
  // From entries: whatever a key is called, it is one of its own.
  return Object.fromEntries(entries);
}

/** The table of a binary list: where each part begins, and how wide numbers of parts are. */
interface Parts {
  readonly bytes: Buffer;
  readonly count: number;
  readonly offsetBytes: number;
  readonly refBytes: number;
  readonly tableAt: number;
}

/** CFBinaryPList.c of Apple: header, parts, offsets, and a trailer of 32 bytes that says how these are to be read. */
function readBinary(bytes: Buffer): PropertyList {
  if (bytes.length < BINARY.length + TRAILER_BYTES) throw wrong('it is cut off');
  const trailer = bytes.subarray(-TRAILER_BYTES);
  const [count, top, tableAt] = [8, 16, 24].map((at) => Number(trailer.readBigUInt64BE(at))) as [
    number,
    number,
    number,
  ];
  const parts = { bytes, count, offsetBytes: trailer[6]!, refBytes: trailer[7]!, tableAt };
  const widths = [parts.offsetBytes, parts.refBytes];
  if (widths.some((width) => width < 1 || width > 6)) throw wrong('its table has no fit width');
  if (top >= count || tableAt + count * parts.offsetBytes > bytes.length - TRAILER_BYTES) throw wrong('it is cut off');
  return dictionaryAt(parts, offsetOf(parts, top));
}

function uintAt(bytes: Buffer, at: number, width: number): number {
  if (at < 0 || at + width > bytes.length) throw wrong('it is cut off');
  return bytes.readUIntBE(at, width);
}

function offsetOf({ bytes, count, offsetBytes, tableAt }: Parts, part: number): number {
  if (part >= count) throw wrong('it names a part that is not there');
  return uintAt(bytes, tableAt + part * offsetBytes, offsetBytes);
}

const KIND = { int: 0x1, ascii: 0x5, utf16: 0x6, dictionary: 0xd } as const;

/** What a part is, how many of that it holds, and where they begin. */
function headAt(
  { bytes }: Parts,
  at: number,
): { readonly kind: number; readonly length: number; readonly begin: number } {
  const marker = uintAt(bytes, at, 1);
  const [kind, small] = [marker >> 4, marker & 0xf];
  if (small !== 0xf) return { kind, length: small, begin: at + 1 };
  const size = uintAt(bytes, at + 1, 1);
  const width = 2 ** (size & 0xf);
  if (size >> 4 !== KIND.int || width > 4) throw wrong('a length in it is none');
  return { kind, length: uintAt(bytes, at + 2, width), begin: at + 2 + width };
}

function dictionaryAt(parts: Parts, at: number): PropertyList {
  const { kind, length, begin } = headAt(parts, at);
  if (kind !== KIND.dictionary) throw wrong('it is no dictionary');
  if (length > MAX_KEYS) throw wrong('it has too many entries');
  const { bytes, refBytes } = parts;
  const partAt = (index: number): number => offsetOf(parts, uintAt(bytes, begin + index * refBytes, refBytes));
  const texts = new Map<string, string>();
  const keys = new Set<string>();
  let room = bytes.length;
  for (let i = 0; i < length; i++) {
    const key = textAt(parts, partAt(i));
    if (key === undefined || keys.has(key)) throw wrong('an entry in it has no key, or one that is there twice');
    keys.add(key);
    const text = textAt(parts, partAt(length + i));
    if (text !== undefined) texts.set(key, text);
    // Small ones, like an empty text, are there for several entries; a long one is not.
    room -= key.length + (text ?? '').length;
    if (room < 0) throw wrong('its texts lie over each other');
  }
  return { texts, keys, values: {} };
}

/** A text; undefined for a part of any other kind. */
function textAt(parts: Parts, at: number): string | undefined {
  const { kind, length, begin } = headAt(parts, at);
  if (kind !== KIND.ascii && kind !== KIND.utf16) return undefined;
  const end = begin + length * (kind === KIND.utf16 ? 2 : 1);
  if (end > parts.bytes.length) throw wrong('it is cut off');
  const content = parts.bytes.subarray(begin, end);
  return kind === KIND.ascii ? content.toString('latin1') : Buffer.from(content).swap16().toString('utf16le');
}
