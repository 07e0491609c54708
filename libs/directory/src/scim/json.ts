import { ScimError } from './errors.ts';
import type { ScimValue } from './filter.ts';
import type { Pace } from './pace.ts';

/** Deepest nesting of a body. */
const MAX_DEPTH = 32;
/** Longest single text, and whitespace that is passed over in one step, characters. */
const MAX_TEXT = 64 * 1024;
const SPACE_STEP = 4_096;
const CHARACTERS_PER_UNIT = 64;
/** Values of one body, twice what its most members need: beyond them it is the collection of garbage that holds everybody up. */
const MAX_VALUES = 2_000_000;
/** Names in one object: a table of names is built anew in one go whenever it has grown. */
const MAX_NAMES = 10_000;
const PLAIN = /-?(?:0|[1-9]\d{0,400})(?:\.\d{1,400})?(?:[eE][+-]?\d{1,400})?|true|false|null/y;
const [QUOTE, BACKSLASH] = [34, 92];

type List = ScimValue[];
type Mutable = { [name: string]: ScimValue };
type Expected = 'value' | 'first value' | 'first name' | 'name' | 'colon' | 'comma';
/** A list or object that is still open. `name` waits for its value. */
interface Open {
  readonly into: List | Mutable;
  name: string | undefined;
  names: number;
}

/**
 * Parses JSON (RFC 8259) as `JSON.parse` does, in turns: a body of tens of megabytes holds nobody up. Nesting, single texts,
 * values and names of an object are bounded, names that reach into the language are refused.
 * @throws ScimError invalidSyntax, tooMany
 */
export async function parseJsonInTurns(text: string, pace: Pace): Promise<ScimValue> {
  const parser = new JsonParser(text);
  while (!parser.step()) if (pace.spend(1 + parser.lastUnits)) await pace.rest();
  return parser.result;
}

/** One token a step, on a stack of its own: depth costs no stack of the language. */
class JsonParser {
  readonly #text: string;
  readonly #stack: Open[] = [];
  #at = 0;
  #value: ScimValue | undefined;
  /** What may come next. */
  #next: Expected = 'value';
  #values = 0;
  lastUnits = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get result(): ScimValue {
    return this.#value!;
  }

  /** Reads one token; true at the end of the text. */
  step(): boolean {
    const begun = this.#at;
    const spaces = this.#skipSpace();
    if (!spaces) this.#token(this.#text[this.#at]);
    this.lastUnits = (this.#at - begun) / CHARACTERS_PER_UNIT;
    return this.#at >= this.#text.length && !spaces && this.#isOver();
  }

  /** True when there may be more of them. */
  #skipSpace(): boolean {
    const end = Math.min(this.#text.length, this.#at + SPACE_STEP);
    while (this.#at < end && ' \n\r\t'.includes(this.#text[this.#at]!)) this.#at += 1;
    return this.#at === end && end < this.#text.length;
  }

  #isOver(): boolean {
    if (this.#value === undefined || this.#stack.length > 0) throw syntax();
    return true;
  }

  #token(character: string | undefined): void {
    if (character === undefined) return;
    const open = this.#stack.at(-1);
    if (this.#next === 'comma') return open ? this.#afterValue(open, character) : fail();
    if (this.#next === 'colon') return character === ':' ? this.#move('value') : fail();
    if (this.#next === 'first name' || this.#next === 'name') return this.#name(open!, character);
    if (character === ']' && this.#next === 'first value') return this.#close();
    if (character === '[' || character === '{') return this.#open(character);
    this.#put(character === '"' ? this.#readText() : this.#readPlain());
  }

  #move(next: Expected): void {
    this.#at += 1;
    this.#next = next;
  }

  #afterValue(open: Open, character: string): void {
    const isList = Array.isArray(open.into);
    if (character === (isList ? ']' : '}')) return this.#close();
    if (character !== ',') fail();
    this.#move(isList ? 'value' : 'name');
  }

  #name(open: Open, character: string): void {
    if (character === '}' && this.#next === 'first name') return this.#close();
    if (character !== '"') fail();
    const name = this.#readText();
    if (name === '__proto__' || name === 'constructor') fail();
    open.names += 1;
    if (open.names > MAX_NAMES) throw new ScimError('tooMany', `an object has at most ${MAX_NAMES} names`);
    open.name = name;
    this.#next = 'colon';
  }

  #open(character: '[' | '{'): void {
    if (this.#stack.length >= MAX_DEPTH) throw new ScimError('invalidSyntax', 'the body is nested too deeply');
    this.#stack.push({ into: character === '[' ? [] : {}, name: undefined, names: 0 });
    this.#move(character === '[' ? 'first value' : 'first name');
  }

  #close(): void {
    this.#at += 1;
    this.#put(this.#stack.pop()!.into);
  }

  #put(value: ScimValue): void {
    this.#values += 1;
    if (this.#values > MAX_VALUES) throw new ScimError('tooMany', `a body has at most ${MAX_VALUES} values`);
    const open = this.#stack.at(-1);
    if (!open) this.#value = value;
    else if (Array.isArray(open.into)) (open.into as List).push(value);
    else (open.into as Mutable)[open.name!] = value;
    this.#next = 'comma';
  }

  #readText(): string {
    const begin = this.#at;
    let end = begin;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0 || end - begin > MAX_TEXT) fail();
    } while (isEscaped(this.#text, end));
    this.#at = end + 1;
    const raw = this.#text.slice(begin + 1, end);
    return isPlain(raw) ? raw : parseText(this.#text.slice(begin, end + 1));
  }

  #readPlain(): ScimValue {
    PLAIN.lastIndex = this.#at;
    const [found] = PLAIN.exec(this.#text) ?? fail();
    this.#at += found.length;
    return JSON.parse(found) as ScimValue;
  }
}

function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

function isPlain(raw: string): boolean {
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code < 32 || code === BACKSLASH || code === QUOTE) return false;
  }
  return true;
}

function parseText(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return fail();
  }
}

function syntax(): ScimError {
  return new ScimError('invalidSyntax', 'the body is not JSON');
}

function fail(): never {
  throw syntax();
}
