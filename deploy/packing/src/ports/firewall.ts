import { type FarmPlace, type FarmServer, PORTS, type Port } from '@sallyport/ports';

const MADE = 'Made from the table of ports by "npm run ports".';

/** How a place is called in rules and names of files. */
export function wordOf(place: FarmPlace): string {
  return place.toLowerCase().replaceAll(' ', '_');
}

/** Ways into a host, and out of it. */
function waysOf(host: FarmServer): { readonly into: readonly Port[]; readonly out: readonly Port[] } {
  return { into: PORTS.filter(({ to }) => to === host), out: PORTS.filter(({ from }) => from.includes(host)) };
}

/**
 * Rules of nftables for a host: what the table names gets in and out, all else does not. Whom a place stands for is put into sets,
 * which are empty at first: nobody gets in by forgetting.
 */
export function nftRules(host: FarmServer): string {
  const { into, out } = waysOf(host);
  const peers = [...new Set([...into.flatMap(({ from }) => from), ...out.map(({ to }) => to)])];
  const open = peers.filter((place) => place !== 'devices');
  const sets = [...open, 'administrators' as const].flatMap((place) => setsOf(place));
  return `#!/usr/sbin/nft -f
# ${MADE} For a host of: ${host}.
# It replaces the table "sallyport" and touches no other one. Then say who everybody is, each place by its addresses:
#   nft add element inet sallyport ${wordOf(open[0]!)}4 '{ 10.1.2.3, 10.1.3.0/24 }'
# "administrators" may log in by SSH. A host that serves several purposes needs the rules of each.
add table inet sallyport
delete table inet sallyport
table inet sallyport {
${sets.join('\n')}
  chain into {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established,related accept
    # Without these a path with a smaller MTU swallows large packets.
    meta l4proto { icmp, ipv6-icmp } accept
${rulesFor('administrators', 'ssh', { side: 'saddr', match: 'tcp dport 22' }).join('\n')}
${into.flatMap(intoRules).join('\n')}
  }
  chain out {
    type filter hook output priority filter; policy drop;
    oif lo accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
${out.flatMap(outRules).join('\n')}
  }
}
`;
}

function setsOf(place: FarmPlace | 'administrators'): string[] {
  const name = place === 'administrators' ? place : wordOf(place);
  return [
    `  set ${name}4 { type ipv4_addr; flags interval; auto-merge; }`,
    `  set ${name}6 { type ipv6_addr; flags interval; auto-merge; }`,
  ];
}

interface Matching {
  readonly side: 'saddr' | 'daddr';
  readonly match: string;
}

function rulesFor(place: FarmPlace | 'administrators', name: string, { side, match }: Matching): string[] {
  const word = place === 'administrators' ? place : wordOf(place);
  const comment = ` comment "${name}"`;
  return [`    ip ${side} @${word}4 ${match} accept${comment}`, `    ip6 ${side} @${word}6 ${match} accept${comment}`];
}

function intoRules({ name, from, port, protocol }: Port): string[] {
  const match = `${protocol} dport ${port}`;
  // Devices come from anywhere.
  if (from.includes('devices')) return [`    ${match} accept comment "${name}"`];
  return from.flatMap((place) => rulesFor(place, name, { side: 'saddr', match }));
}

function outRules({ name, to, port, protocol }: Port): string[] {
  // Resources say which ports; which hosts is said here.
  const match = to === 'backends' ? 'meta l4proto tcp' : `${protocol} dport ${port}`;
  return rulesFor(to, name, { side: 'daddr', match });
}

/** Application profiles of ufw for a host: one for each way in, for /etc/ufw/applications.d. */
export function ufwProfile(host: FarmServer): string {
  const { into } = waysOf(host);
  const ports = [...Map.groupBy(into, ({ port, protocol }) => `${port}/${protocol}`)];
  const profiles = ports.map(([port, ways]) =>
    [
      `[Sallyport ${host} ${port.replace('/', ' ')}]`,
      `title=Sallyport ${host}: ${ways.map(({ name }) => name).join(', ')}`,
      `description=${plain(ways.map(({ purpose, from }) => `${purpose}; from ${from.join(', ')}`).join('. '))}`,
      `ports=${port}`,
    ].join('\n'),
  );
  return `# ${MADE} ufw allow from 10.1.2.3 to any app "Sallyport ${host} ${ports[0]![0].replace('/', ' ')}"\n${profiles.join('\n\n')}\n`;
}

function plain(text: string): string {
  return text.replaceAll('`', '');
}
