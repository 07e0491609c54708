import { canonicalAuthority, isOwnField, isWildcard, speaksForProxy } from '@sallyport/channel';
import type { Backend, ResourceInput } from '@sallyport/security-api';
import { certificatesIn } from '../realm/certificates-in.ts';
import { AccessError } from '../store/errors.ts';

/** Settings that mean something over HTTP only. */
const HTTP_ONLY = ['prefix', 'host', 'clientCertificate', 'basic', 'health', 'http'] as const;

function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AccessError('ERR_ACCESS_INVALID', message);
}

/**
 * A resource in the one form in which it is stored: host names in lower case without a final dot, IPv6 as RFC 5952 writes it.
 * @throws AccessError ERR_ACCESS_INVALID for what can never work
 */
export function canonicalResource(
  name: string,
  { kind, authority, title, backend }: ResourceInput,
): Pick<ResourceInput, 'kind' | 'authority' | 'title' | 'backend'> {
  const canonical = canonicalAuthority(authority);
  demand(canonical !== undefined, `${name}: the authority is not a host with an optional port`);
  checkWhole(name, backend);
  const named = canonicalBackend(name, backend);
  checkScheme(name, kind, named);
  checkTemplate(name, canonical, named);
  for (const network of named.networks) checkNetwork(network);
  for (const field of named.passFields ?? []) checkPassField(field);
  demand(
    !named.basic || !named.delegate,
    `${name}: Authorization holds either the gateway's password or a token of the user, not both`,
  );
  return { kind, authority: canonical, ...(title === undefined ? {} : { title }), backend: named };
}

/** A change names parts: what it makes must still be whole. */
function checkWhole(name: string, { basic, clientCertificate, health }: Backend): void {
  demand(basic?.user !== undefined || !basic, `${name}: basic credentials need a user`);
  demand(
    clientCertificate?.certificate !== undefined || !clientCertificate,
    `${name}: the client certificate is missing`,
  );
  demand(health?.path !== undefined || !health, `${name}: the path that is asked for is missing`);
}

function canonicalBackend(name: string, backend: Backend): Backend {
  const host = backend.host === undefined ? undefined : canonicalAuthority(backend.host);
  demand(
    backend.host === undefined || (host !== undefined && !isWildcard(host)),
    `${name}: host is not a host with an optional port`,
  );
  const servers = backend.servers?.map((server) => ({ ...server, url: canonicalUrl(name, server.url) }));
  const { ca, clientCertificate } = backend;
  return {
    ...backend,
    url: canonicalUrl(name, backend.url),
    ...(servers ? { servers } : {}),
    ...(host === undefined ? {} : { host }),
    ...(ca === undefined ? {} : { ca: certificatesIn(ca, `the CA of ${name}`) }),
    ...(clientCertificate
      ? {
          clientCertificate: {
            ...clientCertificate,
            certificate: certificatesIn(clientCertificate.certificate, `the client certificate of ${name}`),
          },
        }
      : {}),
  };
}

function canonicalUrl(name: string, url: string): string {
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(url) ?? [];
  const authority = canonicalAuthority(rest);
  demand(authority !== undefined, `${name}: the URL of the backend is not valid`);
  demand(scheme !== 'tcp' || /:[0-9]+$/.test(authority), `${name}: a tcp:// backend needs a port`);
  return `${scheme}://${authority}`;
}

function urlsOf({ url, servers = [] }: Backend): string[] {
  return [url, ...servers.map((server) => server.url)];
}

function checkScheme(name: string, kind: ResourceInput['kind'], backend: Backend): void {
  const urls = urlsOf(backend);
  const schemes = new Set(urls.map((url) => url.slice(0, url.indexOf(':'))));
  demand(
    schemes.has('tcp') === (kind === 'tcp'),
    `${name}: a tcp resource has a tcp:// backend, an http one http(s)://`,
  );
  demand(schemes.size === 1, `${name}: all servers of a backend have one scheme`);
  demand(new Set(urls).size === urls.length, `${name}: a server is named twice`);
  const alone = backend.servers === undefined;
  const shared = (['weight', 'sticky', 'health'] as const).find((setting) => alone && backend[setting] !== undefined);
  demand(shared === undefined, `${name}: ${shared} means nothing for a backend of one server`);
  const odd = kind === 'tcp' ? HTTP_ONLY.find((setting) => backend[setting] !== undefined) : undefined;
  demand(odd === undefined, `${name}: ${odd} means nothing for a tcp resource`);
  demand(
    backend.http !== 'auto' || schemes.has('https'),
    `${name}: http auto is for https:// backends, which say what they speak`,
  );
  demand(
    backend.clientCertificate === undefined || schemes.has('https'),
    `${name}: a client certificate is for https:// backends`,
  );
}

/**
 * A `*` in the URL lets devices choose the host: it is the first label of a name, of a wildcard, and only addresses in the
 * networks that are named count. No password goes to where a device says.
 */
function checkTemplate(name: string, authority: string, backend: Backend): void {
  if (!urlsOf(backend).some((url) => url.includes('*'))) return;
  demand(isWildcard(authority), `${name}: only the backend of a wildcard holds a *`);
  demand(backend.servers === undefined, `${name}: a backend with a * is one server`);
  demand(backend.networks.length > 0, `${name}: devices choose the host, so the networks that it may lie in are named`);
  demand(backend.basic === undefined, `${name}: no password goes to a host that a device chooses`);
}

/** @throws AccessError ERR_ACCESS_INVALID for a field that no setting lets pass, or that passes without one. */
function checkPassField(name: string): void {
  demand(!isOwnField(name) && !name.startsWith('proxy-'), `only the gateway itself sets ${name}`);
  demand(speaksForProxy(name), `${name} passes without a setting`);
}

/** @throws AccessError ERR_ACCESS_INVALID for what is not an address with a prefix length. */
export function checkNetwork(network: string): void {
  const [address = '', bits = '', ...rest] = network.split('/');
  const host = address.includes(':') ? `[${address}]` : address;
  // No zeros in front: some read them as octal.
  const v4 = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(address);
  const fits = /^\d{1,3}$/.test(bits) && Number(bits) <= (v4 ? 32 : 128) && rest.length === 0;
  demand(
    fits && (v4 || address.includes(':')) && URL.canParse(`http://${host}/`),
    'a network is written as address/bits, for instance 10.0.0.0/8',
  );
}
