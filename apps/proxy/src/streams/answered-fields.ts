import type { Field } from '@sallyport/channel';
import { type Address, addressOf, isSame, type Place, readUrl } from './own-address.ts';

/** Who a backend is for its users, and for the Proxy: what its answers are read by. */
export interface Facing {
  /** What the user's client speaks. */
  readonly scheme: string;
  /** What the user asked for. */
  readonly authority: string;
  /** What was asked for, if the same again would be a circle; undefined for a method that changes something. */
  readonly path: string | undefined;
  /** Where it really is: the URLs of its servers. */
  readonly urls: readonly string[];
  /** Path under which the backend has what users see at `/`; empty or without a slash at its end. */
  readonly prefix: string;
  /** True when an authority is a way to a resource of this user. */
  isResource(authority: string): boolean;
}

/** True when a field may say where something is, and so may name the backend by an address that only the Proxy knows. */
export function saysWhere(name: string): boolean {
  return name === 'location' || name === 'set-cookie' || name === 'content-location' || name === 'refresh';
}

/**
 * Fields of an answer as the user's client can follow them: `Location`, `Content-Location`, `Refresh` and the domain and path of
 * `Set-Cookie` that name the backend by its own address, scheme or path name the resource instead. What names any other server stays
 * byte by byte as it came.
 */
export function mappedFields(fields: readonly Field[], facing: Facing): readonly Field[] {
  const place = addressOf(`${facing.scheme}://${facing.authority}`);
  if (!place) return fields;
  const own = new OwnAddress(facing, place);
  return fields.map((field) => (saysWhere(field[0]) ? mappedField(field, own) : field));
}

function mappedField([name, value]: Field, own: OwnAddress): Field {
  if (name === 'set-cookie') return [name, mappedCookie(value, own)];
  if (name === 'refresh') return [name, mappedRefresh(value, own)];
  return [name, own.mapped(value, name === 'location')];
}

/** `5; url=https://…`, as browsers read it (WHATWG HTML, shared declarative refresh steps). */
const REFRESH = /^(\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?(["']?))(.*)$/i;

function mappedRefresh(value: string, own: OwnAddress): string {
  const [, before, quote, rest] = REFRESH.exec(value) ?? [];
  if (before === undefined || rest === undefined) return value;
  const end = quote ? rest.indexOf(quote) : -1;
  const url = end < 0 ? rest : rest.slice(0, end);
  return `${before}${own.mapped(url, false)}${rest.slice(url.length)}`;
}

function mappedCookie(value: string, own: OwnAddress): string {
  const [pair = '', ...attributes] = value.split(';');
  return [pair, ...attributes.flatMap((attribute) => mappedAttribute(attribute, own))].join(';');
}

function mappedAttribute(attribute: string, own: OwnAddress): readonly string[] {
  const at = attribute.indexOf('=');
  // No pattern finds both ends: spaces in between, thousands of them, would be looked at again and again.
  const name = at < 0 ? '' : attribute.slice(0, at).trim().toLowerCase();
  const value = attribute.slice(at + 1).trim();
  if (name === 'domain') return own.mappedDomain(attribute, value);
  if (name === 'path' && value.startsWith('/')) return [` Path=${own.inside(value) ?? value}`];
  return [attribute];
}

/** What of a URL is the backend itself, and how users call that. */
class OwnAddress {
  readonly #facing: Facing;
  readonly #servers: readonly Address[];
  /** The user's client finds the resource here. */
  readonly #place: Place;

  constructor(facing: Facing, place: Place) {
    this.#facing = facing;
    this.#place = place;
    this.#servers = facing.urls.flatMap((url) => addressOf(url) ?? []);
  }

  /**
   * A URL reference as the user's client can follow it. With `redirects` one that would lead back to what was just asked for stays:
   * then the backend means the other scheme, and mapping it would send the client in a circle.
   */
  mapped(text: string, redirects: boolean): string {
    const url = readUrl(text);
    if (!url) return text.startsWith('/') && !text.startsWith('//') ? this.#reference(text) : text;
    const address = addressOf(`${url.scheme ?? this.#servers[0]?.scheme}://${url.authority}`);
    const path = address && this.#names(address) ? this.inside(url.rest) : undefined;
    if (path === undefined) return text;
    return redirects && this.#isCircle(address!, path) ? text : this.#urlOf(path);
  }

  /** A path of the backend as users write it, with the host before it where the path alone would be read as a host. */
  #reference(text: string): string {
    const path = this.inside(text) ?? text;
    return /^\/[\t\n\r]*[/\\]/.test(path) && path !== text ? this.#urlOf(path) : path;
  }

  #urlOf(path: string): string {
    return `${this.#facing.scheme}://${this.#facing.authority}${path}`;
  }

  /** A path of the backend as users see it; undefined when it lies outside of what they see. */
  inside(path: string): string | undefined {
    const { prefix } = this.#facing;
    if (prefix === '') return path;
    if (!path.startsWith(prefix)) return undefined;
    const rest = path.slice(prefix.length);
    if (rest.startsWith('/')) return rest;
    return rest === '' || /^[?#]/.test(rest) ? `/${rest}` : undefined;
  }

  /**
   * A domain that covers the backend's own host and not the resource's: the client would drop the cookie. It becomes the resource's
   * host, or is left out where that cannot be a domain, which means the same host (RFC 6265, section 5.3).
   */
  mappedDomain(attribute: string, value: string): readonly string[] {
    const domain = value.replace(/^\./, '').toLowerCase();
    if (domain === '' || covers(domain, this.#place.host) || !this.#servers.some(({ host }) => covers(domain, host)))
      return [attribute];
    return /[a-z][^.]*$/.test(this.#place.host) && this.#place.host.includes('.')
      ? [` Domain=${this.#place.host}`]
      : [];
  }

  #names(address: Address): boolean {
    if (this.#isResourceItself(address)) return this.#servers.some(({ scheme }) => scheme === address.scheme);
    // By its own address, or by the name that it is asked by and the port that it knows of itself.
    const { host, port } = address;
    const own = this.#servers.some(
      (server) => isSame(address, server) || (host === this.#place.host && port === server.port),
    );
    return own && !this.#facing.isResource(address.authority);
  }

  /** The resource as users call it, in either scheme. */
  #isResourceItself({ host, port, scheme }: Address): boolean {
    const wanted = addressOf(`${scheme}://${this.#facing.authority}`);
    return host === wanted?.host && port === wanted.port;
  }

  #isCircle(address: Address, path: string): boolean {
    const here = this.#isResourceItself(address) && address.scheme !== this.#facing.scheme;
    return here && path.split('#', 1)[0] === this.#facing.path;
  }
}

/** True when a cookie of this domain goes to a host (RFC 6265, section 5.1.3). */
function covers(domain: string, host: string): boolean {
  return host === domain || (host.endsWith(`.${domain}`) && /[a-z]/.test(host));
}
