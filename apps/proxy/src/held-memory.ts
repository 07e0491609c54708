/** Whoever holds bytes of a peer that its windows do not pay for. */
export interface Holder {
  /** Another holder gave memory back: ask again. */
  memoryFreed(): void;
}

/** Bytes that the streams of one channel may hold together beyond their windows: unfinished messages. */
export const HELD_BYTES: number = 4 * 1024 * 1024;

/**
 * Memory of one channel for what its windows do not pay for. The holder that came first may always go on, so that those that
 * wait are waiting for something that can end. Not shared.
 */
export class HeldMemory {
  readonly #limit: number;
  readonly #held = new Map<Holder, number>();
  readonly #waiting = new Set<Holder>();
  #total = 0;

  constructor(limit: number = HELD_BYTES) {
    this.#limit = limit;
  }

  /** Says how much a holder holds now; false when it must not take more until `memoryFreed`. */
  hold(holder: Holder, bytes: number): boolean {
    const before = this.#held.get(holder) ?? 0;
    if (bytes === 0 && before === 0) return true;
    this.#total += bytes - before;
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, bytes);
    if (bytes < before) this.#wake();
    const [first] = this.#held.keys();
    if (this.#total <= this.#limit || holder === first || bytes === 0) return true;
    this.#waiting.add(holder);
    return false;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const holder of waiting) holder.memoryFreed();
  }
}
