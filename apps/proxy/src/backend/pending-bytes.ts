const EMPTY = Buffer.alloc(0);
/** Memory for what a first piece leaves. */
const FIRST_BYTES = 1_024;

/** Bytes that were not taken yet, in memory that grows by doubling: many small pieces cost no more than their bytes. Not shared. */
export class PendingBytes {
  #memory = EMPTY;
  #length = 0;

  get empty(): boolean {
    return this.#length === 0;
  }

  /** What was kept and bytes behind it, as a view that is good until the next `keep`. */
  with(bytes: Buffer): Buffer {
    this.#append(bytes);
    return this.#memory.subarray(0, this.#length);
  }

  /** Keeps what stands behind `at` in a view that `with` gave, or in other bytes when nothing was kept. */
  keep(data: Buffer, at: number): void {
    const whole = this.#length;
    this.#length = 0;
    if (at === data.length) this.#memory = EMPTY;
    else if (whole === 0) this.#append(data.subarray(at));
    else {
      if (at > 0) this.#memory.copyWithin(0, at, whole);
      this.#length = whole - at;
    }
  }

  #append(bytes: Buffer): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#memory.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, needed, 2 * this.#length));
      this.#memory.copy(grown, 0, 0, this.#length);
      this.#memory = grown;
    }
    bytes.copy(this.#memory, this.#length);
    this.#length = needed;
  }
}
