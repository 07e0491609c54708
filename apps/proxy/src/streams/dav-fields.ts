import { ChannelError, checkPath, type Field, type RequestHead } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { addressOf, readUrl } from './own-address.ts';

/** Methods that write to a second place, named by a field (RFC 4918, section 10.3), and those of Exchange that do it in bulk. */
const TWO_PLACES: ReadonlySet<string> = new Set(['COPY', 'MOVE', 'BCOPY', 'BMOVE']);
/** URLs that tag the conditions of `If` (RFC 4918, section 10.4); names of locks are other URIs. */
const TAGS = /<(https?:\/\/[^<>\s]*)>/gi;

/**
 * Path of the second place that a request of WebDAV writes to, which needs the same right as the first; undefined when it has none.
 * @throws ChannelError ERR_CHANNEL_HTTP_REFUSED when that is no path of the same resource
 */
export function secondPath({ method, authority, fields }: RequestHead): string | undefined {
  if (!TWO_PLACES.has(method.toUpperCase())) return undefined;
  const named = fields.filter(([name]) => name === 'destination');
  // What is missing is for the backend to say.
  if (named.length === 0) return undefined;
  const path = named.length === 1 ? ownPath(named[0]![1], authority) : undefined;
  if (path === undefined)
    throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', `${method} needs one destination, on the same resource`);
  checkPath(path, 'exact');
  // Some take the field for a path as a whole: `..` behind the mark would lead somewhere else.
  if (path.includes('?')) throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'the destination has a query');
  return path;
}

/** Fields of a request in which URLs of the resource are those of the backend, as it knows itself: scheme, host and path. */
export function davFields(fields: readonly Field[], { authority }: RequestHead, backend: Backend): Field[] {
  const { url, host = authority, prefix = '' } = backend;
  const base = `${url.slice(0, url.indexOf(':'))}://${host}${prefix}`;
  return fields.map(([name, value]) => {
    if (name === 'destination') return [name, mapped(value, authority, base)];
    if (name === 'if') return [name, value.replace(TAGS, (_tag, one: string) => `<${mapped(one, authority, base)}>`)];
    return [name, value];
  });
}

/** True for a field that may name a place on the backend. */
export function namesPlace(name: string): boolean {
  return name === 'destination' || name === 'if';
}

function mapped(text: string, authority: string, base: string): string {
  const path = ownPath(text, authority);
  return path === undefined ? text : base + path;
}

/** Path of a reference to the resource itself, in either scheme; undefined for anything else. */
function ownPath(text: string, authority: string): string | undefined {
  if (text.startsWith('/') && !text.startsWith('//')) return text;
  const url = readUrl(text);
  if (url?.scheme === undefined) return undefined;
  const [named, own] = [url.authority, authority].map((one) => addressOf(`${url.scheme}://${one}`));
  return named !== undefined && named.authority === own?.authority ? url.rest : undefined;
}
