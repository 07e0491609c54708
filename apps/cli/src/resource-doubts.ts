import { BlockList, isIP } from 'node:net';
import type { ResourceView } from '@sallyport/security-api';

/** Networks that a backend may lie in only when its resource names them; the Proxy has the whole list. */
const CLOSED = blockList([
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
]);
/** Names that no public directory knows, and that no public CA signs (RFC 6761, RFC 6762, RFC 8375, RFC 9476). */
const INTERNAL = /(^|\.)(corp|internal|intranet|lan|local|localhost|home|home\.arpa|private|test|alt)$/;

/** Why a resource cannot work as it stands, or hardly can; in words. */
export function doubtsOf({ kind, backend }: ResourceView): string[] {
  const { url, networks, ca } = backend;
  const host = new URL(url.replace(/^tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
  const doubts: string[] = [];
  const inside = isIP(host) ? isIn(CLOSED, host) : INTERNAL.test(host) || !host.includes('.');
  if (isIP(host) && inside && !isIn(blockList(networks), host))
    doubts.push(
      `no Proxy will reach ${host}: it lies in no network of this resource; add: --network ${networkOf(host)}`,
    );
  if (!isIP(host) && inside && networks.length === 0)
    doubts.push(
      `${host} looks like a name of the intranet, and no network is named: private addresses are not reached without --network`,
    );
  if (kind === 'http' && url.startsWith('https:') && ca === undefined && inside)
    doubts.push(`no public CA signs ${host}: without --ca its certificate will not be believed`);
  return doubts;
}

function networkOf(host: string): string {
  if (isIP(host) === 6) return `${host}/128`;
  return host.startsWith('127.') ? '127.0.0.0/8' : `${host}/32`;
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    if (isIP(address)) list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

function isIn(list: BlockList, host: string): boolean {
  return list.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6');
}
