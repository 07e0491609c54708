import { PackageError } from '../errors.ts';
import { Fields } from './fields.ts';

/** What an Android manifest says. */
export interface AndroidManifest {
  readonly id: string;
  /** `versionName`. */
  readonly version: string;
  /** `versionCode`, with its upper half. */
  readonly build: number;
  /** Lowest API level. */
  readonly minSdk: number;
  readonly permissions: readonly string[];
}

/** An element of a manifest, with those of its attributes that count. */
export interface ManifestElement {
  readonly name: string;
  /** 0 for the one around all. */
  readonly depth: number;
  readonly attributes: ReadonlyMap<string, string | number>;
}

const CHUNK = { strings: 0x0001, document: 0x0003, resources: 0x0180, start: 0x0102, end: 0x0103 } as const;
const CHUNK_HEAD_BYTES = 8;
const UTF8_FLAG = 0x100;
const NONE = 0xffffffff;
const MAX_STRINGS = 65_536;
/** More elements than any manifest has. */
export const MAX_ELEMENTS = 20_000;
const MAX_PERMISSIONS = 1_000;

/** Attributes of Android by their resource: what an attribute is called in the file is nothing to the system. */
export const ATTRIBUTES: ReadonlyMap<number, string> = new Map([
  [0x01010003, 'name'],
  [0x0101021b, 'versionCode'],
  [0x0101021c, 'versionName'],
  [0x01010576, 'versionCodeMajor'],
  [0x0101020c, 'minSdkVersion'],
]);
const VALUE = { string: 0x03, first: 0x10, last: 0x11 } as const;

/**
 * Reads a binary AndroidManifest.xml (ResourceTypes.h of the Android Open Source Project).
 * @throws PackageError ERR_PACKAGE_MANIFEST
 */
export function readAndroidManifest(bytes: Buffer): AndroidManifest {
  return manifestOf(readElements(bytes));
}

/** What the elements of a manifest say, in whatever form they were written. @throws PackageError ERR_PACKAGE_MANIFEST */
export function manifestOf(elements: readonly ManifestElement[]): AndroidManifest {
  const [manifest] = elements;
  const roots = elements.filter(({ depth }) => depth === 0);
  if (manifest?.name !== 'manifest' || roots.length !== 1) throw wrong('it has not one element around all');
  const children = elements.filter(({ depth }) => depth === 1);
  const sdks = children.filter(({ name }) => name === 'uses-sdk');
  if (sdks.length > 1) throw wrong('it says twice which systems it is for');
  const major = numberOf(manifest, 'versionCodeMajor', 0);
  return {
    id: textOf(manifest, 'package'),
    version: textOf(manifest, 'versionName'),
    build: major * 2 ** 32 + numberOf(manifest, 'versionCode'),
    minSdk: sdks[0] ? numberOf(sdks[0], 'minSdkVersion', 1) : 1,
    permissions: permissionsOf(children),
  };
}

/** The error for a manifest of which this is wrong. */
export function wrong(why: string): PackageError {
  return new PackageError('ERR_PACKAGE_MANIFEST', `the manifest cannot be read: ${why}`);
}

function permissionsOf(children: readonly ManifestElement[]): string[] {
  const named = children
    .filter(({ name }) => name === 'uses-permission' || name === 'uses-permission-sdk-23')
    .map((element) => textOf(element, 'name'));
  if (named.length > MAX_PERMISSIONS) throw wrong('it asks for too many permissions');
  return [...new Set(named)].sort();
}

function textOf({ attributes }: ManifestElement, name: string): string {
  const value = attributes.get(name);
  if (typeof value !== 'string' || value === '' || value.length > 255) throw wrong(`${name} is no plain text`);
  if (/\p{Cc}/u.test(value)) throw wrong(`${name} has control characters`);
  return value;
}

function numberOf({ attributes }: ManifestElement, name: string, otherwise?: number): number {
  const value = attributes.get(name) ?? otherwise;
  if (typeof value !== 'number') throw wrong(`${name} is no number`);
  return value;
}

function readElements(bytes: Buffer): ManifestElement[] {
  const document = new Fields(bytes, 'ERR_PACKAGE_MANIFEST');
  if (document.u16() !== CHUNK.document) throw wrong('it is no binary XML');
  document.u16();
  if (document.u32() > bytes.length) throw wrong('it is cut off');
  const elements: ManifestElement[] = [];
  let strings: readonly string[] = [];
  let resources: readonly number[] = [];
  let depth = 0;
  while (!document.isOver) {
    const [type, head, size] = [document.u16(), document.u16(), document.u32()];
    if (head < CHUNK_HEAD_BYTES || size < head) throw wrong('a part of it is shorter than its head');
    const chunk = document.take(size - CHUNK_HEAD_BYTES);
    if (type === CHUNK.strings) strings = readStrings(chunk, head);
    if (type === CHUNK.resources) resources = readResources(chunk.subarray(head - CHUNK_HEAD_BYTES));
    if (type === CHUNK.end) depth -= 1;
    if (type !== CHUNK.start) continue;
    if (elements.length === MAX_ELEMENTS) throw wrong('it has too many elements');
    elements.push(readElement(chunk.subarray(head - CHUNK_HEAD_BYTES), { strings, resources, depth }));
    depth += 1;
  }
  return elements;
}

function readResources(chunk: Buffer): number[] {
  return Array.from({ length: Math.floor(chunk.length / 4) }, (_, i) => chunk.readUInt32LE(i * 4));
}

/**
 * Offsets are held against the chunk: texts lie inside of it, and together they are no longer than it. A small chunk whose offsets all name
 * one long text would else be a large memory.
 */
function readStrings(chunk: Buffer, head: number): string[] {
  const fields = new Fields(chunk, 'ERR_PACKAGE_MANIFEST');
  const [count, , flags, start] = [fields.u32(), fields.u32(), fields.u32(), fields.u32()];
  if (count > MAX_STRINGS) throw wrong('it has too many texts');
  const offsets = new Fields(chunk.subarray(head - CHUNK_HEAD_BYTES), 'ERR_PACKAGE_MANIFEST');
  let room = chunk.length;
  return Array.from({ length: count }, () => {
    const at = start - CHUNK_HEAD_BYTES + offsets.u32();
    if (at < 0 || at >= chunk.length) throw wrong('a text lies outside of it');
    const text = flags & UTF8_FLAG ? utf8At(chunk, at) : utf16At(chunk, at);
    room -= text.length;
    if (room < 0) throw wrong('its texts lie over each other');
    return text;
  });
}

function utf8At(chunk: Buffer, at: number): string {
  const fields = new Fields(chunk.subarray(at), 'ERR_PACKAGE_MANIFEST');
  shortLength(fields);
  return fields.take(shortLength(fields)).toString('utf8');
}

function shortLength(fields: Fields): number {
  const first = fields.take(1)[0]!;
  return first & 0x80 ? ((first & 0x7f) << 8) | fields.take(1)[0]! : first;
}

function utf16At(chunk: Buffer, at: number): string {
  const fields = new Fields(chunk.subarray(at), 'ERR_PACKAGE_MANIFEST');
  const first = fields.u16();
  const length = first & 0x8000 ? ((first & 0x7fff) << 16) | fields.u16() : first;
  return fields.take(length * 2).toString('utf16le');
}

function readElement(
  chunk: Buffer,
  of: { readonly strings: readonly string[]; readonly resources: readonly number[]; readonly depth: number },
): ManifestElement {
  const fields = new Fields(chunk, 'ERR_PACKAGE_MANIFEST');
  fields.u32();
  const name = of.strings[fields.u32()];
  const [start, size, count] = [fields.u16(), fields.u16(), fields.u16()];
  if (name === undefined || size !== 20) throw wrong('an element has no name, or attributes of another kind');
  const list = new Fields(chunk.subarray(start), 'ERR_PACKAGE_MANIFEST');
  const attributes = new Map<string, string | number>();
  for (let i = 0; i < count; i++) {
    const [space, nameAt] = [list.u32(), list.u32()];
    list.u32();
    const [, kind] = [list.u16(), list.u16() >> 8];
    const value = list.u32();
    const known = space === NONE ? plainName(of.strings[nameAt]) : ATTRIBUTES.get(of.resources[nameAt] ?? 0);
    if (known === undefined) continue;
    if (attributes.has(known)) throw wrong('an element says something twice');
    attributes.set(known, attributeValue(kind, value, of.strings));
  }
  return { name, depth: of.depth, attributes };
}

/** The one attribute without a namespace that counts. */
export function plainName(name: string | undefined): string | undefined {
  return name === 'package' ? name : undefined;
}

/** References to other files of the package are not followed: what counts is said here. */
function attributeValue(kind: number, value: number, strings: readonly string[]): string | number {
  if (kind === VALUE.string) return strings[value] ?? '';
  return kind === VALUE.first || kind === VALUE.last ? value : '';
}
