import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import type { Goal, LineName } from './work.ts';

/** One line with all its rounds. */
export interface Row {
  readonly subject: string;
  readonly variant: string;
  readonly unit: string;
  readonly values: readonly number[];
  readonly note: string;
}

/** What one work gave. */
export interface Result {
  readonly work: string;
  readonly title: string;
  readonly machine: string;
  readonly rows: readonly Row[];
  readonly goals: readonly Goal[];
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A value with the digits that say something. */
export function shown(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Table of one work, and whether its goals are met. */
export function markdownOf(result: Result): string {
  const rows = result.rows.map(
    ({ subject, variant, unit, values, note }) =>
      `| ${variant} | ${subject} | ${shown(median(values))} | ${shown(Math.min(...values))} – ${shown(Math.max(...values))} | ${unit} | ${note} |`,
  );
  const goals = result.goals.map((goal) => goalLine(result, goal)).filter((line) => line !== undefined);
  return [
    `## ${result.work}: ${result.title}`,
    '',
    '| work | gateway | median | min – max | unit | note |',
    '|---|---|---:|---:|---|---|',
    ...rows,
    ...(goals.length > 0 ? ['', '| goal | bound | ratio | reached |', '|---|---|---:|---|', ...goals] : []),
    '',
    result.machine,
    '',
  ].join('\n');
}

/** The upper line of a goal by its lower one; undefined when one of them was not measured. */
export function ratioOf({ rows }: Result, { above, below }: Goal): number | undefined {
  const medianOf = ({ subject, variant }: LineName): number | undefined => {
    const row = rows.find((one) => one.subject === subject && one.variant === variant);
    return row && median(row.values);
  };
  const [upper, lower] = [medianOf(above), medianOf(below)];
  return upper === undefined || lower === undefined ? undefined : upper / lower;
}

function goalLine(result: Result, goal: Goal): string | undefined {
  const { title, atMost, atLeast } = goal;
  const ratio = ratioOf(result, goal);
  if (ratio === undefined) return undefined;
  const bound = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
  const reached = atMost === undefined ? ratio >= atLeast! : ratio <= atMost;
  return `| ${title} | ${bound} | ${ratio.toFixed(2)} | ${reached ? 'yes' : 'no'} |`;
}

function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? '?';
}

/** The machine, the versions and the day. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? 'unknown';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const versions = [
    `Node ${process.version}`,
    `nginx ${versionOf('nginx', ['-v'])}`,
    `HAProxy ${versionOf('haproxy', ['-v'])}`,
    `OpenSSL ${process.versions.openssl}`,
  ];
  const day = new Date().toISOString().slice(0, 10);
  return `${cpus().length} × ${model}, ${memory}; ${versions.join(', ')}; commit ${commit}, ${day}. A shared machine: read as ratios.`;
}
