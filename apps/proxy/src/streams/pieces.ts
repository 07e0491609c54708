/** Parts from this size on go on as they are; smaller ones are put together. */
const LARGE_BYTES = 4_096;
const FULL_BYTES = 2 * LARGE_BYTES;

/**
 * Puts small parts together before they go on: a device may cut content into chunks of one byte each, and each part costs
 * whoever takes it more than its bytes. Parts that are lent for a call only are copied, or passed on at once. Not shared.
 */
export class Pieces {
  readonly #pass: (bytes: Uint8Array) => void;
  /** A single part, lent for the call. */
  #lent: Uint8Array | undefined;
  #memory: Buffer | undefined;
  #held = 0;
  #taken = 0;

  /** `pass` takes what is put together, or a single part as it came, lent for the call. */
  constructor(pass: (bytes: Uint8Array) => void) {
    this.#pass = pass;
  }

  /** How many small parts were taken since this was asked last. */
  count(): number {
    const taken = this.#taken;
    this.#taken = 0;
    return taken;
  }

  add(bytes: Uint8Array): void {
    if (bytes.length >= LARGE_BYTES) {
      this.flush();
      return this.#pass(bytes);
    }
    this.#taken += 1;
    if (!this.#lent && !this.#memory) {
      this.#lent = bytes;
      return;
    }
    this.keep();
    this.#put(bytes);
  }

  /** Makes what was lent our own. To be called, or `flush`, before the call ends in which it was lent. */
  keep(): void {
    const lent = this.#lent;
    this.#lent = undefined;
    if (lent) this.#put(lent);
  }

  /** Passes on what there is. */
  flush(): void {
    const bytes = this.#lent ?? this.#memory?.subarray(0, this.#held);
    this.#lent = undefined;
    this.#memory = undefined;
    this.#held = 0;
    if (bytes) this.#pass(bytes);
  }

  #put(bytes: Uint8Array): void {
    if (this.#held + bytes.length > FULL_BYTES) this.flush();
    // The first part most often stays alone.
    this.#memory ??= Buffer.allocUnsafe(bytes.length);
    if (this.#held + bytes.length > this.#memory.length) this.#grow(this.#memory);
    this.#memory.set(bytes, this.#held);
    this.#held += bytes.length;
  }

  #grow(memory: Buffer): void {
    this.#memory = Buffer.allocUnsafe(FULL_BYTES);
    this.#memory.set(memory.subarray(0, this.#held));
  }
}
