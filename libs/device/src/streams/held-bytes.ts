/** Memory that pieces are put together in at first. */
const FIRST_BYTES = 4_096;

/**
 * Bytes that came and were not asked for yet, in one piece of memory of at most twice their number: what comes in thousands of
 * pieces costs no more than its bytes. Not shared.
 */
export class HeldBytes {
  #memory: Uint8Array | undefined;
  #length = 0;

  /** Bytes that are held. */
  get length(): number {
    return this.#length;
  }

  /** Copies bytes behind those that are held. */
  add(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (!this.#memory) this.#memory = Uint8Array.from(bytes);
    else this.#append(bytes, this.#memory);
    this.#length = needed;
  }

  /** Everything that is held, which the caller owns from now on; undefined when there is nothing. */
  take(): Uint8Array | undefined {
    const taken = this.#memory?.subarray(0, this.#length);
    this.#memory = undefined;
    this.#length = 0;
    return taken?.length === 0 ? undefined : taken;
  }

  #append(bytes: Uint8Array, memory: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (needed <= memory.length) return memory.set(bytes, this.#length);
    const grown = new Uint8Array(Math.max(FIRST_BYTES, needed, 2 * this.#length));
    grown.set(memory.subarray(0, this.#length));
    grown.set(bytes, this.#length);
    this.#memory = grown;
  }
}
