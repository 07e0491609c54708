import { isIP } from 'node:net';
import { UPDATE_AUTHORITY } from '@sallyport/channel';
import type { ResourceView } from '@sallyport/security-api';
import { isPublicAddress, networksOf } from '@sallyport/settings';

/** Names that no public directory knows, and that no public CA signs (RFC 6761, RFC 6762, RFC 8375, RFC 9476). */
const INTERNAL = /(^|\.)(corp|internal|intranet|lan|local|localhost|home|home\.arpa|private|test|alt)$/;

/** Why a resource cannot work as it stands, or hardly can; in words. */
export function doubtsOfResource({ kind, authority, backend }: ResourceView): string[] {
  const urls = [backend.url, ...(backend.servers ?? []).map((server) => server.url)];
  const isOurs = authority === UPDATE_AUTHORITY;
  const doubts = urls.flatMap((url) => doubtsOfServer({ kind, isOurs }, { ...backend, url }));
  if (backend.basic && urls.some((url) => url.startsWith('http:')))
    doubts.push('the password goes over http:// to the backend: whoever listens there reads it');
  return doubts;
}

/** `isOurs`: Security is the backend, and tells Proxies itself by which CA it is believed. */
function doubtsOfServer(
  { kind, isOurs }: { readonly kind: ResourceView['kind']; readonly isOurs: boolean },
  { url, networks, ca }: ResourceView['backend'],
): string[] {
  const host = new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
  const doubts: string[] = [];
  const inside = isIP(host) ? !isPublicAddress(host) : INTERNAL.test(host) || !host.includes('.');
  if (isIP(host) && inside && !networksOf(networks).has(host))
    doubts.push(
      `no Proxy will reach ${host}: it lies in no network of this resource; add: --network ${networkOf(host)}`,
    );
  if (!isIP(host) && inside && networks.length === 0)
    doubts.push(
      `${host} looks like a name of the intranet, and no network is named: private addresses are not reached without --network`,
    );
  if (kind === 'http' && url.startsWith('https:') && ca === undefined && inside && !isOurs)
    doubts.push(`no public CA signs ${host}: without --ca its certificate will not be believed`);
  return doubts;
}

function networkOf(host: string): string {
  if (isIP(host) === 6) return `${host}/128`;
  return host.startsWith('127.') ? '127.0.0.0/8' : `${host}/32`;
}
