import type { Log } from '@sallyport/telemetry';

/** How often one kind of line is written at most, ms. */
const EVERY_MS = 10_000;
const MAX_KINDS = 1_024;

/**
 * Lines of the log that devices and backends can cause as often as they like: the first of a kind at once, then at most one
 * in ten seconds, which says how many were left out. One per process.
 */
export class Remarks {
  readonly #log: Pick<Log, 'warn'>;
  readonly #kinds = new Map<string, { at: number; leftOut: number }>();

  constructor(log: Pick<Log, 'warn'>) {
    this.#log = log;
  }

  /** Writes a line at level warn, unless one of its kind was written just before. `now` in ms of a monotonic clock. */
  warn(kind: string, fields: object, text: string, now: number = performance.now()): void {
    const known = this.#kinds.get(kind);
    if (known && now - known.at < EVERY_MS) {
      known.leftOut += 1;
      return;
    }
    if (!known && this.#kinds.size >= MAX_KINDS) this.#kinds.clear();
    this.#kinds.set(kind, { at: now, leftOut: 0 });
    this.#log.warn(known?.leftOut ? { ...fields, leftOut: known.leftOut } : fields, text);
  }
}
