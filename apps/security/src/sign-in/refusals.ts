import { type AccessContext, auditRefusal } from '@sallyport/access';
import { addressKey } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';

/** Refusals are summed over so long, ms. */
const SUM_MS = 60_000;
/** Refusals that stand in the audit log at once, in each span: the first ones, so that an officer sees what goes on. */
const AT_ONCE = 10;
/** Sources that are told apart in one span; more are one sum. */
const MAX_SOURCES = 200;

/** A refusal of somebody who is nobody yet. */
export interface StrangerRefusal {
  readonly action: string;
  /** What they tried it with: a kind of thing, never the thing. */
  readonly subject: string;
  readonly why: string;
  /** Address they came from. */
  readonly address: string;
}

type Summed = Omit<StrangerRefusal, 'address'> & { readonly source: string; count: number };

/** Where refusals are put on record. */
export interface RefusalParts {
  readonly access: AccessContext;
  readonly log: Log;
}

/**
 * Puts refusals of strangers on record without a row for each: a few at once, then one sum a minute for each source. So a
 * stranger can fill neither the audit log nor the database's time. One belongs to one node.
 */
export class RefusalRecord {
  readonly #parts: RefusalParts;
  readonly #sums = new Map<string, Summed>();
  #atOnce = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: RefusalParts) {
    this.#parts = parts;
  }

  /** Begins to write the sums. */
  start(): void {
    this.#timer = setInterval(() => void this.flush(), SUM_MS);
    this.#timer.unref();
  }

  /** Writes what is not on record yet, and stops. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  /** Notes a refusal. Nobody waits for it. */
  note({ action, subject, why, address }: StrangerRefusal): void {
    const known = `${action}\0${subject}\0${why}\0${addressKey(address)}`;
    const full = !this.#sums.has(known) && this.#sums.size >= MAX_SOURCES;
    const key = full ? `${action}\0${subject}\0${why}` : known;
    const before = this.#sums.get(key);
    const source = full ? 'other addresses' : `address ${addressKey(address)}`;
    if (!before && !full && this.#atOnce < AT_ONCE) {
      this.#atOnce += 1;
      this.#sums.set(key, { action, subject, why, source, count: 0 });
      void this.#write({ action, subject, why, source, count: 1 });
      return;
    }
    if (before) before.count += 1;
    else this.#sums.set(key, { action, subject, why, source, count: 1 });
  }

  /** Writes the sums of this span and begins the next one. */
  async flush(): Promise<void> {
    const sums = [...this.#sums.values()].filter(({ count }) => count > 0);
    this.#sums.clear();
    this.#atOnce = 0;
    for (const sum of sums) await this.#write(sum);
  }

  async #write({ action, subject, why, source, count }: Summed): Promise<void> {
    const { access, log } = this.#parts;
    const reason = count === 1 ? why : `${why} (${count} times)`;
    log.info({ action, source, count }, `refused: ${why}`);
    await auditRefusal(access, { actor: source, action, subject, reason }).catch((error: unknown) =>
      log.warn({ err: error }, 'a refusal could not be put on record'),
    );
  }
}
