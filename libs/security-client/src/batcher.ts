/** Bounds of a batcher. */
export interface BatchLimits<Question> {
  /** Batches on their way at once; while there are so many, questions wait for the next one. */
  readonly maxRunning: number;
  /** A batch that is not full sets out beside another one only when that has been on its way for so long, ms. */
  readonly besideAfterMs: number;
  readonly maxQuestions: number;
  /** A batch of several weighs so much at most, for those whose questions differ. */
  readonly weight?: { readonly of: (question: Question) => number; readonly most: number };
  /** By the moment when a batch sets out, those of a lower rank go before those of a higher one that came earlier. */
  readonly rankOf?: (question: Question) => Rank;
  /** So many batches that have been on their way for long do not count as running: a connection that hangs keeps nobody else waiting. */
  readonly slow?: { readonly afterMs: number; readonly most: number };
}

/** 0 goes first. */
export type Rank = 0 | 1 | 2;

interface Waiting<Question, Answer> {
  readonly question: Question;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Lets questions that come at the same time share one way. A lone question goes at once; under load each batch takes what
 * came while the one before it was on its way, so that the more is asked the less each question costs. Over a slow line
 * the next one does not wait for the answer to it.
 */
export class Batcher<Question, Answer> {
  readonly #send: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  readonly #limits: BatchLimits<Question>;
  #waiting: Waiting<Question, Answer>[] = [];
  #running = 0;
  /** Batches on their way that do not count as running any more. */
  #slow = 0;
  #scheduled = false;
  /** When the newest batch set out, by the monotonic clock. */
  #setOutAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** `send` gives the answers in the order of the questions; when it fails all of them fail. */
  constructor(send: (questions: readonly Question[]) => Promise<readonly Answer[]>, limits: BatchLimits<Question>) {
    this.#send = send;
    this.#limits = limits;
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      this.#schedule();
    });
  }

  /** At the end of the turn, so that what came in one turn goes together. */
  #schedule(): void {
    if (this.#scheduled || this.#running >= this.#limits.maxRunning || this.#waiting.length === 0) return;
    if (this.#running > 0 && this.#waiting.length < this.#limits.maxQuestions && !this.#isLate()) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run(this.#take());
      this.#schedule();
    });
  }

  /** True when the newest batch has been on its way for long; else that is looked at again. */
  #isLate(): boolean {
    const left = this.#setOutAt + this.#limits.besideAfterMs - performance.now();
    if (left <= 0) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#schedule();
    }, Math.ceil(left));
    return false;
  }

  #take(): Waiting<Question, Answer>[] {
    this.#inOrderOfRank();
    return this.#waiting.splice(0, this.#fitting());
  }

  /** How many of those that wait fit into one batch. */
  #fitting(): number {
    const { maxQuestions, weight } = this.#limits;
    if (!weight) return maxQuestions;
    let left = weight.most;
    let count = 0;
    for (const { question } of this.#waiting.slice(0, maxQuestions)) {
      left -= weight.of(question);
      if (count > 0 && left < 0) break;
      count += 1;
    }
    return count;
  }

  #inOrderOfRank(): void {
    const { maxQuestions, rankOf } = this.#limits;
    if (!rankOf || this.#waiting.length <= maxQuestions) return;
    const ranks: Record<Rank, Waiting<Question, Answer>[]> = { 0: [], 1: [], 2: [] };
    for (const one of this.#waiting) ranks[rankOf(one.question)].push(one);
    this.#waiting = [...ranks[0], ...ranks[1], ...ranks[2]];
  }

  async #run(batch: readonly Waiting<Question, Answer>[]): Promise<void> {
    const landed = this.#setOut();
    try {
      const answers = await this.#send(batch.map(({ question }) => question));
      if (answers.length !== batch.length) throw new TypeError('a batch has another number of answers than questions');
      for (const [i, { resolve }] of batch.entries()) resolve(answers[i]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      landed();
      this.#schedule();
    }
  }

  /** Counts a batch that sets out; gives what to call when it has landed. */
  #setOut(): () => void {
    this.#running += 1;
    this.#setOutAt = performance.now();
    let isSlow = false;
    const { slow } = this.#limits;
    const timer =
      slow &&
      setTimeout(() => {
        if (this.#slow >= slow.most) return;
        isSlow = true;
        this.#slow += 1;
        this.#running -= 1;
        this.#schedule();
      }, slow.afterMs);
    return () => {
      clearTimeout(timer);
      if (isSlow) this.#slow -= 1;
      else this.#running -= 1;
    };
  }
}
