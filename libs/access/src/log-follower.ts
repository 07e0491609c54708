import type { Beat, BeatAnswer, ControlMessage, RevocationEntry } from '@sallyport/security-api';
import { type BeatMark, type Clocks, LeaseClock } from './lease-clock.ts';
import { effectOn, type Revocable } from './revocation.ts';

/** Recent entries, kept to be held against grants that were read before they were applied. */
const MAX_RECENT = 10_000;

/** What a grant is worth: good, over, or to be read again. */
export type Judgement = 'current' | 'ended' | 'stale';

/** Applies an entry: ends channels or reads their rights again. Synchronous, before the lease that covers it counts. */
export type ApplyEntry = (entry: RevocationEntry) => void;

/**
 * The Proxy's side of beats, leases and the revocation log (architecture, "Revocation is bounded"), without any network:
 * whoever owns the connection sends what `beat` gives and hands in what comes. Entries are applied once, in order, without
 * a gap, whichever nodes they come from.
 */
export class LogFollower {
  readonly lease: LeaseClock;
  readonly #apply: ApplyEntry;
  #applied = 0;
  #fresh = true;
  #nextId = 1;
  #recent: RevocationEntry[] = [];
  #sent = new Map<number, BeatMark>();

  constructor(clocks: Clocks, apply: ApplyEntry) {
    this.lease = new LeaseClock(clocks);
    this.#apply = apply;
  }

  /** Index of the last entry that was applied. */
  get applied(): number {
    return this.#applied;
  }

  /** The next beat; send it at once, its lease counts from now. */
  beat(channels: number): Beat {
    const id = this.#nextId++;
    this.#sent.set(id, this.lease.beatSent());
    return { type: 'beat', id, applied: this.#applied, channels, fresh: this.#fresh };
  }

  /** When the oldest beat since the last answer was sent, on the monotonic clock; undefined when there is none. */
  get unansweredSince(): number | undefined {
    return this.#sent.values().next().value?.sentAt;
  }

  /** Handles a message of Security. True asks for another beat at once: it tells what was applied, or closes a gap. */
  receive(message: ControlMessage): boolean {
    const before = this.#applied;
    if (message.type === 'lease') this.#answered(message);
    else this.#applyAll(message.entries);
    return this.#applied > before || (message.type === 'lease' && this.#applied < message.head);
  }

  /** The connection is gone: its beats get no answer any more. The lease itself goes on. */
  disconnected(): void {
    this.#sent.clear();
  }

  /**
   * Holds a grant against everything that was applied after it was read: a revocation must not slip between a grant and
   * its arrival. Entries that are no longer kept make it stale, and a stale one must be read again before it serves.
   */
  judge(channel: Revocable & { readonly grant: { readonly asOf: number } }): Judgement {
    const { asOf } = channel.grant;
    if (asOf >= this.#applied) return 'current';
    const later = this.#recent.filter(({ index }) => index > asOf);
    const effects = later.map((entry) => effectOn(entry, channel));
    if (effects.includes('end')) return 'ended';
    const complete = later.length === this.#applied - asOf;
    return complete && !effects.includes('reauthorize') ? 'current' : 'stale';
  }

  #answered({ id, head, entries, leaseMs }: BeatAnswer): void {
    const mark = this.#sent.get(id);
    // An older beat that has no answer yet is worth less than this one, and perhaps failed on its own.
    for (const older of this.#sent.keys()) if (older <= id) this.#sent.delete(older);
    // Without channels there is nothing to apply entries to: start at the head. Only an answer to our own beat may say so.
    if (this.#fresh && mark) {
      this.#fresh = false;
      this.#applied = head;
    }
    this.#applyAll(entries);
    // A lease counts only once everything up to its head is applied.
    if (mark && this.#applied >= head) this.lease.granted(mark, leaseMs);
  }

  /** Applies what is next in line; a gap is left to the next beat. */
  #applyAll(entries: readonly RevocationEntry[]): void {
    for (const entry of entries) {
      if (entry.index !== this.#applied + 1) continue;
      this.#apply(entry);
      this.#applied = entry.index;
      this.#recent.push(entry);
    }
    if (this.#recent.length > 2 * MAX_RECENT) this.#recent = this.#recent.slice(-MAX_RECENT);
  }
}
