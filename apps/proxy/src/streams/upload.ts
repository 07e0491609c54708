import { Readable } from 'node:stream';

const HIGH_WATER_BYTES = 64 * 1024;

/**
 * Content of a request on its way to a backend. Credit goes back to the device as the backend takes the bytes, so what
 * is held is bounded by the stream's window.
 */
export class Upload extends Readable {
  readonly #consume: (bytes: number) => void;
  #held = 0;

  constructor(consume: (bytes: number) => void) {
    super({ highWaterMark: HIGH_WATER_BYTES });
    this.#consume = consume;
    this.on('error', () => undefined);
  }

  /** Adds received bytes; they are copied, because the record they lie in is reused. */
  add(bytes: Uint8Array): void {
    this.#held += bytes.length;
    if (this.push(Buffer.from(bytes))) this.#release();
  }

  /** No more will come. */
  complete(): void {
    this.push(null);
  }

  override _read(): void {
    this.#release();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release();
    done(error);
  }

  #release(): void {
    const bytes = this.#held;
    this.#held = 0;
    if (bytes > 0) this.#consume(bytes);
  }
}
