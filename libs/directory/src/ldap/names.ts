const SPECIAL = /["+,;<>\\=]/g;
const HEX_PAIR = /^[0-9A-Fa-f]{2}$/;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A distinguished name (RFC 4514) in the one spelling by which we compare: names that are one to a directory are one text,
 * others are not. Types and values have no case, the attributes of one RDN no order, and bare spaces around a value are none
 * of it; escaped ones are, and spaces inside count as they are: where servers differ, two names stay two, because a right
 * that is missing is found and one that is too many is not. Undefined for a text that is no name.
 */
export function canonicalDn(text: string): string | undefined {
  const parser = new DnParser(text);
  const rdns = parser.name();
  return rdns?.map((rdn) => [...rdn].sort().join('+')).join(',');
}

/** Names of types that are also written as numbers (RFC 4514, section 3). */
const TYPES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'cn',
  '2.5.4.6': 'c',
  '2.5.4.7': 'l',
  '2.5.4.8': 'st',
  '2.5.4.9': 'street',
  '2.5.4.10': 'o',
  '2.5.4.11': 'ou',
  '0.9.2342.19200300.100.1.1': 'uid',
  '0.9.2342.19200300.100.1.25': 'dc',
  commonname: 'cn',
  countryname: 'c',
  localityname: 'l',
  stateorprovincename: 'st',
  streetaddress: 'street',
  organizationname: 'o',
  organizationalunitname: 'ou',
  userid: 'uid',
  domaincomponent: 'dc',
};

class DnParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  name(): string[][] | undefined {
    if (this.#text.trim() === '') return [];
    const rdns: string[][] = [[]];
    for (;;) {
      const attribute = this.#attribute();
      if (attribute === undefined) return undefined;
      rdns.at(-1)!.push(attribute);
      const next = this.#text[this.#at];
      if (next === undefined) return rdns;
      this.#at += 1;
      // RFC 2253 let semicolons part names, too.
      if (next !== '+') rdns.push([]);
    }
  }

  #attribute(): string | undefined {
    this.#skipSpaces();
    const [found = ''] = /^[A-Za-z0-9.-]+/.exec(this.#text.slice(this.#at, this.#at + 128)) ?? [];
    this.#at += found.length;
    this.#skipSpaces();
    if (found === '' || this.#text[this.#at] !== '=') return undefined;
    this.#at += 1;
    this.#skipSpaces();
    const type = found.toLowerCase().replace(/^oid\./, '');
    const value = this.#text[this.#at] === '#' ? this.#hexValue() : this.#value();
    return value === undefined ? undefined : `${TYPES[type] ?? type}=${value}`;
  }

  #skipSpaces(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\n' || this.#text[this.#at] === '\r')
      this.#at += 1;
  }

  /** BER of a value. A text in it is compared as the text. */
  #hexValue(): string | undefined {
    const [found] = /^#(?:[0-9A-Fa-f]{2})+/.exec(this.#text.slice(this.#at)) ?? [];
    if (found === undefined) return undefined;
    this.#at += found.length;
    this.#skipSpaces();
    if (!this.#isAtEnd()) return undefined;
    const bytes = Buffer.from(found.slice(1), 'hex');
    const isText = TEXT_TAGS.includes(bytes[0]!) && bytes[1] === bytes.length - 2 && bytes[1] < 128;
    return isText ? spelled(bytes.subarray(2)) : found.toLowerCase();
  }

  #isAtEnd(): boolean {
    const next = this.#text[this.#at];
    return next === undefined || next === ',' || next === '+' || next === ';';
  }

  /** Bytes of a value: escapes by character or by two hex digits of UTF-8. Bare spaces at its ends are none of it. */
  #value(): string | undefined {
    const quoted = this.#text[this.#at] === '"';
    if (quoted) this.#at += 1;
    const bytes: number[] = [];
    /** Where the last byte ends that is no bare space, and where the first begins that is none. */
    let end = 0;
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined ? quoted : false) return undefined;
      if (quoted ? next === '"' : this.#isAtEnd()) break;
      const wasEscaped = next === '\\';
      const unit = wasEscaped ? this.#escaped() : this.#plain();
      if (unit === undefined) return undefined;
      bytes.push(...unit);
      if (wasEscaped || quoted || next !== ' ') end = bytes.length;
    }
    if (quoted) {
      this.#at += 1;
      this.#skipSpaces();
      if (!this.#isAtEnd()) return undefined;
    }
    return spelled(Buffer.from(bytes.slice(0, end)));
  }

  #plain(): number[] {
    const character = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
    this.#at += character.length;
    return [...Buffer.from(character, 'utf8')];
  }

  #escaped(): number[] | undefined {
    const pair = this.#text.slice(this.#at + 1, this.#at + 3);
    if (HEX_PAIR.test(pair)) {
      this.#at += 3;
      return [Number.parseInt(pair, 16)];
    }
    if (this.#at + 1 >= this.#text.length) return undefined;
    this.#at += 1;
    return this.#plain();
  }
}

/** OCTET STRING, UTF8String, PrintableString, IA5String (X.690). */
const TEXT_TAGS = [0x04, 0x0c, 0x13, 0x16];

/** A value as it is compared, itself good as a value of a name. Bytes that are no text stay bytes. */
function spelled(bytes: Buffer): string {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    return `#04${bytes.length.toString(16).padStart(2, '0')}${bytes.toString('hex')}`;
  }
  return text
    .normalize('NFC')
    .toLowerCase()
    .replace(SPECIAL, '\\$&')
    .replace(/\p{Cc}/gu, (character) => `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/^#/, '\\#')
    .replace(/^ | $/g, '\\20');
}
