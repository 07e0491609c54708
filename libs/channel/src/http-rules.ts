import { isAuthority } from './authority.ts';
import type { Field, RequestHead, ResponseHead } from './binary-http.ts';
import { demand } from './errors.ts';
import { remembered } from './remembered.ts';
import { isOwnField, speaksForProxy, speaksToProxy } from './spoken-fields.ts';

/** Methods that may pass unless policy says less. */
export const DEFAULT_METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** Methods that a client may send again (RFC 9110, section 9.2.2). */
export const IDEMPOTENT_METHODS: readonly string[] = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'];

const TOKEN = /^[!#$%&'*+\-.^`|~0-9a-z]+$/;
/** No control characters but the tab, and no spaces around (RFC 9110, section 5.5). */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
const PATH_BYTES = /^\/[\x21-\x7e]*$/;
const CONTENT_LENGTH = /^(?:0|[1-9][0-9]{0,15})$/;

/** Fields that steer a connection and so can never come from a device (RFC 9110, section 7.6.1). */
const REFUSED_FIELDS = new Set([
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'trailer',
  'http2-settings',
]);

/** Fields between the Proxy and a backend that end there. */
const HOP_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function refuse(condition: boolean, message: string): void {
  demand(condition, 'ERR_CHANNEL_HTTP_REFUSED', message);
}

/**
 * Checks a request as strictly as SPEC.md, section 7 says: refused, never repaired.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED naming the rule.
 */
export function checkRequest(head: RequestHead, methods: readonly string[] = DEFAULT_METHODS): void {
  refuse(methods.includes(head.method), 'the method is not allowed');
  refuse(head.scheme === 'http' || head.scheme === 'https', 'the scheme is not http or https');
  refuse(isAuthority(head.authority), 'the authority is not a lower-case host with an optional port');
  checkPath(head.path);
  checkFields(head.fields);
  for (const [name, value] of head.fields) checkRequestField(name, value, head.authority);
}

/**
 * The fields of a checked request that go on to its backend: not those that speak for the proxy in front of it, unless the
 * resource lets them pass by name (lower case).
 */
export function passedFields(fields: readonly Field[], passing: readonly string[] = []): Field[] {
  return fields.filter(
    ([name]) => name !== 'host' && (!speaksForProxy(name) || (passing.includes(name) && !isOwnField(name))),
  );
}

function checkRequestField(name: string, value: string, authority: string): void {
  if (steersConnection(name)) refuse(false, `a field (${name}) steers a connection`);
  refuse(name !== 'te' || value === 'trailers', 'te is not trailers');
  refuse(name !== 'host' || value === authority, 'host differs from the authority');
}

const steersConnection = remembered((name) => REFUSED_FIELDS.has(name) || name.startsWith('proxy-'));

/**
 * Checks a backend's response and gives the fields that may go to the device: without those between the two servers, and
 * without names that are no plain tokens, which some backends send and nobody needs.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED naming the rule.
 */
export function checkResponse(head: ResponseHead): readonly Field[] {
  refuse(head.status >= 200 && head.status <= 599, 'the status is not valid');
  const named = namedByConnection(head.fields);
  const passing = head.fields.filter(([name]) => reachesDevice(name) && !named.includes(name));
  checkFields(passing);
  return passing;
}

const reachesDevice = remembered((name) => !HOP_FIELDS.has(name) && faultOfName(name) === '' && !speaksToProxy(name));

const NONE: readonly string[] = [];

function namedByConnection(fields: readonly Field[]): readonly string[] {
  let named = NONE;
  for (const [name, value] of fields) {
    if (name !== 'connection') continue;
    const names = value.split(',').map((one) => one.trim().toLowerCase());
    named = [...named, ...names];
  }
  return named;
}

/** Declared bytes of the content, undefined when not declared. Only after the fields were checked. */
export function contentLength(fields: readonly Field[]): number | undefined {
  const value = fields.find(([name]) => name === 'content-length')?.[1];
  return value === undefined ? undefined : Number(value);
}

/** Checks trailers: ordinary fields that neither frame nor route (RFC 9110, section 6.5.1). */
export function checkTrailers(fields: readonly Field[]): void {
  checkFields(fields);
  const framing = fields.some(([name]) => name === 'content-length' || name === 'host' || REFUSED_FIELDS.has(name));
  refuse(!framing, 'a trailer frames the message');
}

function checkFields(fields: readonly Field[]): void {
  let lengths = 0;
  for (const [name, value] of fields) {
    const fault = faultOfName(name);
    if (fault !== '') refuse(false, fault);
    if (!VALUE.test(value)) refuse(false, `the value of a field (${name}) holds a byte that is not allowed`);
    if (name !== 'content-length') continue;
    lengths += 1;
    refuse(lengths === 1 && CONTENT_LENGTH.test(value), 'content-length is not one plain number');
  }
}

/** What is wrong with a field's name, empty when nothing is. */
const faultOfName = remembered((name) => {
  if (TOKEN.test(name)) return '';
  const underscore = TOKEN.test(name.replaceAll('_', '-'));
  return underscore ? `a field name (${name}) holds an underscore` : 'a field name is not a lower-case token';
});

/**
 * Checks a path by one canonical grammar, so that policy and backend cannot read it differently:
 * rejected are empty and dot segments (with parameters too), encoded `/ \ . % NUL`, bad or overlong encodings and
 * characters that some normalise into a separator. The query is free but for spaces, controls, `#` and `\`.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED
 */
export function checkPath(path: string): void {
  refuse(PATH_BYTES.test(path), 'the path holds a byte that is not allowed, or does not start with /');
  refuse(!path.includes('#') && !path.includes('\\'), 'the path holds # or \\');
  const mark = path.indexOf('?');
  const segments = (mark < 0 ? path : path.slice(0, mark)).slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    refuse(segment !== '' || index === segments.length - 1, 'the path has an empty segment');
    checkSegment(segment);
  }
}

const BAD_DECODED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const SEPARATORS = /[/\\.%]/;
/** Where some backends end a segment, before or after they have decoded it. */
const SEGMENT_ENDS = /[;?#]/;

function checkSegment(segment: string): void {
  refuse(!isDotSegment(segment), 'the path has a dot segment');
  if (!segment.includes('%')) return;
  refuse(!/%(?![0-9a-fA-F]{2})/.test(segment), 'the path has a broken escape');
  refuse(!/%(?:2[eEfF5]|5[cC]|00)/.test(segment), 'the path hides a separator in an escape');
  const escapes = decodeEscapes(segment);
  refuse(escapes !== undefined && !BAD_DECODED.test(escapes), 'the path has an escape that is not a visible character');
  // Decoded once more by a backend that takes parameters, spaces or look-alikes off afterwards.
  refuse(!isDotSegment((escapes ?? '').normalize('NFKC')), 'the path hides a dot segment in an escape');
  const plain = (escapes ?? '').replace(/[\x21-\x7e]/g, '');
  refuse(!SEPARATORS.test(plain.normalize('NFKC')), 'the path hides a separator in a look-alike');
}

function isDotSegment(segment: string): boolean {
  const name = segment.split(SEGMENT_ENDS, 1)[0]!.trim();
  return name === '.' || name === '..';
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
  const plain = path.split('?', 1)[0]!;
  if (prefix.endsWith('/')) return plain.startsWith(prefix);
  return plain === prefix || plain.startsWith(`${prefix}/`);
}
