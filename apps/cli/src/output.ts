import { styleText } from 'node:util';
import { printable, printableJson, widthOf } from './terminal.ts';

/** A message for people, with what to do next, and lines of a log that show why. Programs get the exit code. */
export class CliError extends Error {
  readonly next: string | undefined;
  readonly log: readonly string[];

  constructor(message: string, next?: string, log: readonly string[] = []) {
    super(message);
    this.next = next;
    this.log = log;
  }
}

/** Prints rows as a table for people, or as JSON for programs. */
export function printRows(rows: readonly object[], columns: readonly string[], json: boolean): void {
  if (json) return printJson(rows);
  process.stdout.write(formatRows(rows, columns));
}

/** Rows as a table with a head. */
export function formatRows(rows: readonly object[], columns: readonly string[]): string {
  if (rows.length === 0) return '(none)\n';
  const texts = rows.map((row) =>
    columns.map((column) => formatCell(column, (row as Record<string, unknown>)[column])),
  );
  const heads = columns.map(headOf);
  const widths = heads.map((head, i) => Math.max(...[head, ...texts.map((cells) => cells[i]!)].map(widthOf)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell + ' '.repeat(widths[i]! - widthOf(cell)))
      .join('  ')
      .trimEnd();
  const head = styleText('bold', line(heads));
  return `${[head, ...texts.map(line)].join('\n')}\n`;
}

/** Prints a value as JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value)}\n`);
}

/** Heads that a column's name does not say well. */
const HEADS: Readonly<Record<string, string>> = {
  lastChannel: 'last channel no.',
  clockOffsetMs: 'clock is off by',
  evidenceAt: 'evidence from',
  silentMs: 'silent for',
  leaseUntil: 'lease until',
  ms: 'took (ms)',
};

/** A column's name in words: `createdAt` is "CREATED", `invitedBy` "INVITED BY". */
function headOf(column: string): string {
  const words = HEADS[column] ?? column.replace(/(At|Ms)$/, '').replace(/([a-z])([A-Z])/g, '$1 $2');
  return words.toUpperCase();
}

function formatCell(column: string, value: unknown): string {
  return printable(cellOf(column, value));
}

function cellOf(column: string, value: unknown): string {
  if (typeof value === 'number' && column.endsWith('Ms')) return formatDuration(value);
  if (value === null || value === undefined) return '-';
  if (column === 'at' || column.endsWith('At') || column.endsWith('Until')) return formatTime(value as number);
  if (Array.isArray(value)) return value.join(', ') || '-';
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

/** Local date and time, to the second. */
export function formatTime(ms: number): string {
  if (ms === 0) return '-';
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 19).replace('T', ' ');
}

/** A duration as people read it. */
export function formatDuration(ms: number): string {
  return Math.abs(ms) < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1_000)} s`;
}

/** A number of things in words: `1 user`, `2 users`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

/** Bytes as people read them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return unit === 0 ? `${bytes} B` : `${(bytes / 1024 ** unit).toFixed(1)} ${units[unit]}`;
}

/** A progress bar on standard error; silent when that is not a terminal. */
export function progressBar(total: number | undefined): { add(bytes: number): void; end(): void } {
  const { stderr } = process;
  const start = performance.now();
  let done = 0;
  let drawnAt = 0;
  const draw = (): void => {
    const rate = done / Math.max(0.001, (performance.now() - start) / 1000);
    const share = total ? Math.min(1, done / total) : 0;
    const bar = total ? `[${'█'.repeat(Math.round(share * 30)).padEnd(30, '·')}] ${Math.floor(share * 100)}% ` : '';
    stderr.write(`\r${bar}${formatBytes(done)}  ${formatBytes(rate)}/s   `);
  };
  return {
    add(bytes) {
      done += bytes;
      if (!stderr.isTTY || performance.now() - drawnAt < 100) return;
      drawnAt = performance.now();
      draw();
    },
    end() {
      if (!stderr.isTTY) return;
      draw();
      stderr.write('\n');
    },
  };
}
