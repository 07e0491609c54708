import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import { KeptRevocation, MAX_KEPT_AT_ONCE, parseJson, parserOf } from '@sallyport/security-api';
import type { SecurityClient } from '@sallyport/security-client';
import type { Log } from '@sallyport/telemetry';

const parseKept = parserOf(KeptRevocation);
/** The newest entries that are kept; the file holds twice as many before it is written anew. */
const MAX_KEPT = 5_000;
/** How often it is looked whether there is something to bring back, ms. */
const LOOK_MS = 1_000;
/** A node that does not take it is asked again after this, ms. */
const REST_MS = 10_000;
/** After a file that could not be written, all of it is written anew so much later, ms. */
const RETRY_MS = 10_000;

/** Where entries of epochs before are brought to, and which one is followed now. */
export interface BringingBack {
  readonly security: Pick<SecurityClient, 'bringBack'>;
  /** Undefined while no log is followed. */
  readonly epoch: () => string | undefined;
}

/** Where entries are kept, and who hears of trouble with that. */
export interface KeptFile {
  readonly file: string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** After a file that could not be written, ms. */
  readonly retryMs?: number;
}

/**
 * Revocations that this Proxy has applied, in a file of its own: lines of JSON, each with the MAC of Security, without reasons or
 * names of people. Should a restored database know nothing of them, it hears of them here. Nobody waits for the file: it is a
 * net, and what serves never depends on it. One belongs to one process.
 */
export class KeptRevocations {
  readonly #file: string;
  readonly #log: Pick<Log, 'info' | 'warn'>;
  readonly #retryMs: number;
  #kept: KeptRevocation[];
  /** Last index of each epoch: pushes and beats bring the same entry. */
  readonly #last = new Map<string, number>();
  readonly #foreign = new Set<string>();
  #lines: number;
  #unwritten: KeptRevocation[] = [];
  #writing: Promise<void> | undefined;
  #rewrite = false;
  #failed = false;
  #retry: NodeJS.Timeout | undefined;
  #restUntil = 0;
  #bringing = false;

  private constructor({ file, log, retryMs = RETRY_MS }: KeptFile, kept: KeptRevocation[]) {
    this.#file = file;
    this.#log = log;
    this.#retryMs = retryMs;
    this.#kept = kept.slice(-MAX_KEPT);
    this.#lines = kept.length;
    for (const entry of kept) this.#note(entry);
  }

  /** Opens the file; lines that a power cut has torn are left out. */
  static async open(of: KeptFile): Promise<KeptRevocations> {
    const { file, log } = of;
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') log.warn({ err: error }, 'the file of kept revocations cannot be read');
      return '';
    });
    const lines = text.split('\n').map((line) => parseKept(parseJson(line)));
    return new KeptRevocations(
      of,
      lines.filter((entry) => entry !== undefined),
    );
  }

  /** How many are kept. */
  get size(): number {
    return this.#kept.length;
  }

  /** Keeps entries that were applied. The file has them a little later. */
  keep(entries: readonly KeptRevocation[]): void {
    const fresh = entries.filter((entry) => this.#note(entry));
    if (fresh.length === 0) return;
    this.#kept.push(...fresh);
    if (this.#kept.length > 2 * MAX_KEPT) this.#kept = this.#kept.slice(-MAX_KEPT);
    this.#unwritten.push(...fresh);
    this.#write();
  }

  /** Brings back what is of another epoch than the one that is followed, as often as there is any. Gives the function that stops. */
  bringBack(to: BringingBack): () => void {
    const timer = setInterval(() => void this.look(to), LOOK_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  /** Brings back what there is now. */
  async look({ security, epoch }: BringingBack): Promise<void> {
    const present = epoch();
    if (this.#bringing || present === undefined || performance.now() < this.#restUntil) return;
    this.#bringing = true;
    try {
      while (epoch() === present && (await this.#bringSome(security, present)));
    } catch (error) {
      this.#restUntil = performance.now() + REST_MS;
      this.#log.warn({ err: error }, 'revocations from before a restore could not be brought back yet');
    } finally {
      this.#bringing = false;
    }
  }

  /** Resolves when the file has everything. */
  async written(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  #note({ epoch, index }: KeptRevocation): boolean {
    if (index <= (this.#last.get(epoch) ?? 0)) return false;
    this.#last.set(epoch, index);
    return true;
  }

  /** True when there may be more. */
  async #bringSome(security: BringingBack['security'], present: string): Promise<boolean> {
    const past = this.#kept.filter(({ epoch }) => epoch !== present && !this.#foreign.has(`${present} ${epoch}`));
    const entries = past.slice(0, MAX_KEPT_AT_ONCE);
    if (entries.length === 0) return false;
    const { appended, foreign } = await security.bringBack(entries);
    for (const epoch of foreign) this.#foreign.add(`${present} ${epoch}`);
    const done = new Set(entries.filter(({ epoch }) => !foreign.includes(epoch)));
    this.#kept = this.#kept.filter((entry) => !done.has(entry));
    if (appended > 0) this.#log.info({ appended }, 'Security knows again what was revoked before a restore');
    if (done.size > 0) this.#rewrite = true;
    this.#write();
    return true;
  }

  #write(): void {
    if (this.#writing || this.#retry || (this.#unwritten.length === 0 && !this.#rewrite)) return;
    this.#writing = this.#writeAll()
      .then(() => {
        if (this.#failed) this.#log.info('revocations are kept in a file again');
        this.#failed = false;
      })
      .catch((error: unknown) => this.#writeLater(error))
      .finally(() => {
        this.#writing = undefined;
        this.#write();
      });
  }

  /** Nobody knows what of it is in the file: all of it is written anew. */
  #writeLater(error: unknown): void {
    if (!this.#failed)
      this.#log.warn({ err: error }, 'revocations could not be kept in a file yet; they are kept in memory');
    this.#failed = true;
    this.#rewrite = true;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#write();
    }, this.#retryMs);
    this.#retry.unref();
  }

  async #writeAll(): Promise<void> {
    const fresh = this.#unwritten;
    this.#unwritten = [];
    if (this.#rewrite || this.#lines + fresh.length > 2 * MAX_KEPT) return this.#writeAnew();
    await appendFile(this.#file, fresh.map(lineOf).join(''), { mode: 0o600, flush: true });
    this.#lines += fresh.length;
  }

  async #writeAnew(): Promise<void> {
    this.#rewrite = false;
    const kept = this.#kept.slice(-MAX_KEPT);
    await writeFile(`${this.#file}.new`, kept.map(lineOf).join(''), { mode: 0o600, flush: true });
    await rename(`${this.#file}.new`, this.#file);
    this.#lines = kept.length;
  }
}

/** It begins with a line break, so that a line that was torn spoils no other. */
function lineOf(entry: KeptRevocation): string {
  return `\n${JSON.stringify(entry)}\n`;
}
