import { readFileSync } from 'node:fs';

/** What is drawn of a saved run of the scenario `sites`. */
interface SavedNumbers {
  readonly numbers: Readonly<Record<string, number | string>>;
}

const WIDTH = 760;
const LABELS = 190;
const BAR = 18;
const GAP = 8;
const COLOURS = { near: '#2f6fdb', common: '#9aa4b2' } as const;
/** Each way with what the run calls it, and what the picture does. */
const WAYS = [
  ['common', 'by one entry for all', 'one entry for all'],
  ['near', 'near', "the branch's Proxy"],
] as const;
const LINES = [
  ['', 'the line loses nothing'],
  [', 1 % lost on the line', 'the line loses 1 % of its packets'],
] as const;

function times(text: string | number | undefined): { readonly p50: number; readonly p99: number } | undefined {
  const [, p50, p99] = /p50=(\d+) p99=(\d+)/.exec(String(text)) ?? [];
  return p50 === undefined ? undefined : { p50: Number(p50), p99: Number(p99) };
}

/** Common and near side by side: pages as bars to p50 with a whisker to p99, throughput as a number. */
function pictureOf({ numbers }: SavedNumbers): string {
  const groups = LINES.map(([suffix, title]) => ({
    title,
    rows: WAYS.flatMap(([way, words, label]) => {
      const page = times(numbers[`${words}${suffix}: a page`]);
      const mbit = numbers[`${words}${suffix}: Mbit/s`];
      return page ? [{ way, label, ...page, mbit }] : [];
    }),
  }));
  const most = Math.max(...groups.flatMap(({ rows }) => rows.map(({ p99 }) => p99)));
  const x = (ms: number): number => LABELS + (ms * (WIDTH - LABELS - 170)) / most;
  const parts: string[] = [];
  let y = 44;
  for (const { title, rows } of groups) {
    parts.push(`<text x="12" y="${y + 12}" font-size="13" font-weight="600" fill="#111">${title}</text>`);
    y += BAR + GAP;
    for (const { way, label, p50, p99, mbit } of rows) {
      const middle = y + BAR / 2;
      parts.push(
        `<text x="${LABELS - 8}" y="${middle + 4}" text-anchor="end" font-size="12" fill="#333">${label}</text>`,
        `<rect x="${LABELS}" y="${y}" width="${x(p50) - LABELS}" height="${BAR}" rx="2" fill="${COLOURS[way]}"/>`,
        `<path d="M${x(p50)} ${middle}H${x(p99)}m0 -5v10" stroke="#222" fill="none"/>`,
        `<text x="${x(p99) + 8}" y="${middle + 4}" font-size="12" fill="#222">${p50} / ${p99} ms, ${mbit} Mbit/s</text>`,
      );
      y += BAR + GAP;
    }
    y += GAP;
  }
  const height = y + 22;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="12" y="24" font-size="15" font-weight="700" fill="#111">A page of the branch, 80 ms and 10 Mbit/s from the main site</text>
${parts.join('\n')}
<text x="${WIDTH - 12}" y="${height - 8}" text-anchor="end" font-size="11" fill="#666">bars to p50, whiskers to p99 of a page; throughput of one download</text>
</svg>
`;
}

const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('node test/fault/src/sites-picture.ts <saved run> > docs/bench/sites.svg\n');
  process.exit(1);
}
process.stdout.write(pictureOf(JSON.parse(readFileSync(file, 'utf8')) as SavedNumbers));
