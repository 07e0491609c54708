import { randomFrom } from '@sallyport/support';

/** Random choices that a seed repeats. Not for secrets. */
export class Random {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** From 0 on, below 1. */
  next(): number {
    return this.#random();
  }

  /** A whole number from 0 on, below `below`. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  /** A length that is most often small and sometimes at an edge. */
  size(max: number): number {
    const edge = this.pick([0, 1, 2, 123, 124, 125, 126, 255, 256, 4_095, 4_096, 65_535, max]);
    return Math.min(max, this.chance(0.3) ? edge : this.below(this.chance(0.7) ? 64 : max + 1));
  }

  /** The bytes with a few changes: bits, cuts, repetitions, insertions. */
  mutated(bytes: Uint8Array): Buffer {
    let changed: Buffer = Buffer.from(bytes);
    for (let i = this.below(4); i >= 0; i--) {
      const at = this.below(changed.length + 1);
      const kind = this.below(5);
      if (kind === 0 && changed.length > 0) changed[at % changed.length] = this.below(256);
      if (kind === 1) changed = changed.subarray(0, at);
      if (kind === 2)
        changed = Buffer.concat([changed.subarray(0, at), this.bytes(this.below(9)), changed.subarray(at)]);
      if (kind === 3) changed = Buffer.concat([changed, changed.subarray(at)]);
      if (kind === 4) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + this.below(9))]);
      if (changed.length > 60_000) changed = changed.subarray(0, 60_000);
    }
    return Buffer.from(changed);
  }

  /** Mostly mutated, sometimes as it is. */
  maybe(bytes: Uint8Array): Buffer {
    return this.chance(0.4) ? Buffer.from(bytes) : this.mutated(bytes);
  }
}
