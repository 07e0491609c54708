import { PackageError, type PackageErrorCode } from '../errors.ts';

/** Reads little-endian fields one after the other, and never past its end. */
export class Fields {
  readonly #bytes: Buffer;
  readonly #code: PackageErrorCode;
  #at = 0;

  constructor(bytes: Buffer, code: PackageErrorCode) {
    this.#bytes = bytes;
    this.#code = code;
  }

  get isOver(): boolean {
    return this.#at === this.#bytes.length;
  }

  u16(): number {
    return this.take(2).readUInt16LE();
  }

  u32(): number {
    return this.take(4).readUInt32LE();
  }

  u64(): number {
    const value = this.take(8).readBigUInt64LE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#short();
    return Number(value);
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw this.#short();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** All that is left. */
  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }

  /** Bytes with their length in front. */
  prefixed(): Buffer {
    return this.take(this.u32());
  }

  /** Fields of a part with its length in front. */
  part(): Fields {
    return new Fields(this.prefixed(), this.#code);
  }

  /** All parts of a list with its length in front; at most so many. */
  parts(most: number): Fields[] {
    const list = this.part();
    const found: Fields[] = [];
    while (!list.isOver) {
      if (found.length === most) throw new PackageError(this.#code, `more than ${most} entries in a list`);
      found.push(list.part());
    }
    return found;
  }

  #short(): PackageError {
    return new PackageError(this.#code, 'a field is cut off');
  }
}
