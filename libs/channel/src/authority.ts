/** A host as it goes over the wire: lower case, `_` too, without a dot at its end; or an IPv6 address in brackets. */
const HOST = String.raw`(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])`;
const AUTHORITY = new RegExp(String.raw`^(?!.*\.\.)${HOST}(?::[1-9][0-9]{0,4})?$`);
const PARTS = /^(?<host>\[[^\]]*\]|[^:[\]@/?#\\%\s]*)(?<port>:[1-9][0-9]{0,4})?$/;
const WILDCARD = '*.';
const MAX_PORT = 65_535;

/** True for an authority in its one form on the wire (SPEC.md, section 7); others are refused, never repaired. */
export function isAuthority(text: string): boolean {
  return AUTHORITY.test(text);
}

/**
 * The one form of an authority, or of a wildcard like `*.corp:8080`: lower case, no dot at the end of the host, IPv6 as RFC 5952
 * writes it. Undefined for what is none.
 */
export function canonicalAuthority(text: string): string | undefined {
  const wild = text.startsWith(WILDCARD);
  const { host = '', port = '' } = PARTS.exec(wild ? text.slice(WILDCARD.length) : text)?.groups ?? {};
  const plain = canonicalHost(host);
  if (plain === undefined || Number(port.slice(1)) > MAX_PORT || (wild && !isSuffix(plain))) return undefined;
  return `${wild ? WILDCARD : ''}${plain}${port}`;
}

/** An address has no names under it, and a suffix that ends like one would make addresses of them. */
function isSuffix(host: string): boolean {
  return !host.startsWith('[') && !/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/.test(host);
}

function canonicalHost(host: string): string | undefined {
  const url = URL.parse(`http://${host.startsWith('[') ? host : host.toLowerCase().replace(/\.$/, '')}/`);
  if (!url || !isAuthority(url.hostname)) return undefined;
  return url.hostname;
}

/** The same authority of a parsed URL without the dot that may end its host: `wiki.corp.:81` is `wiki.corp:81`. */
export function withoutFinalDot(authority: string): string {
  return authority.replace(/\.(?=:[0-9]*$|$)/, '');
}

/** True for an authority that stands for all names under a suffix. */
export function isWildcard(authority: string): boolean {
  return authority.startsWith(WILDCARD);
}

/**
 * What the `*` of a wildcard stands for in an authority: one label or more of its host; the ports are the same. Undefined when
 * it does not fit; the suffix itself does not.
 */
export function wildcardPart(wildcard: string, authority: string): string | undefined {
  const suffix = wildcard.slice(1);
  return authority.length > suffix.length && authority.endsWith(suffix)
    ? authority.slice(0, -suffix.length)
    : undefined;
}

/** True when every name that `inner` stands for fits the wildcard `outer`, too: then `inner` is the nearer one. */
export function liesUnder(outer: string, inner: string): boolean {
  if (!isWildcard(outer) || outer === inner) return false;
  return wildcardPart(outer, isWildcard(inner) ? `x${inner.slice(1)}` : inner) !== undefined;
}

/**
 * The one of these that an authority belongs to: the same one, or else the longest wildcard that fits. `fits` leaves out those
 * that are for others.
 */
export function findByAuthority<One extends { readonly authority: string }>(
  among: readonly One[],
  authority: string,
  fits: (one: One) => boolean = () => true,
): One | undefined {
  if (!isAuthority(authority)) return undefined;
  const exact = among.find((one) => one.authority === authority && fits(one));
  if (exact) return exact;
  let longest: One | undefined;
  for (const one of among) {
    if (!isWildcard(one.authority) || wildcardPart(one.authority, authority) === undefined || !fits(one)) continue;
    if (!longest || one.authority.length > longest.authority.length) longest = one;
  }
  return longest;
}
