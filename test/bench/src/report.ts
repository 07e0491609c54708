import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import type { Goal, Work } from './work.ts';

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

function shown(value: number): string {
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
    ...(goals.length > 0 ? ['', '| goal | ratio | reached |', '|---|---:|---|', ...goals] : []),
    '',
    result.machine,
    '',
  ].join('\n');
}

/** Our value by theirs; undefined when a side was not measured. */
export function ratioOf(result: Result, goal: Goal): number | undefined {
  const medianOf = (subject: string): number | undefined => {
    const row = result.rows.find((one) => one.subject === subject && one.variant === goal.variant);
    return row && median(row.values);
  };
  const [ours, theirs] = [medianOf(goal.ours), medianOf(goal.theirs)];
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

function goalLine(result: Result, goal: Goal): string | undefined {
  const ratio = ratioOf(result, goal);
  if (ratio === undefined) return undefined;
  const bound = goal.atMost === undefined ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
  const reached = goal.atMost === undefined ? ratio >= goal.atLeast! : ratio <= goal.atMost;
  return `| ${goal.variant}: ${bound} × ${goal.theirs} | ${ratio.toFixed(2)} | ${reached ? 'yes' : 'no'} |`;
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

/** An empty result of a work. */
export function emptyResult({ name, title, goals }: Work, machine: string): Result {
  return { work: name, title, machine, rows: [], goals };
}
