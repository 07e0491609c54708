import { demand } from './errors.ts';

/**
 * How a resource takes paths. `strict`: one canonical grammar, so that policy and backend cannot read a path differently. `exact`:
 * whatever RFC 3986 allows, as it came; path rules of policies are then held against every reading (see `judgePath`).
 */
export type PathGrammar = 'strict' | 'exact';

function refuse(condition: boolean, message: string): void {
  demand(condition, 'ERR_CHANNEL_HTTP_REFUSED', message);
}

/** Printable ASCII without the fragment, and before the query without the backslash, which browsers send as a slash. */
const TARGET = /^\/[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*(?:\?[\x21\x22\x24-\x7e]*)?$/;
const BROKEN_ESCAPE = /%(?![0-9a-fA-F]{2})/;

/** What both grammars take at first sight: whole segments that begin with no dot and hold nothing that is read in two ways. */
const PLAIN = /^\/(?:[\w~-][\w.~-]*\/)*(?:[\w~-][\w.~-]*)?(?:\?[\x21\x22\x24-\x7e]*)?$/;

/**
 * Checks path and query. In both grammars they are printable ASCII, start with a slash and have no fragment; escapes of the path are
 * whole. The query is free: `\\ | ^ " { }` and the rest of what browsers leave as it is (WHATWG URL, query percent-encode set).
 *
 * `strict` refuses further: empty and dot segments (with parameters too), encoded `/ \\ . % NUL`, bad or overlong encodings and
 * characters that some normalise into a separator.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED naming the rule
 */
export function checkPath(path: string, grammar: PathGrammar = 'strict'): void {
  if (PLAIN.test(path)) return;
  if (!TARGET.test(path)) refuseTarget(path);
  const plain = pathOnly(path);
  if (grammar === 'exact') return refuse(!BROKEN_ESCAPE.test(plain), 'the path has a broken escape');
  const segments = plain.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    refuse(segment !== '' || index === segments.length - 1, 'the path has an empty segment');
    checkSegment(segment);
  }
}

/** A path without its query. */
export function pathOnly(path: string): string {
  const mark = path.indexOf('?');
  return mark < 0 ? path : path.slice(0, mark);
}

function refuseTarget(path: string): void {
  refuse(path.startsWith('/'), 'the path does not start with /');
  refuse(!path.includes('#'), 'the path holds a fragment (#)');
  refuse(!pathOnly(path).includes('\\'), 'the path holds a \\');
  refuse(false, 'path or query hold a byte that is not printable ASCII: it must be percent-encoded');
}

const BAD_DECODED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const SEPARATORS = /[/\\.%]/;
/** Where some backends end a segment, before or after they have decoded it. */
const SEGMENT_ENDS = /[;?#:]/;
/** Spaces, also as forms write them. */
const SPACES = /[ +]/;
const WIDE = /[\u0080-\uffff]/;
const DOTS_AND_SPACES = /^[. +]+$/;

function checkSegment(segment: string): void {
  refuse(!isDotSegment(segment), 'the path has a dot segment');
  if (!segment.includes('%')) return;
  refuse(!BROKEN_ESCAPE.test(segment), 'the path has a broken escape');
  refuse(!/%(?:2[eEfF5]|5[cC]|00)/.test(segment), 'the path hides a separator in an escape');
  const escapes = decodeEscapes(segment);
  refuse(escapes !== undefined && !BAD_DECODED.test(escapes), 'the path has an escape that is not a visible character');
  // Decoded once more by a backend that takes parameters, spaces or look-alikes off afterwards.
  refuse(!isDotSegment((escapes ?? '').normalize('NFKC')), 'the path hides a dot segment in an escape');
  refuse(!hidesDots(escapes ?? ''), 'the path hides a dot segment in wide characters');
  const plain = (escapes ?? '').replace(/[\x21-\x7e]/g, '');
  refuse(!SEPARATORS.test(plain.normalize('NFKC')), 'the path hides a separator in a look-alike');
}

function isDotSegment(segment: string): boolean {
  if (!segment.includes('.')) return false;
  const name = segment.split(SEGMENT_ENDS, 1)[0]!.trim();
  // With spaces in between: some systems take spaces and dots off the ends of a name.
  return name === '.' || name === '..' || (SPACES.test(name) && DOTS_AND_SPACES.test(name));
}

const LOOK_ALIKES: Readonly<Record<string, string>> = {
  '\u2044': '/',
  '\u2215': '/',
  '\u29f8': '/',
  '\u2216': '\\',
  '\u29f5': '\\',
  '\u29f9': '\\',
  '\u00a5': '\\',
  '\u20a9': '\\',
  '\u3002': '.',
  '\uff61': '.',
};

/** A text with what some systems write for characters that they do not have: separators and dots, beside those of NFKC. */
export function withoutLookAlikes(text: string): string {
  return text.replace(/[\u2044\u2215\u29f8\u2216\u29f5\u29f9\u00a5\u20a9\u3002\uff61]/g, (like) => LOOK_ALIKES[like]!);
}

/** True where a backend that writes each character as one byte, or by what it looks like, or not at all, would see a dot segment. */
function hidesDots(text: string): boolean {
  if (!WIDE.test(text)) return false;
  const units = Array.from({ length: text.length }, (_, i) => String.fromCharCode(text.charCodeAt(i) & 0xff)).join('');
  const points = Array.from(text, (character) => String.fromCharCode(character.codePointAt(0)! & 0xff)).join('');
  const plain = text.replace(/[^ -~]/g, '');
  return [units, points, plain, withoutLookAlikes(text)].some((read) => read.split(/[/\\]/).some(leadsUp));
}

/** A single dot leads nowhere else; only a written one is refused. */
function leadsUp(segment: string): boolean {
  return segment !== '.' && isDotSegment(segment);
}

function decodeEscapes(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** True when the path lies under a prefix: the prefix itself or something behind its slash. */
export function pathUnder(path: string, prefix: string): boolean {
  const plain = pathOnly(path);
  if (prefix.endsWith('/')) return plain.startsWith(prefix);
  return plain === prefix || plain.startsWith(`${prefix}/`);
}
