import type { PageRequest } from '../messages.ts';

type Fields = (readonly [string, string])[];

/** The request of a page, checked: whoever speaks from a resource's origin may say anything. */
export function readPageRequest(data: unknown): PageRequest | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { type, method, url, headers, mode, destination, referrer, body } = data as Record<string, unknown>;
  const texts = [method, url, mode, destination, referrer].every((one) => typeof one === 'string');
  const listed = Array.isArray(headers) && headers.every(isField);
  if (type !== 'request' || !texts || !listed) return undefined;
  if (body !== undefined && !(body instanceof Blob)) return undefined;
  return data as PageRequest;
}

function isField(field: unknown): boolean {
  return Array.isArray(field) && field.length === 2 && field.every((part) => typeof part === 'string');
}

/** What the shell adds to a request, and what it knows of it. */
export interface RequestFacts {
  /** `http://wiki.corp` */
  readonly address: string;
  /** Origin at which the resource is shown. */
  readonly origin: string;
  readonly site: 'same-origin' | 'cross-site' | 'none';
  readonly cookie: string;
  readonly authorization: string | undefined;
}

/** Fields that a browser alone sets, and those of a connection. */
const NOT_TAKEN =
  /^(?:host|cookie|origin|referer|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-length|accept-encoding|sec-.*|proxy-.*)$/;

/** The fields that the gateway gets: as if the browser had been at the resource's own address. */
export function browserFields(request: PageRequest, facts: RequestFacts): Fields {
  const { method, mode, destination, referrer, body } = request;
  const fields: Fields = request.headers
    .filter(([name]) => !NOT_TAKEN.test(name))
    .map(([name, value]) => [name, value]);
  const has = (name: string): boolean => fields.some(([other]) => other === name);
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '' && !has(name)) fields.push([name, value]);
  };
  add('accept', '*/*');
  add('accept-language', navigator.languages.join(','));
  add('user-agent', navigator.userAgent);
  // Parts of a compressed answer could not be opened.
  if (!has('range')) add('accept-encoding', 'gzip, deflate');
  if (method !== 'GET' && method !== 'HEAD') add('origin', facts.address);
  if (referrer.startsWith(`${facts.origin}/`)) add('referer', facts.address + referrer.slice(facts.origin.length));
  add('sec-fetch-site', facts.site);
  add('sec-fetch-mode', mode);
  add('sec-fetch-dest', mode === 'navigate' ? 'document' : destination || 'empty');
  add('cookie', facts.cookie);
  add('authorization', facts.authorization);
  if (body) fields.push(['content-length', String(body.size)]);
  return fields;
}

/** The path of an address of this resource, at its origin here or at its own address; undefined for any other. */
export function ownPath(
  url: string,
  { address, origin }: Pick<RequestFacts, 'address' | 'origin'>,
): string | undefined {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) return undefined;
  if (parsed.origin !== origin && parsed.host !== new URL(address).host) return undefined;
  return parsed.pathname + parsed.search;
}
