import type { IncomingMessage } from 'node:http';
import { canonicalAuthority, type Field } from '@sallyport/channel';

/** Where a request goes: what the client speaks, a key into the resources, and the path as it was sent. */
export interface RequestTarget {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly path: string;
}

/** Fields between the local client and this proxy; they go no further (RFC 9110, section 7.6.1). */
const HOP_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
]);

/**
 * Target of a request in absolute form (RFC 9112, section 3.2.2); undefined for anything else. The path is kept byte by byte: the
 * Proxy decides what it is.
 */
export function absoluteTarget({ url = '' }: IncomingMessage): RequestTarget | undefined {
  const [, secure, authority = '', path = ''] = /^(?:http|ws)(s)?:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  const scheme = secure === undefined ? 'http' : 'https';
  const host = URL.parse(`${scheme}://${authority}`)?.host;
  if (!host || authority.includes('@') || authority.includes('\\')) return undefined;
  return { scheme, authority: host, path: path.startsWith('/') ? path : `/${path}` };
}

/** Target of a request in origin form on a connection to `authority`; undefined for another host than that. */
export function originTarget(
  { url = '', headers }: IncomingMessage,
  { scheme, authority }: Pick<RequestTarget, 'scheme' | 'authority'>,
): RequestTarget | undefined {
  const host = canonicalAuthority(headers.host ?? '');
  const same = host === authority || host?.replace(/:(?:80|443)$/, '') === authority;
  return same && url.startsWith('/') ? { scheme, authority, path: url } : undefined;
}

/** Fields of a request that go on to its backend. */
export function forwardedFields({ rawHeaders }: IncomingMessage): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) fields.push([rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!]);
  const named = fields
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) =>
      value
        .toLowerCase()
        .split(',')
        .map((one) => one.trim()),
    );
  return fields.filter(([name]) => !HOP_FIELDS.has(name) && !named.includes(name));
}

/** True when a request has content (RFC 9112, section 6.3). */
export function hasContent({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Fields of an answer for the local client: what speaks in our name comes from us alone. */
export function answeredFields(fields: readonly Field[]): string[] {
  return fields.filter(([name]) => !name.startsWith('sallyport-')).flat();
}
