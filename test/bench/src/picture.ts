import { median, type Result, type Row, shown } from './report.ts';

const WIDTH = 860;
const LABEL_WIDTH = 280;
const VALUE_WIDTH = 70;
const BAR = 16;
const GAP = 6;
const GROUP = 30;
const TOP = 44;
const BOTTOM = 22;
const FONT = 'font-family="system-ui, sans-serif"';
const OURS = '#2f6fdb';
const THEIRS = '#9aa4b2';

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

/** Rows of a result by their variant, in the order in which they were measured. */
function groupsOf(rows: readonly Row[]): readonly (readonly [string, readonly Row[]])[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(row.variant, [...(groups.get(row.variant) ?? []), row]);
  return [...groups];
}

function barOf(row: Row, y: number, scale: number): string {
  const value = median(row.values);
  const [low, high] = [Math.min(...row.values), Math.max(...row.values)];
  const x = (at: number): number => LABEL_WIDTH + at * scale;
  const middle = y + BAR / 2;
  const colour = row.subject.startsWith('Sallyport') ? OURS : THEIRS;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end" font-size="12" fill="#333">${escaped(row.subject)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${Math.max(1, value * scale)}" height="${BAR}" rx="2" fill="${colour}"/>`,
    `<path d="M${x(low)} ${middle}H${x(high)}M${x(low)} ${middle - 4}v8M${x(high)} ${middle - 4}v8" stroke="#222" fill="none"/>`,
    `<text x="${x(Math.max(value, high)) + 6}" y="${middle + 4}" font-size="12" fill="#222">${shown(value)}</text>`,
  ].join('\n');
}

/** Bars of one result as SVG: medians, with a whisker from the smallest to the largest round. */
export function pictureOf({ work, title, rows }: Result): string {
  const unit = rows[0]?.unit ?? '';
  const drawn = rows.filter((row) => row.unit === unit);
  const most = Math.max(...drawn.flatMap(({ values }) => values));
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
  let y = TOP;
  const parts: string[] = [];
  for (const [variant, group] of groupsOf(drawn)) {
    parts.push(`<text x="12" y="${y + 12}" font-size="13" font-weight="600" fill="#111">${escaped(variant)}</text>`);
    y += GROUP - GAP;
    for (const row of group) {
      parts.push(barOf(row, y, scale));
      y += BAR + GAP;
    }
    y += GAP;
  }
  const height = y + BOTTOM;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ${FONT}>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="700" fill="#111">${escaped(`${work}: ${title}`)}</text>`,
    ...parts,
    `<text x="${WIDTH - 12}" y="${height - 8}" text-anchor="end" font-size="11" fill="#666">${escaped(unit)}; the whisker spans all rounds</text>`,
    '</svg>',
    '',
  ].join('\n');
}
