import { isAuthority } from './authority.ts';
import { type Field, HTTP_LIMITS, type RequestHead, type ResponseHead } from './binary-http.ts';
import { demand } from './errors.ts';
import { faultOfMethod } from './methods.ts';
import { checkPath, type PathGrammar } from './path-grammar.ts';
import { remembered } from './remembered.ts';
import { isOwnField, speaksForProxy, speaksToProxy } from './spoken-fields.ts';

const TOKEN = /^[!#$%&'*+\-.^`|~0-9a-z]+$/;
/** No control characters but the tab, and no spaces around (RFC 9110, section 5.5). */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
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

/** What is asked of a request beyond what is asked of all. */
export interface RequestRules {
  /** The only methods that may be; absent: any that a policy may open. */
  readonly methods?: readonly string[];
  /** Grammar of the path; `strict` unless said otherwise. */
  readonly paths?: PathGrammar;
}

/**
 * Checks a request as strictly as SPEC.md, section 7 says: refused, never repaired. Whether a policy opens its method and path
 * is another question.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED naming the rule.
 */
export function checkRequest(head: RequestHead, { methods, paths }: RequestRules = {}): void {
  const fault = faultOfMethod(head.method);
  if (fault !== '') refuse(false, fault);
  refuse(methods === undefined || methods.includes(head.method), 'the method is not allowed here');
  refuse(head.scheme === 'http' || head.scheme === 'https', 'the scheme is not http or https');
  refuse(isAuthority(head.authority), 'the authority is not a lower-case host with an optional port');
  checkPath(head.path, paths);
  checkFields(head.fields);
  for (const [name, value] of head.fields) checkRequestField(name, value, head.authority);
}

/**
 * The fields of a checked request that go on to its backend: not those that speak for the proxy in front of it, unless the
 * resource lets them pass by name (lower case).
 */
export function passedFields(fields: readonly Field[], passing: readonly string[] = []): Field[] {
  const passed: Field[] = [];
  for (const field of fields) {
    const [name] = field;
    if (name === 'host' || (speaksForProxy(name) && (!passing.includes(name) || isOwnField(name)))) continue;
    passed.push(field);
  }
  return passed;
}

/** Fields that say how a request is read, and by whom it is made: they mean nothing behind its content (RFC 9110, section 6.5.1). */
const HEAD_ONLY = new Set([
  ...['authorization', 'cookie', 'set-cookie', 'host', 'te', 'max-forwards', 'range', 'cache-control', 'pragma'],
  ...['content-type', 'content-encoding', 'content-range', 'destination', 'depth', 'overwrite', 'if'],
]);

/**
 * The trailers of a checked request that go on to its backend. Some servers read them like the fields of the head, so nothing passes
 * by which they would know who asks, from where and for what.
 */
export function passedTrailers(fields: readonly Field[]): readonly Field[] {
  return fields.filter(([name]) => !speaksForProxy(name) && !steersConnection(name) && !HEAD_ONLY.has(name));
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
  const passing = head.fields.filter(([name]) => reachesDevice(name) && !named.has(name));
  checkValues(passing);
  return passing;
}

const reachesDevice = remembered((name) => {
  const passes = !HOP_FIELDS.has(name) && faultOfName(name) === '' && !speaksToProxy(name);
  return passes && name.length <= HTTP_LIMITS.nameBytes;
});

const NONE: ReadonlySet<string> = new Set();

function namedByConnection(fields: readonly Field[]): ReadonlySet<string> {
  let named: Set<string> | undefined;
  for (const [name, value] of fields) {
    // What nearly all say names nothing that does not end here anyway.
    if (name !== 'connection' || value === 'keep-alive') continue;
    named ??= new Set();
    for (const one of value.split(',')) named.add(one.trim().toLowerCase());
  }
  return named ?? NONE;
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
  for (const [name] of fields) {
    const fault = faultOfName(name);
    if (fault !== '') refuse(false, fault);
  }
  checkValues(fields);
}

function checkValues(fields: readonly Field[]): void {
  let lengths = 0;
  for (const [name, value] of fields) {
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
