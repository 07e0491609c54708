import { type CryptoProvider, formatHex } from '@sallyport/channel';
import type {
  Beat,
  BeatAnswer,
  BeginAnew,
  ControlMessage,
  Grant,
  Push,
  RevocationEntry,
} from '@sallyport/security-api';
import { follows, LOG_START, type LogPosition } from './chain.ts';
import { effectOn, type Revocable } from './effect.ts';
import { type BeatMark, type Clocks, LeaseClock } from './lease-clock.ts';

/** Recent entries, kept to be held against grants that were read before they were applied. */
const MAX_RECENT = 10_000;

/** What a grant is worth: good, over, good for another app context only, or to be read again. */
export type Judgement = 'current' | 'ended' | 'refused' | 'stale';

/** Applies an entry: ends channels or reads their rights again. Synchronous, before the lease that covers it counts. */
export type ApplyEntry = (entry: RevocationEntry) => void;

/** A channel with a grant as it was read. */
export interface ReadChannel extends Revocable {
  readonly grant: Revocable['grant'] & Pick<Grant, 'epoch' | 'asOf'>;
  /** Hash of the entry as of which it was read; undefined from a node of the version before. */
  readonly asOfHash: string | undefined;
}

/**
 * Why a Proxy begins anew: its log was replaced by a restore, does not fit to the one of the node, the clocks drifted, or the
 * node uses a database that never took the place of the one that was followed.
 */
export type AnewReason = 'replaced' | 'drift' | 'two databases';

/** What follows the log for somebody. */
export interface FollowerListener {
  readonly apply: ApplyEntry;
  /** All channels are to end at once: nothing of the log that was followed counts any more. */
  anew(reason: AnewReason): void;
  /** Last entry that is in force when everything up to `seen` was applied: less while rights are being read. */
  done(seen: number): number;
  readonly channelCount: () => number;
  /** How far the database is, sealed by Security: to be kept, so that it is known when it goes back. */
  readonly witnessed?: (witness: string) => void;
}

interface SentBeat {
  readonly mark: BeatMark;
  readonly fresh: boolean;
}

/** What the follower needs: clocks, SHA-256 and random numbers. */
export interface FollowerParts {
  readonly clocks: Clocks;
  readonly crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'>;
  readonly listener: FollowerListener;
  /** What a run before this one was told of the database, if anything is left of it. */
  readonly witness?: string | undefined;
}

/**
 * The Proxy's side of beats, leases and the revocation log (architecture, "Revocation"), without any network:
 * whoever owns the connection sends what `beat` gives and hands in what comes. Entries are applied once, in order, without
 * a gap, whichever nodes they come from. One follower is one run of one process: its instance is drawn in memory, and again
 * when the clocks show that the memory may be a copy.
 */
export class LogFollower {
  readonly lease: LeaseClock;
  readonly #parts: FollowerParts;
  #instance: string;
  #driftGeneration: number;
  /** Undefined while it follows no log. */
  #epoch: string | undefined;
  /** The epoch that was followed before: what does not take its place is another database. */
  #before: string | undefined;
  #seen: LogPosition = LOG_START;
  #nextId = 1;
  #recent: RevocationEntry[] = [];
  /** What stands before the first of them: where this follower began, or what was kept last. */
  #base: LogPosition = LOG_START;
  /** The last that Security said of its database; no business of ours what it says. */
  #witness: string | undefined;
  /** True once a node has answered to it, on this connection. */
  #shown = false;
  #sent = new Map<number, SentBeat>();

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.lease = new LeaseClock(parts.clocks);
    this.#driftGeneration = this.lease.generation;
    this.#instance = formatHex(parts.crypto.randomBytes(16));
    this.#witness = parts.witness;
  }

  /** Index of the last entry that was applied. */
  get seen(): number {
    return this.#seen.index;
  }

  /** The epoch that is followed; undefined while none is. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** This run of the process: what Security knows it by. */
  get instance(): string {
    this.#checkDrift();
    return this.#instance;
  }

  /** The next beat; send it at once, its lease counts from now. */
  beat(): Beat {
    this.#checkDrift();
    const id = this.#nextId++;
    const fresh = this.#epoch === undefined;
    this.#sent.set(id, { mark: this.lease.beatSent(), fresh });
    const place = fresh
      ? { seen: 0, hash: '', done: 0, ...(this.#before === undefined ? {} : { after: this.#before }) }
      : { epoch: this.#epoch!, seen: this.#seen.index, hash: this.#seen.hash, done: this.#done() };
    const channels = this.#parts.listener.channelCount();
    const shown = this.#shown || this.#witness === undefined ? {} : { witness: this.#witness };
    return { type: 'beat', id, instance: this.#instance, ...place, channels, ...shown };
  }

  /** When the oldest beat since the last answer was sent, on the monotonic clock; undefined when there is none. */
  get unansweredSince(): number | undefined {
    return this.#sent.values().next().value?.mark.sentAt;
  }

  /** Handles a message of Security. True asks for another beat at once: it tells what was applied, or closes a gap. */
  receive(message: ControlMessage): boolean {
    this.#checkDrift();
    if (message.type === 'push') return this.#pushed(message);
    const sent = this.#sent.get(message.id);
    // Nobody waits for it any more: it says nothing, not even "begin anew".
    if (!sent) return false;
    // An older beat that has no answer yet is worth less than this one, and perhaps failed on its own.
    for (const older of this.#sent.keys()) if (older <= message.id) this.#sent.delete(older);
    this.#shown = true;
    return message.type === 'anew' ? this.#sentAway(message) : this.#answered(message, sent);
  }

  /** The connection is gone: its beats get no answer any more. The lease itself goes on. */
  disconnected(): void {
    this.#sent.clear();
    this.#shown = false;
  }

  /**
   * Holds a grant against everything that was applied after it was read: a revocation must not slip between a grant and
   * its arrival. One of another epoch, of a log with another entry there, as of an entry that this Proxy has not seen, or behind entries
   * that are no longer kept, is stale: to be read again before it serves.
   */
  judge(channel: ReadChannel): Judgement {
    const { grant, asOfHash } = channel;
    const { epoch, asOf } = grant;
    if (this.#epoch === undefined || epoch !== this.#epoch) return 'stale';
    // Whether the log that it was read in holds what was applied here shows only once its entry is seen.
    if (asOf > this.#seen.index || this.#isOther(asOf, asOfHash)) return 'stale';
    const later = this.#recent.filter(({ index }) => index > asOf);
    const effects = later.map((entry) => effectOn(entry, channel));
    if (effects.includes('end')) return 'ended';
    if (effects.includes('refuse')) return 'refused';
    const complete = later.length === this.#seen.index - asOf;
    return complete && !effects.includes('reauthorise') ? 'current' : 'stale';
  }

  /** Hash of an entry that was applied, or of where this follower began; undefined for what is not known of. */
  #hashAt(index: number): string | undefined {
    if (index === this.#base.index) return this.#base.hash;
    return this.#recent[index - this.#base.index - 1]?.hash;
  }

  /** True when the log that is followed has another entry there: somebody read in one that went back meanwhile. */
  #isOther(index: number, hash: string | undefined): boolean {
    const known = this.#hashAt(index);
    return known !== undefined && hash !== undefined && hash !== known;
  }

  #done(): number {
    return Math.min(this.#seen.index, this.#parts.listener.done(this.#seen.index));
  }

  /** A suspend or a snapshot: this memory may be a copy, and whoever has the same one is another process now. */
  #checkDrift(): void {
    const { generation } = this.lease;
    if (generation === this.#driftGeneration) return;
    this.#driftGeneration = generation;
    this.#instance = formatHex(this.#parts.crypto.randomBytes(16));
    this.#beginAnew('drift');
  }

  #beginAnew(reason: AnewReason): void {
    this.#before = this.#epoch ?? this.#before;
    this.#epoch = undefined;
    this.#seen = LOG_START;
    this.#base = LOG_START;
    this.#recent = [];
    this.#sent.clear();
    this.#shown = false;
    this.lease.drop();
    this.#parts.listener.anew(reason);
  }

  #sentAway({ supersedes }: BeginAnew): boolean {
    this.#beginAnew(supersedes ? 'replaced' : 'two databases');
    // Where there are two databases, this node is no longer asked.
    return supersedes;
  }

  #answered(answer: BeatAnswer, { mark, fresh }: SentBeat): boolean {
    const { epoch, head, headHash, entries, leaseMs } = answer;
    if (this.#epoch === undefined) {
      // Without channels there is nothing to apply entries to: start at the head. Only an answer to a fresh beat may say so.
      if (!fresh) return false;
      this.#epoch = epoch;
      this.#seen = { index: head, hash: headHash };
      this.#base = this.#seen;
    }
    if (epoch !== this.#epoch) return false;
    const before = this.#seen.index;
    const whole = this.#applyAll(entries) && !this.#isOther(head, headHash);
    if (!whole) {
      this.#beginAnew('replaced');
      return true;
    }
    // A lease counts only once everything up to its head is applied; one from before this follower began is of no known log.
    if (this.#seen.index >= head && head >= this.#base.index) this.lease.granted(mark, leaseMs);
    this.#keepWitness(answer.witness);
    return this.#seen.index > before || this.#seen.index < head;
  }

  #keepWitness(witness: string | undefined): void {
    if (witness === undefined || witness === this.#witness) return;
    this.#witness = witness;
    this.#parts.listener.witnessed?.(witness);
  }

  /** A push counts only when it goes on where this log ends; what does not is left to the next beat. */
  #pushed({ epoch, after, afterHash, entries }: Push): boolean {
    if (this.#epoch === undefined || epoch !== this.#epoch) return false;
    const { index, hash } = this.#seen;
    const known = entries.findIndex((entry) => entry.index === index && entry.hash === hash);
    const fits = (after === index && afterHash === hash) || known >= 0;
    if (!fits) return false;
    if (!this.#applyAll(entries.slice(known + 1))) this.#beginAnew('replaced');
    return true;
  }

  /** Applies what is next in line. False when an entry does not follow: then this is not the log that was followed. */
  #applyAll(entries: readonly RevocationEntry[]): boolean {
    for (const entry of entries) {
      // Entries that came twice.
      if (entry.index <= this.#seen.index) continue;
      if (!follows(this.#parts.crypto, this.#seen, entry)) return false;
      this.#parts.listener.apply(entry);
      this.#seen = { index: entry.index, hash: entry.hash };
      this.#recent.push(entry);
    }
    if (this.#recent.length > 2 * MAX_RECENT) this.#forgetOldest(this.#recent.length - MAX_RECENT);
    return true;
  }

  #forgetOldest(count: number): void {
    const { index, hash } = this.#recent[count - 1]!;
    this.#base = { index, hash };
    this.#recent = this.#recent.slice(count);
  }
}
