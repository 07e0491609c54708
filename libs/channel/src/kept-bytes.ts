import { allocate, copyBytes, EMPTY } from './bytes.ts';

/** Memory for what a first piece leaves. */
const FIRST_BYTES = 256;

/**
 * Bytes that were not taken yet, in memory that grows by doubling: an item that dribbles in costs no more than its bytes. Once
 * something of a view was taken, its memory is not written to again: whoever took it may keep it. Not shared.
 */
export class KeptBytes {
  #memory: Uint8Array = EMPTY;
  #length = 0;

  get empty(): boolean {
    return this.#length === 0;
  }

  /** What was kept and bytes behind it, as a view. */
  with(bytes: Uint8Array): Uint8Array {
    const needed = this.#length + bytes.length;
    if (needed > this.#memory.length) this.#grow(Math.max(FIRST_BYTES, needed, 2 * this.#length));
    this.#memory.set(bytes, this.#length);
    this.#length = needed;
    return this.#memory.subarray(0, needed);
  }

  /** Keeps what stands behind `at` in a view that `with` gave, or in other bytes when nothing was kept. */
  keep(data: Uint8Array, at: number): void {
    if (at === 0 && !this.empty) return;
    this.#memory = at === data.length ? EMPTY : copyBytes(data, at);
    this.#length = this.#memory.length;
  }

  #grow(bytes: number): void {
    const grown = allocate(bytes);
    grown.set(this.#memory.subarray(0, this.#length));
    this.#memory = grown;
  }
}
