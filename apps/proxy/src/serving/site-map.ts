import type { SiteMapAnswer } from '@sallyport/security-api';

const KEEP_MS = 3_000;

/** The realm's signed site map, asked for at most every three seconds, however many want it. One per process. */
export class SiteMapCache {
  readonly #ask: () => Promise<SiteMapAnswer>;
  #known: { readonly at: number; readonly answer: Promise<SiteMapAnswer> } | undefined;

  constructor(ask: () => Promise<SiteMapAnswer>) {
    this.#ask = ask;
  }

  /** @throws SecurityClientError when Security did not answer; the next one asks again */
  get(): Promise<SiteMapAnswer> {
    const now = performance.now();
    if (this.#known && now - this.#known.at < KEEP_MS) return this.#known.answer;
    const answer = this.#ask();
    this.#known = { at: now, answer };
    answer.catch(() => {
      this.#known = undefined;
    });
    return answer;
  }
}
