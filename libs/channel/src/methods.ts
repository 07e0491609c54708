import { remembered } from './remembered.ts';

/** Methods that may pass where a policy names none. */
export const DEFAULT_METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Registered methods that change nothing (IANA HTTP Method Registry: safe), as far as they may pass. */
const SAFE = ['GET', 'HEAD', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'];
/** Those that do no more when they run twice (the same registry: idempotent). */
const IDEMPOTENT = [
  ...SAFE,
  ...['PUT', 'DELETE', 'COPY', 'MOVE', 'MKCOL', 'PROPPATCH', 'UNLOCK', 'ACL', 'MKCALENDAR', 'ORDERPATCH'],
  ...['BIND', 'REBIND', 'UNBIND', 'LINK', 'UNLINK', 'MKREDIRECTREF', 'UPDATEREDIRECTREF', 'LABEL', 'MERGE'],
  ...['CHECKIN', 'CHECKOUT', 'UNCHECKOUT', 'MKACTIVITY', 'MKWORKSPACE', 'UPDATE', 'BASELINE-CONTROL'],
  ...['VERSION-CONTROL'],
];
const KNOWN = [...IDEMPOTENT, 'POST', 'PATCH', 'LOCK'];
/** Methods of registered use without content, and PURGE as caches know it: many backends leave the content of these unread. */
const WITHOUT_CONTENT = [
  'GET',
  'HEAD',
  'OPTIONS',
  'DELETE',
  'COPY',
  'MOVE',
  'UNLOCK',
  'UNBIND',
  'LINK',
  'UNLINK',
  'PURGE',
];

const safe: ReadonlySet<string> = new Set(SAFE);
const idempotent: ReadonlySet<string> = new Set(IDEMPOTENT);
const known: ReadonlySet<string> = new Set(KNOWN);
const withoutContent: ReadonlySet<string> = new Set(WITHOUT_CONTENT);

/** A token (RFC 9110, section 5.6.2) of a length that servers take. */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
/**
 * Never from a device: CONNECT asks for a tunnel, TRACE and TRACK echo what the Proxy adds to a request, PRI begins another
 * protocol, and `*` is no method at all.
 */
const NEVER: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK', 'PRI', '*']);

/**
 * Why a method never passes, empty when a policy may open it. Methods are compared letter by letter (RFC 9110, section 9.1), but
 * some backends do not: a known one in other letters would be taken for what no rule has looked at.
 */
export const faultOfMethod: (method: string) => string = remembered((method) => {
  if (!METHOD.test(method)) return 'the method is not a token of at most 32 characters';
  const upper = method.toUpperCase();
  if (NEVER.has(upper)) return `the method ${upper} never passes`;
  return method !== upper && known.has(upper) ? `the method ${upper} is not written in capitals` : '';
});

/** True for a method that changes nothing at its backend (RFC 9110, section 9.2.1), by the registry. */
export function isSafe(method: string): boolean {
  return safe.has(method);
}

/** True for a method that a client may send again (RFC 9110, section 9.2.2), by the registry; false for an unknown one. */
export function isIdempotent(method: string): boolean {
  return idempotent.has(method);
}

/**
 * False for a method whose content has no meaning (RFC 9110, section 9.3; RFC 4918), so that backends may leave it unread.
 * PROPFIND, PROPPATCH, LOCK, MKCOL, REPORT, SEARCH, MKCALENDAR, ACL and the like have content, and unknown methods may.
 */
export function mayHaveContent(method: string): boolean {
  return !withoutContent.has(method);
}

/** A method as its registry writes it, whatever letters an app has used for it; others stay as they are. */
export function normaliseMethod(method: string): string {
  const upper = method.toUpperCase();
  return known.has(upper) ? upper : method;
}
