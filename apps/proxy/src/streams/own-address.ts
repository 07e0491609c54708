/** A host and port. */
export interface Place {
  /** Lower case, an IPv6 address in brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where a URL leads. */
export interface Address extends Place {
  readonly scheme: string;
  /** Host and port as a device writes them: without the usual port of the scheme. */
  readonly authority: string;
}

/** A URL with a host, in its parts as they were written. */
export interface WrittenUrl {
  /** Undefined where it is the one of whoever reads it (RFC 3986, section 4.2). */
  readonly scheme: string | undefined;
  readonly authority: string;
  /** Path, query and fragment; begins with `/`. */
  readonly rest: string;
}

/** Nothing in it that one reader takes for the end of a host and another one does not. */
const URL_WITH_HOST = /^(?:(https?):)?\/\/([^/?#\\@\s]+)([/?#].*)?$/i;
const HOST_AND_PORT = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i;
const USUAL_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Reads a URL of http or https with a host, or without a scheme before it; undefined for anything else. */
export function readUrl(text: string): WrittenUrl | undefined {
  const [, scheme, authority, rest = ''] = URL_WITH_HOST.exec(text) ?? [];
  if (authority === undefined) return undefined;
  return { scheme: scheme?.toLowerCase(), authority, rest: rest.startsWith('/') ? rest : `/${rest}` };
}

/** Where a URL leads; undefined for one that is not of http or https. */
export function addressOf(url: string): Address | undefined {
  const { scheme, authority } = readUrl(url) ?? {};
  const [, written, digits] = HOST_AND_PORT.exec(authority ?? '') ?? [];
  if (scheme === undefined || written === undefined) return undefined;
  const host = written.toLowerCase().replace(/\.$/, '');
  const port = digits === undefined ? USUAL_PORT[scheme]! : Number(digits);
  return { scheme, host, port, authority: port === USUAL_PORT[scheme] ? host : `${host}:${port}` };
}

/** True for the same host and port, whatever the scheme. */
export function isSame(one: Place, other: Place): boolean {
  return one.host === other.host && one.port === other.port;
}
