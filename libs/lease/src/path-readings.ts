import { withoutLookAlikes } from '@sallyport/channel';

/** One thing that some servers do to a path before they act on it, and others do not. Paths hold bytes as characters. */
export interface ReadingStep {
  /** In words: `when …`. */
  readonly when: string;
  /** What must stand in a path for the step to change it. */
  readonly of: RegExp;
  readonly read: (path: string) => string;
  /** Done to prefixes, too, because it changes a prefix and what lies under it alike. The other steps leave prefixes alone. */
  readonly ofPrefixes?: true;
}

/** Paths that nobody reads differently: no escape, parameter, backslash or plus, no empty segment, no dot at the end of one, or before a colon. */
export const PLAIN_PATH: RegExp = /^(?:\/(?:[!"$&-*,\-0-9:<->@-[\]-~]|\.+(?![./:]|$))+)*\/?$/;

/** The path with its escapes decoded once, but for characters that stay as they are. */
function decodeBut(path: string, staying?: RegExp): string {
  return path.replace(/%(?:u00)?([0-9a-f]{2})/gi, (coded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return staying?.test(character) ? coded : character;
  });
}

/** The path with its escapes decoded once. */
function decodeOnce(path: string): string {
  return decodeBut(path);
}

const RESERVED = /[^0-9A-Za-z._~-]/;
const SEPARATOR = /[/\\]/;

/** `%uXXXX`, which some servers of Microsoft read, as the bytes of UTF-8. */
function decodeWide(path: string): string {
  return path.replace(/%u([0-9a-f]{4})/gi, (_, hex: string) =>
    bytesOf(String.fromCharCode(Number.parseInt(hex, 16)).toWellFormed()),
  );
}

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

const OVERLONG = /(?:[\xc0\xc1]|(?:\xe0|\xf0\x80|\xf8\x80\x80|\xfc\x80\x80\x80)[\x80\x81])./gs;

/** ASCII that is hidden in more bytes of UTF-8 than it needs, which lenient decoders take (RFC 3629, section 10). */
function shortened(path: string): string {
  return path.replace(OVERLONG, (long) => {
    const high = long.charCodeAt(long.length - 2) & (long.length === 2 ? 0x1f : 0x3f);
    return String.fromCharCode(((high << 6) | (long.charCodeAt(long.length - 1) & 0x3f)) & 0x7f);
  });
}

function normalised(path: string): string {
  return bytesOf(withoutLookAlikes(textOf(path).normalize('NFKC')));
}

/** Some file systems and parsers take such characters for nothing. */
function withoutInvisible(path: string): string {
  return bytesOf(textOf(path).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\ufffd]/gu, ''));
}

/** Each half of a character (UTF-16) as its lowest byte: what comes of a text that is written as Latin-1. */
function narrowed(path: string): string {
  return Buffer.from(textOf(path), 'latin1').toString('latin1');
}

/** The same of whole characters. */
function narrowedWhole(path: string): string {
  return Array.from(textOf(path), (character) => String.fromCharCode(character.codePointAt(0)! & 0xff)).join('');
}

const WIDES = /[\x80-\xff]/g;

function bySegment(path: string, read: (segment: string) => string): string {
  return path.split('/').map(read).join('/');
}

/** Spaces around a segment are nothing to some, spaces and dots at its end to Windows. */
function trimmed(path: string): string {
  return bySegment(path, (segment) => {
    const name = withoutSpaces(segment);
    if (/^[. ]+$/.test(name)) return name.replaceAll(' ', '').slice(0, 2);
    return withoutEnd(name);
  });
}

function withoutSpaces(segment: string): string {
  const text = textOf(segment);
  const name = text.trim();
  return name === text ? segment : bytesOf(name);
}

/** Without the dots and spaces at its end. */
function withoutEnd(name: string): string {
  let end = name.length;
  while (end > 0 && (name[end - 1] === '.' || name[end - 1] === ' ')) end--;
  return name.slice(0, end);
}

/** Segments `.` and `..` are what they mean (RFC 3986, section 5.2.4). */
function resolved(path: string): string {
  const segments: string[] = [];
  const all = path.split('/').slice(1);
  for (const [index, segment] of all.entries()) {
    const dots = segment === '.' || segment === '..';
    if (segment === '..') segments.pop();
    if (!dots) segments.push(segment);
    else if (index === all.length - 1) segments.push('');
  }
  return `/${segments.join('/')}`;
}

function cutAt(path: string, mark: string): string {
  const at = path.indexOf(mark);
  return at < 0 ? path : path.slice(0, at);
}

const ESCAPE = /%/;
const WIDE = /[\x80-\xff]/;
const CONTROL = /[\p{Cc}\x80-\xff]/u;
const LINE_END = /[\r\n]/;

/** What backends and servers in front of them are known to do. Letters in other cases are no step: they change prefix and path alike. */
export const READING_STEPS: readonly ReadingStep[] = [
  { when: 'its dot segments are resolved', of: /\/\.{1,2}(?:\/|$)/, read: resolved },
  { when: 'its escapes are decoded', of: ESCAPE, read: decodeOnce, ofPrefixes: true },
  { when: 'plain escapes are decoded', of: ESCAPE, read: (path) => decodeBut(path, RESERVED), ofPrefixes: true },
  {
    when: 'all but its separators is decoded',
    of: ESCAPE,
    read: (path) => decodeBut(path, SEPARATOR),
    ofPrefixes: true,
  },
  { when: 'its %u escapes are decoded', of: /%u/i, read: decodeWide },
  { when: 'backslashes are read as slashes', of: /\\/, read: (path) => path.replaceAll('\\', '/') },
  { when: 'slashes are merged', of: /\/\//, read: (path) => path.replace(/\/{2,}/g, '/') },
  { when: '// begins with a host', of: /^\/\//, read: (path) => path.replace(/^\/+[^/]*/, '') },
  { when: 'parameters (;) are cut off', of: /;/, read: (path) => bySegment(path, (segment) => cutAt(segment, ';')) },
  {
    when: 'names end at a colon',
    of: /:/,
    read: (path) => bySegment(path, (segment) => cutAt(segment, ':')),
    ofPrefixes: true,
  },
  { when: 'it ends at ;', of: /;/, read: (path) => cutAt(path, ';') },
  { when: 'it ends at an encoded ?', of: /\?/, read: (path) => cutAt(path, '?') },
  { when: 'it ends at an encoded #', of: /#/, read: (path) => cutAt(path, '#') },
  { when: 'it ends at a NUL', of: CONTROL, read: (path) => cutAt(path, '\0') },
  { when: 'it ends with its line', of: LINE_END, read: (path) => path.slice(0, path.search(LINE_END)) },
  { when: 'invisible characters are dropped', of: CONTROL, read: withoutInvisible, ofPrefixes: true },
  { when: 'overlong bytes are decoded', of: /[\xc0\xc1\xe0\xf0\xf8\xfc]/, read: shortened, ofPrefixes: true },
  { when: 'look-alikes are read as what they look like', of: WIDE, read: normalised, ofPrefixes: true },
  { when: 'characters are cut to a byte', of: WIDE, read: narrowed, ofPrefixes: true },
  { when: 'whole characters are cut to a byte', of: /[\xf0-\xf4]/, read: narrowedWhole, ofPrefixes: true },
  { when: 'what is not ASCII is dropped', of: WIDE, read: (path) => path.replace(WIDES, ''), ofPrefixes: true },
  { when: '+ is read as a space', of: /\+/, read: (path) => path.replaceAll('+', ' ') },
  {
    when: 'spaces and dots at the ends of names are dropped',
    of: /[.\s\x80-\xff](?:\/|$)|\/[\s\x80-\xff]/,
    read: trimmed,
  },
];

/**
 * True for a prefix that means one thing once it is decoded: no parameters, backslashes, empty or dot segments, nothing that is
 * dropped, cut off or read as something else. An encoded slash or percent sign is one thing.
 */
export function isPlainPrefix(prefix: string): boolean {
  if (PLAIN_PATH.test(prefix)) return true;
  let plain = prefix;
  for (let left = 4; left > 0 && /%[0-9a-f]{2}/i.test(plain); left--) plain = decodeOnce(plain);
  if (/%(?:[0-9a-f]{2}|u)|\/\/|\/\.{1,2}(?:\/|$)|[;?#\\+]/i.test(plain)) return false;
  return [trimmed, shortened, normalised, withoutInvisible].every((read) => read(plain) === plain);
}
