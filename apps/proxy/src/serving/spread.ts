/** How often some of those who wait are told, ms. */
const STEP_MS = 100;

/** What news are spread by. */
export interface SpreadHost<One, News> {
  /** Within which time everybody is told, ms. */
  readonly withinMs: number;
  /** Everybody of this moment. */
  all(): Iterable<One>;
  tell(one: One, news: News): void;
}

/**
 * Tells everybody the same, spread over some time, so that thousands do not act at one moment. News that come meanwhile take the place
 * of those before: who has not been told is told the newest only, and never more often than once in that time. One per kind of news.
 */
export class Spread<One, News> {
  readonly #host: SpreadHost<One, News>;
  #news: News | undefined;
  #next: News | undefined;
  #waiting: One[] = [];
  #step = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: SpreadHost<One, News>) {
    this.#host = host;
  }

  /** Begins to tell, or tells those after the ones that are being told. */
  spread(news: News): void {
    this.#next = news;
    if (this.#timer === undefined) this.#begin();
  }

  /** Tells nobody any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#next = undefined;
  }

  #begin(): void {
    this.#news = this.#next;
    this.#next = undefined;
    this.#waiting = [...this.#host.all()];
    this.#step = Math.max(1, Math.ceil(this.#waiting.length / (this.#host.withinMs / STEP_MS)));
    this.#timer = setInterval(() => this.#tellSome(), STEP_MS);
    this.#tellSome();
  }

  #tellSome(): void {
    for (const one of this.#waiting.splice(0, this.#step)) this.#host.tell(one, this.#next ?? this.#news!);
    if (this.#waiting.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#next) this.#begin();
  }
}
