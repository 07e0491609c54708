import { allocate } from './bytes.ts';

/** One header or trailer field: lower-case name, value of one character per byte (Latin-1). */
export type Field = readonly [name: string, value: string];

/** Control data and header section of a request (RFC 9292, section 3.4). */
export interface RequestHead {
  /** Method as it goes out, a token (RFC 9110, section 9.1). */
  readonly method: string;
  /** `http` or `https`. */
  readonly scheme: string;
  /** Host, with `:port` unless it is that of the scheme. */
  readonly authority: string;
  /** Path with query, byte by byte as it goes out. */
  readonly path: string;
  /** Header fields in their order; `host`, if it is there, must be the authority. */
  readonly fields: readonly Field[];
}

/** Status and header section of a response (RFC 9292, section 3.5). */
export interface ResponseHead {
  /** Status code, 100 to 599. */
  readonly status: number;
  /** Header fields in their order. */
  readonly fields: readonly Field[];
}

/** Framing indicators of the two messages of indeterminate length (RFC 9292, section 3.3). */
export const INDETERMINATE_REQUEST = 2;
export const INDETERMINATE_RESPONSE = 3;

/** Bounds of a message head that a resource may widen (SPEC.md, section 7). */
export interface HeadLimits {
  /** Names and values of all fields together, bytes. */
  readonly sectionBytes: number;
  /** Number of fields. */
  readonly fields: number;
  /** One value, bytes. */
  readonly valueBytes: number;
  /** Path and query, bytes. */
  readonly pathBytes: number;
}

/** Bounds of a message head unless its resource has others (SPEC.md, section 7). */
export const HTTP_LIMITS = {
  sectionBytes: 32_768,
  fields: 100,
  nameBytes: 128,
  valueBytes: 8_192,
  pathBytes: 8_192,
  authorityBytes: 255,
  methodBytes: 32,
  informational: 4,
} as const;

/** The widest bounds that a resource can have: what a Proxy passes, a device takes. */
export const WIDEST_HEAD: HeadLimits = {
  sectionBytes: 1_048_576,
  fields: 200,
  valueBytes: 65_536,
  pathBytes: 65_536,
};

/** Variable-length integer (RFC 9000, section 16), shortest form. */
export function encodeVarint(value: number): Uint8Array {
  const bytes = new Uint8Array(varintBytes(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

function varintBytes(value: number): 1 | 2 | 4 {
  if (value < 2 ** 6) return 1;
  if (value < 2 ** 14) return 2;
  if (value >= 2 ** 30) throw new TypeError('no length of the protocol is that large');
  return 4;
}

/** Writes at `at` and gives the offset behind it, as all writers here do. */
function writeVarint(target: Uint8Array, at: number, value: number): number {
  const bytes = varintBytes(value);
  if (bytes === 1) {
    target[at] = value;
    return at + 1;
  }
  if (bytes === 2) {
    target[at] = 0x40 | (value >> 8);
    target[at + 1] = value;
    return at + 2;
  }
  target[at] = 0x80 | (value >>> 24);
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

/** Length and bytes of a text with one character per byte. */
function writeString(target: Uint8Array, at: number, text: string): number {
  const start = writeVarint(target, at, text.length);
  for (let i = 0; i < text.length; i++) target[start + i] = text.charCodeAt(i);
  return start + text.length;
}

function stringBytes(text: string): number {
  return varintBytes(text.length) + text.length;
}

function fieldsBytes(fields: readonly Field[]): number {
  let bytes = 1;
  for (const [name, value] of fields) bytes += stringBytes(name) + stringBytes(value);
  return bytes;
}

function writeFields(target: Uint8Array, at: number, fields: readonly Field[]): number {
  let next = at;
  for (const [name, value] of fields) next = writeString(target, writeString(target, next, name), value);
  target[next] = 0;
  return next + 1;
}

/** Framing indicator, control data and header section of a request. */
export function encodeRequestHead({ method, scheme, authority, path, fields }: RequestHead): Uint8Array {
  const control = [method, scheme, authority, path];
  const bytes = control.reduce((sum, text) => sum + stringBytes(text), 1) + fieldsBytes(fields);
  const target = new Uint8Array(bytes);
  target[0] = INDETERMINATE_REQUEST;
  let at = 1;
  for (const text of control) at = writeString(target, at, text);
  writeFields(target, at, fields);
  return target;
}

function headBytes({ status, fields }: ResponseHead): number {
  return varintBytes(status) + fieldsBytes(fields);
}

function writeHead(target: Uint8Array, at: number, { status, fields }: ResponseHead): number {
  return writeFields(target, writeVarint(target, at, status), fields);
}

/** Framing indicator, status and header section of a final response, after any informational ones. */
export function encodeResponseHead(head: ResponseHead, informational: readonly ResponseHead[] = []): Uint8Array {
  const heads = [...informational, head];
  const target = new Uint8Array(heads.reduce((sum, one) => sum + headBytes(one), 1));
  target[0] = INDETERMINATE_RESPONSE;
  let at = 1;
  for (const one of heads) at = writeHead(target, at, one);
  return target;
}

/** A complete response without trailers, in one piece: what head, one chunk and end would be one after the other. */
export function encodeResponse(head: ResponseHead, content: Uint8Array): Uint8Array {
  const chunk = content.length === 0 ? 0 : varintBytes(content.length) + content.length;
  const target = allocate(1 + headBytes(head) + chunk + 2);
  target[0] = INDETERMINATE_RESPONSE;
  const at = writeHead(target, 1, head);
  if (chunk > 0) target.set(content, writeVarint(target, at, content.length));
  // The end of the content and the empty trailer section.
  target[at + chunk] = 0;
  target[at + chunk + 1] = 0;
  return target;
}

/** Prefix of one chunk of content; the bytes follow it. An empty chunk would read as the end and is a TypeError. */
export function encodeChunkPrefix(bytes: number): Uint8Array {
  if (bytes === 0) throw new TypeError('a chunk is never empty');
  return encodeVarint(bytes);
}

/** End of the content, and the trailer section. */
export function encodeMessageEnd(trailers: readonly Field[] = []): Uint8Array {
  const target = new Uint8Array(1 + fieldsBytes(trailers));
  writeFields(target, 1, trailers);
  return target;
}
