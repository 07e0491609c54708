import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { page } from './pages.ts';

const HTML = 'text/html; charset=utf-8';
const BERTHS = 3_000;
const PIERS = ['North', 'East', 'South', 'West', 'Inner basin'];
const BOATS = [
  'Aurora',
  'Seagull',
  'Tern',
  'Old Mary',
  'Halcyon',
  'Petrel',
  'Windfall',
  'Kittiwake',
  'Marigold',
  'Gannet',
];
const HEADS = ['Berth', 'Pier', 'Boat', 'Owner', 'Length', 'Draught', 'Since', 'Until', 'Power', 'Water', 'Dues'];
/** Placed where the rows of the table go. */
const ROWS = '<!--rows-->';

/** A page of one large table, sent as it is made. */
export function addBerths(service: FastifyInstance): void {
  const [before = '', after = ''] = page(
    'Berths',
    `<p>${BERTHS.toLocaleString('en')} berths. Scroll inside of the table; its first column stays.</p>
<div class="wide-table tall" tabindex="0" role="region" aria-label="All berths"><table><thead><tr>${HEADS.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead>
<tbody>${ROWS}</tbody></table></div>`,
  ).split(ROWS);
  service.get('/berths', (_request, reply) => reply.type(HTML).send(Readable.from(parts(before, after))));
}

function* parts(before: string, after: string): Generator<string> {
  yield before;
  for (let number = 1; number <= BERTHS; number++) yield rowOf(number);
  yield after;
}

/** The same at every call: a number decides everything. */
function rowOf(number: number): string {
  const pick = <T>(list: readonly T[], salt: number): T => list[(number * 7_919 + salt * 104_729) % list.length]!;
  const range = (from: number, to: number, salt: number): number =>
    from + ((number * 31 + salt * 17) % (to - from + 1));
  const day = (salt: number): string =>
    new Date(Date.UTC(2026, range(0, 11, salt), range(1, 28, salt + 1))).toISOString().slice(0, 10);
  const cells = [
    pick(PIERS, 1),
    `${pick(BOATS, 2)} ${number % 40 || ''}`.trim(),
    `Owner ${range(100, 999, 3)}`,
    `${range(6, 38, 4)}.${number % 10} m`,
    `${range(1, 4, 5)}.${(number * 3) % 10} m`,
    day(6),
    day(8),
    number % 3 === 0 ? 'yes' : 'no',
    number % 4 === 0 ? 'no' : 'yes',
    `${range(40, 900, 9)}.00 €`,
  ];
  return `<tr><th scope="row">${number}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}
