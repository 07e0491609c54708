import { directionOf, type FarmPlace, PORTS, SERVERS } from '@sallyport/ports';

const BLOCK = /(<!-- (table|picture) of ports -->\n)[\s\S]*?(<!-- end -->)/g;

/** A document with the table and the picture of ports as the table has them. */
export function withPorts(document: string): string {
  return document.replace(
    BLOCK,
    (_, begin: string, what: string, end: string) => `${begin}${what === 'table' ? table() : picture()}\n${end}`,
  );
}

function table(): string {
  const rows = PORTS.map((port) =>
    [
      port.from.join(', '),
      port.to,
      directionOf(port),
      `${port.port}/${port.protocol}`,
      port.purpose,
      port.certificate,
      port.when ?? 'always',
      port.setting === undefined ? '–' : `\`${port.setting}\``,
    ].join(' | '),
  );
  const head = ['from', 'to', 'direction', 'port', 'what for', 'certificate', 'needed', 'setting'];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows.map((row) => `| ${row} |`)].join('\n');
}

/** Names and clocks are everybody's: arrows for them would hide the others. */
const LEFT_OUT: readonly FarmPlace[] = ['name servers', 'time servers'];

function picture(): string {
  const drawn = PORTS.filter(({ to }) => !LEFT_OUT.includes(to));
  const arrows = new Map<string, Set<number>>();
  for (const { from, to, port } of drawn)
    for (const source of from) {
      const key = `${source}|${to}`;
      arrows.set(key, (arrows.get(key) ?? new Set()).add(port));
    }
  const places = [...new Set([...arrows.keys()].flatMap((key) => key.split('|') as FarmPlace[]))];
  const [inside, outside] = [places.filter((place) => isServer(place)), places.filter((place) => !isServer(place))];
  return [
    '```mermaid',
    'flowchart LR',
    ...outside.map((place) => `  ${idOf(place)}([${place}])`),
    '  subgraph farm',
    ...inside.map((place) => `    ${idOf(place)}[${place}]`),
    '  end',
    ...[...arrows].map(([key, ports]) => {
      const [from, to] = key.split('|') as [FarmPlace, FarmPlace];
      return `  ${idOf(from)} -- "${[...ports].join(', ')}" --> ${idOf(to)}`;
    }),
    '```',
  ].join('\n');
}

function isServer(place: FarmPlace): boolean {
  return (SERVERS as readonly FarmPlace[]).includes(place);
}

function idOf(place: FarmPlace): string {
  return place.replaceAll(' ', '-').toLowerCase();
}
