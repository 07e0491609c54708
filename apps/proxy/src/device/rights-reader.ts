import type { RightsAsker, SecurityClient } from '@sallyport/security-client';

/** Pauses before rights are read again that were stale twice or more in a row, ms: each twice as long, up to the last. */
const STALE_MS = { first: 20, last: 320 } as const;
/** The same for rights that are not known and could not be read: what waits for them has a second. */
const FAILED_MS = { first: 100, last: 1_600 } as const;

/** What Security says of the rights of a session. */
type Rights = Awaited<ReturnType<SecurityClient['reauthorise']>>;

/** The channel whose rights are read. */
export interface RightsHost {
  readonly isOver: boolean;
  /** True while something is open that must end in time when a right was taken away. */
  readonly isInUse: boolean;
  ask(asker: RightsAsker): Promise<Rights>;
  /** Takes what Security says, or finds it stale. */
  came(rights: Rights): void;
  /** Rights could not be read, for the first time in a row. */
  failed(error: unknown): void;
  /** Somebody waits for the rights; `index` is the entry that changed them, if one did. */
  awaited(index: number | undefined): void;
  /** Nobody waits for the rights any more: they are known again, or nothing is open. */
  known(): void;
}

/** Reads the rights of one channel again, one read at a time, and knows whether they may be used. Not shared. */
export class RightsReader implements RightsAsker {
  readonly #host: RightsHost;
  /** Set while rights are being read. */
  #reading: Promise<void> | undefined;
  /** How often in a row rights were stale when they came. */
  #staleReads = 0;
  /** How often in a row they could not be read. */
  #failedReads = 0;
  #rank: RightsAsker['rank'] = 2;
  #isKnown = false;
  #waiting: (() => void)[] = [];

  constructor(host: RightsHost) {
    this.#host = host;
  }

  /** False until rights have passed all checks, and while changed ones are read again. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** RightsAsker */
  get rank(): RightsAsker['rank'] {
    return this.#rank;
  }

  /** RightsAsker */
  get isOver(): boolean {
    return this.#host.isOver;
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
      const rights = await this.#host.ask(this);
      this.#reading = undefined;
      this.#failedReads = 0;
      if (!this.#host.isOver) this.#host.came(rights);
    } catch (error) {
      this.#reading = undefined;
      if (this.#failedReads === 0) this.#host.failed(error);
      this.#failedReads += 1;
      if (!this.#isKnown) this.#readIn(pauseOf(FAILED_MS, this.#failedReads));
    }
  }

  #readIn(ms: number): void {
    setTimeout(() => void this.read(), ms);
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
    this.#forget();
    this.#readIn(pauseOf(STALE_MS, before));
  }

  /** What came was not stale. */
  fresh(): void {
    this.#staleReads = 0;
  }

  /** What came is in use: whoever waited goes on. */
  settled(): void {
    this.#isKnown = true;
    this.#rank = 2;
    this.#host.known();
    for (const work of this.#waiting.splice(0)) work();
  }

  /** Does something as soon as the rights are known; it must not throw. */
  when(work: () => void): void {
    if (this.#isKnown) return work();
    this.#waiting.push(work);
    this.#await(undefined);
  }

  /** Nothing is open any more: nothing waits for rights that are not known, and nothing goes on under those of before. */
  unused(): void {
    if (this.#isKnown) return;
    this.#rank = 2;
    this.#host.known();
  }

  /** Nothing goes out before the rights are known; what is open already must end in time. */
  #forget(index?: number): void {
    this.#isKnown = false;
    if (this.#host.isInUse) this.#await(index);
  }

  #await(index: number | undefined): void {
    if (index !== undefined) this.#rank = 0;
    else if (this.#rank === 2) this.#rank = 1;
    this.#host.awaited(index);
  }
}

/** How long to wait before something is tried for the `time`th time again: each time twice as long, up to the last. */
function pauseOf({ first, last }: { readonly first: number; readonly last: number }, time: number): number {
  return Math.min(first * 2 ** (time - 1), last);
}
