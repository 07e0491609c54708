import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { equalBytes } from './bytes.ts';
import { ChannelError, demand } from './errors.ts';

/** What the protocol carries in CBOR: no floats, tags, undefined or big integers. */
export type CborValue = string | number | boolean | null | Uint8Array | readonly CborValue[] | CborMap;
/** A decoded CBOR map; keys are texts. */
export type CborMap = ReadonlyMap<string, CborValue>;
/** A value to encode; fields that are undefined are left out. */
export type CborInput =
  | string
  | number
  | boolean
  | null
  | undefined
  | Uint8Array
  | readonly CborInput[]
  | CborMap
  | { readonly [name: string]: CborInput };

const MAX_DEPTH = 8;
/** A map or array of more entries than this is refused before it is built. */
const MAX_ENTRIES = 4_096;
const OPTIONS = { ...rfc8949EncodeOptions, ignoreUndefinedProperties: true };

/** Deterministic CBOR (RFC 8949, section 4.2.1). */
export function encodeCbor(value: CborInput): Uint8Array {
  return encode(value, OPTIONS);
}

/**
 * Decodes one item strictly: deterministic encoding only, no duplicate keys, trailing bytes, indefinite lengths,
 * floats or tags, depth at most 8, map keys are texts.
 * @throws ChannelError ERR_CHANNEL_CBOR
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  checkShape(bytes);
  let value: unknown;
  try {
    value = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
      useMaps: true,
      rejectDuplicateMapKeys: true,
    });
    checkValue(value);
  } catch (cause) {
    if (cause instanceof ChannelError) throw cause;
    throw new ChannelError('ERR_CHANNEL_CBOR', 'the bytes are not valid CBOR', { cause });
  }
  demand(equalBytes(encode(value, OPTIONS), bytes), 'ERR_CHANNEL_CBOR', 'the encoding is not deterministic');
  return value;
}

/** Decodes one item that must be a map. @throws ChannelError ERR_CHANNEL_CBOR */
export function decodeCborMap(bytes: Uint8Array): CborMap {
  const value = decodeCbor(bytes);
  demand(isCborMap(value), 'ERR_CHANNEL_CBOR', 'expected a map');
  return value;
}

/** True for a decoded map. */
export function isCborMap(value: CborValue | undefined): value is CborMap {
  return value instanceof Map;
}

function checkValue(value: unknown): asserts value is CborValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || value instanceof Uint8Array) return;
  if (typeof value === 'number') {
    demand(Number.isSafeInteger(value), 'ERR_CHANNEL_CBOR', 'numbers are integers');
    return;
  }
  if (Array.isArray(value)) {
    for (const item of value) checkValue(item);
    return;
  }
  demand(value instanceof Map, 'ERR_CHANNEL_CBOR', 'the type is not used by the protocol');
  for (const [key, item] of value) {
    demand(typeof key === 'string', 'ERR_CHANNEL_CBOR', 'map keys are texts');
    checkValue(item);
  }
}

/** Walks the heads of all items, so that depth and counts are bounded before a decoder builds anything. */
function checkShape(bytes: Uint8Array): void {
  const open: number[] = [1];
  let at = 0;
  while (open.length > 0) {
    if (open[open.length - 1] === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1]! -= 1;
    const head = readHead(bytes, at);
    at = head.next;
    if (head.children === 0) continue;
    demand(head.children <= MAX_ENTRIES, 'ERR_CHANNEL_CBOR', 'a map or array has too many entries');
    demand(open.length <= MAX_DEPTH, 'ERR_CHANNEL_CBOR', `deeper than ${MAX_DEPTH} levels`);
    open.push(head.children);
  }
  demand(at === bytes.length, 'ERR_CHANNEL_CBOR', 'bytes follow the item');
}

function readHead(bytes: Uint8Array, at: number): { next: number; children: number } {
  demand(at < bytes.length, 'ERR_CHANNEL_CBOR', 'the item is cut short');
  const major = bytes[at]! >> 5;
  const short = bytes[at]! & 31;
  demand(short <= 27, 'ERR_CHANNEL_CBOR', 'indefinite lengths are not used');
  const size = short < 24 ? 0 : 2 ** (short - 24);
  demand(at + 1 + size <= bytes.length, 'ERR_CHANNEL_CBOR', 'the item is cut short');
  let argument = size === 0 ? short : 0;
  for (let i = 1; i <= size; i++) argument = argument * 256 + bytes[at + i]!;
  const body = major === 2 || major === 3 ? argument : 0;
  const children = major === 4 ? argument : major === 5 ? argument * 2 : major === 6 ? 1 : 0;
  const next = at + 1 + size + body;
  demand(next <= bytes.length, 'ERR_CHANNEL_CBOR', 'the item is cut short');
  return { next, children };
}

/**
 * Reads the fields of a decoded map, each with its type and bound.
 * @throws ChannelError ERR_CHANNEL_CBOR naming the field, never its value.
 */
export class CborFields {
  readonly #map: CborMap;

  /** Takes a map that is decoded. */
  constructor(map: CborMap) {
    this.#map = map;
  }

  /** Decodes bytes that must hold one map, as `decodeCborMap`. */
  static decode(bytes: Uint8Array): CborFields {
    return new CborFields(decodeCborMap(bytes));
  }

  /** True when the field is there, of whatever type. */
  has(name: string): boolean {
    return this.#map.has(name);
  }

  /** A text of at most so many characters. */
  text(name: string, maxLength = 256): string {
    const value = this.#map.get(name);
    demand(typeof value === 'string', 'ERR_CHANNEL_CBOR', `field ${name}: expected a text`);
    demand(value.length <= maxLength, 'ERR_CHANNEL_CBOR', `field ${name}: longer than ${maxLength} characters`);
    return value;
  }

  /** A text of one line: no control characters (ISO 6429: C0, DEL, C1). */
  line(name: string, maxLength = 256): string {
    const value = this.text(name, maxLength);
    demand(!/\p{Cc}/u.test(value), 'ERR_CHANNEL_CBOR', `field ${name}: expected a text without control characters`);
    return value;
  }

  /** As `line`; undefined when the field is not there. */
  optionalLine(name: string, maxLength = 256): string | undefined {
    return this.has(name) ? this.line(name, maxLength) : undefined;
  }

  /** As `text`; undefined when the field is not there. */
  optionalText(name: string, maxLength = 256): string | undefined {
    return this.has(name) ? this.text(name, maxLength) : undefined;
  }

  /** Bytes, of exactly `length` when that is given; not copied. */
  bytes(name: string, length?: number): Uint8Array {
    const value = this.#map.get(name);
    demand(value instanceof Uint8Array, 'ERR_CHANNEL_CBOR', `field ${name}: expected bytes`);
    if (length !== undefined) {
      demand(value.length === length, 'ERR_CHANNEL_CBOR', `field ${name}: expected ${length} bytes`);
    }
    return value;
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(name: string): number {
    const value = this.#map.get(name);
    demand(typeof value === 'number' && value >= 0, 'ERR_CHANNEL_CBOR', `field ${name}: expected a count`);
    return value;
  }

  /** True or false; undefined when the field is not there. */
  flag(name: string): boolean | undefined {
    const value = this.#map.get(name);
    if (value === undefined) return undefined;
    demand(typeof value === 'boolean', 'ERR_CHANNEL_CBOR', `field ${name}: expected true or false`);
    return value;
  }

  /** A map. */
  map(name: string): CborFields {
    const value = this.#map.get(name);
    demand(isCborMap(value), 'ERR_CHANNEL_CBOR', `field ${name}: expected a map`);
    return new CborFields(value);
  }

  /** As `map`; undefined when the field is not there. */
  optionalMap(name: string): CborFields | undefined {
    return this.has(name) ? this.map(name) : undefined;
  }

  /** A list of at most so many items. */
  list(name: string, maxItems = 256): readonly CborValue[] {
    const value = this.#map.get(name);
    demand(Array.isArray(value), 'ERR_CHANNEL_CBOR', `field ${name}: expected a list`);
    demand(value.length <= maxItems, 'ERR_CHANNEL_CBOR', `field ${name}: more than ${maxItems} items`);
    return value;
  }
}
