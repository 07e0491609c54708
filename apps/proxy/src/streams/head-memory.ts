/** Bytes of an unfinished head that nobody is charged for: more than most resources allow at all. */
const FREE_BYTES = 49_152;
/** Bytes that the unfinished heads of one channel may have together beyond the free ones. */
const BUDGET_BYTES = 4 * 1024 * 1024;

/**
 * Memory of one channel for unfinished heads. The one that came first may always go on, so that those that wait are waiting for
 * something that can end. Not shared.
 */
export class HeadBudget {
  readonly #limit: number;
  readonly #held = new Map<HeadMemory, number>();
  readonly #waiting = new Set<HeadMemory>();
  #total = 0;

  constructor(limit: number = BUDGET_BYTES) {
    this.#limit = limit;
  }

  /** Says how much a head holds now; false when it must not have more until it is told that some was freed. */
  hold(head: HeadMemory, bytes: number): boolean {
    const before = this.#held.get(head) ?? 0;
    this.#total += bytes - before;
    if (bytes === 0) this.#held.delete(head);
    else this.#held.set(head, bytes);
    if (bytes < before) this.#wake();
    const [first] = this.#held.keys();
    if (this.#total <= this.#limit || head === first || bytes === 0) return true;
    this.#waiting.add(head);
    return false;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const head of waiting) head.freed();
  }
}

/** What an unfinished head needs of its stream. */
export interface HeadPlace {
  /** Absent: nothing holds it back but its own limits. */
  readonly budget: HeadBudget | undefined;
  /** Gives credit for bytes back to the device. */
  credit(bytes: number): void;
}

/**
 * Memory of one head that is not all there. Its bytes are given back at once, beyond the free ones only while the channel has
 * memory for them. Not shared.
 */
export class HeadMemory {
  readonly #place: HeadPlace;
  #bytes = 0;
  #uncredited = 0;

  constructor(place: HeadPlace) {
    this.#place = place;
  }

  /** So many bytes more of the head came, and it is still not all there. */
  add(bytes: number): void {
    this.#bytes += bytes;
    this.#uncredited += bytes;
    this.freed();
  }

  /** Another head gave memory back. */
  freed(): void {
    const charged = this.#bytes - FREE_BYTES;
    if (charged > 0 && this.#place.budget?.hold(this, charged) === false) return;
    this.#creditAll();
  }

  /** The head is there, or nobody wants it any more. */
  end(): void {
    if (this.#bytes > FREE_BYTES) this.#place.budget?.hold(this, 0);
    this.#bytes = 0;
    this.#creditAll();
  }

  #creditAll(): void {
    const bytes = this.#uncredited;
    this.#uncredited = 0;
    if (bytes > 0) this.#place.credit(bytes);
  }
}
