const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The empty byte string. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** UTF-8 bytes of a text. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 bytes. @throws TypeError when the bytes are not well-formed UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

type Allocate = (length: number) => Uint8Array;
/** Node gives memory without clearing it, small parts of it from a larger piece. */
const nativeAllocate = (globalThis as { Buffer?: { allocUnsafe: Allocate } }).Buffer?.allocUnsafe;

/** Memory that holds anything: whoever asks for it writes every byte. */
export function allocate(length: number): Uint8Array {
  return nativeAllocate ? nativeAllocate(length) : new Uint8Array(length);
}

type LatinSlice = (this: Uint8Array, start: number, end: number) => string;
/** Node reads Latin-1 in one call; elsewhere characters are put together one by one. */
const nativeSlice = (globalThis as { Buffer?: { prototype: { latin1Slice: LatinSlice } } }).Buffer?.prototype
  .latin1Slice;

/** Text of bytes `start` to `end`, one character per byte. */
export function formatLatin1(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (nativeSlice) return nativeSlice.call(bytes, start, end);
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

/** A copy of a part of bytes. `slice` would not do: on a Buffer it gives a view. */
export function copyBytes(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

/** Joins byte strings into a new one. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Compares in time that depends on the length only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** Big-endian integer of `size` bytes; `value` is a safe integer that fits. */
export function encodeUint(value: number, size: 1 | 2 | 4 | 8): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** Reads a big-endian integer. Values above 2^53 - 1 lose precision and must be refused by the caller. */
export function decodeUint(bytes: Uint8Array, offset: number, size: 1 | 2 | 4 | 8): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[offset + i]!;
  return value;
}

/** Length prefix of one byte and the bytes themselves (LP8 of the spec). */
export function prefix8(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 255) throw new TypeError(`LP8 holds at most 255 bytes, got ${bytes.length}`);
  return concat(encodeUint(bytes.length, 1), bytes);
}

/** Length prefix of two bytes and the bytes themselves (LP16 of the spec). */
export function prefix16(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 65_535) throw new TypeError(`LP16 holds at most 65,535 bytes, got ${bytes.length}`);
  return concat(encodeUint(bytes.length, 2), bytes);
}

const HEX = /^(?:[0-9a-f]{2})*$/;

/** Texts of all bytes: ids and the MACs of rows are written very often. */
const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hexadecimal. */
export function formatHex(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += HEX_PAIRS[bytes[i]!];
  return text;
}

/** Bytes of lower-case hexadecimal. @throws TypeError for anything else. */
export function parseHex(text: string): Uint8Array {
  if (!HEX.test(text)) throw new TypeError('expected lower-case hexadecimal of even length');
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** base64url without padding (RFC 4648, section 5). */
export function formatBase64Url(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const digits = Math.min(bytes.length - i, 3) + 1;
    for (let d = 0; d < digits; d++) text += BASE64URL[(group >> (18 - 6 * d)) & 63];
  }
  return text;
}

/**
 * Bytes of unpadded base64url (RFC 4648, section 5), canonical only: set bits behind the last byte are refused, so
 * that one value has one text.
 * @throws TypeError for any other text.
 */
export function parseBase64Url(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let offset = 0;
  for (const digit of text) {
    const value = BASE64URL.indexOf(digit);
    if (value < 0) throw new TypeError('expected unpadded base64url');
    held = ((held << 6) | value) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[offset++] = (held >> bits) & 0xff;
  }
  if (bits >= 6 || (held & ((1 << bits) - 1)) !== 0) throw new TypeError('expected canonical base64url');
  return bytes;
}
