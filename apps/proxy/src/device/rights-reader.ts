import type { SecurityClient } from '@sallyport/security-client';

/** Pauses before rights are read again that were stale twice or more in a row, ms: each twice as long, up to the last. */
const STALE_MS = { first: 20, last: 320 } as const;

/** What Security says of the rights of a session. */
type Rights = Awaited<ReturnType<SecurityClient['reauthorise']>>;

/** The channel whose rights are read. */
export interface RightsHost {
  readonly isOver: boolean;
  /** True while something is open that must end in time when a right was taken away. */
  readonly isInUse: boolean;
  ask(): Promise<Rights>;
  /** Takes what Security says, or finds it stale. */
  came(rights: Rights): void;
  /** Rights could not be read. */
  failed(error: unknown): void;
  /** Somebody waits for the rights; `index` is the entry that changed them, if one did. */
  awaited(index: number | undefined): void;
  /** The rights are known again, and nobody waits for them any more. */
  known(): void;
}

/** Reads the rights of one channel again, one read at a time, and knows whether they may be used. Not shared. */
export class RightsReader {
  readonly #host: RightsHost;
  /** Set while rights are being read. */
  #reading: Promise<void> | undefined;
  /** How often in a row rights were stale when they came. */
  #staleReads = 0;
  #isKnown = false;
  #waiting: (() => void)[] = [];

  constructor(host: RightsHost) {
    this.#host = host;
  }

  /** False until rights have passed all checks, and while changed ones are read again. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Reads the rights, unless that goes on. Security out of reach changes nothing: the lease bounds that. */
  async read(): Promise<void> {
    if (this.#host.isOver || this.#reading) return;
    const reading = this.#read();
    this.#reading = reading;
    await reading;
  }

  async #read(): Promise<void> {
    try {
      const rights = await this.#host.ask();
      this.#reading = undefined;
      if (!this.#host.isOver) this.#host.came(rights);
    } catch (error) {
      this.#reading = undefined;
      this.#host.failed(error);
    }
  }

  /** Requests wait until the new rights are known: a right that was taken away is not used once more. */
  again(index?: number): void {
    this.#forget(index);
    void this.read();
  }

  /** Reads the rights as they are from now on: a read that goes on may be older. */
  async anew(): Promise<void> {
    await this.#reading;
    await this.read();
  }

  /** What came was stale: once again at once. Where each grant is stale, as at a Proxy that follows no log yet, only time helps. */
  later(): void {
    const before = this.#staleReads;
    this.#staleReads += 1;
    if (before === 0) return this.again();
    const pauseMs = Math.min(STALE_MS.first * 2 ** (before - 1), STALE_MS.last);
    this.#forget();
    setTimeout(() => void this.read(), pauseMs);
  }

  /** What came was not stale. */
  fresh(): void {
    this.#staleReads = 0;
  }

  /** What came is in use: whoever waited goes on. */
  settled(): void {
    this.#isKnown = true;
    this.#host.known();
    for (const work of this.#waiting.splice(0)) work();
  }

  /** Does something as soon as the rights are known; it must not throw. */
  when(work: () => void): void {
    if (this.#isKnown) return work();
    this.#waiting.push(work);
    this.#host.awaited(undefined);
  }

  /** Nothing goes out before the rights are known; what is open already must end in time. */
  #forget(index?: number): void {
    this.#isKnown = false;
    if (this.#host.isInUse) this.#host.awaited(index);
  }
}
