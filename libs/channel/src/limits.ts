/** Limits of one channel (SPEC.md, section 6). Sizes in bytes, rates per second. */
export interface ChannelLimits {
  /** Streams open at once; a reset one counts until its work has stopped. */
  readonly streams: number;
  /** Bytes a peer may send on one stream before they are consumed. */
  readonly streamWindowBytes: number;
  /** Bytes a peer may send on all streams together before they are consumed. */
  readonly channelWindowBytes: number;
  /** Streams that a device may open at once. */
  readonly openBurst: number;
  /** Streams that it may open in a second in the long run. */
  readonly openRate: number;
  /** RESET frames of a device at once. */
  readonly resetBurst: number;
  /** RESET frames in a second in the long run. */
  readonly resetRate: number;
  /** CONTEXT frames of a device that change its app context. */
  readonly contextBurst: number;
  /** The same in a second in the long run. */
  readonly contextRate: number;
  /** PING frames of a peer at once. */
  readonly pingBurst: number;
  /** PING frames in a second in the long run. */
  readonly pingRate: number;
  /** Frames of a device with less than `SMALL_FRAME_BYTES`, but for OPEN, and small parts of what streams carry. */
  readonly pieceBurst: number;
  /** The same in a second in the long run. */
  readonly pieceRate: number;
  /** Bytes that wait on all streams together from which nobody should write more; see `ChannelStream.write`. */
  readonly queueBytes: number;
  /** Socket backlog at which no more stream data is sealed. */
  readonly backlogBytes: number;
}

/** The values of the spec. */
export const DEFAULT_LIMITS: ChannelLimits = {
  streams: 64,
  streamWindowBytes: 262_144,
  channelWindowBytes: 1_048_576,
  openBurst: 200,
  openRate: 50,
  resetBurst: 100,
  resetRate: 20,
  contextBurst: 20,
  contextRate: 1,
  pingBurst: 100,
  pingRate: 10,
  pieceBurst: 8_192,
  pieceRate: 4_096,
  queueBytes: 2_097_152,
  backlogBytes: 1_048_576,
};

/** Frames with less data than this cost more than their bytes, and are counted. */
export const SMALL_FRAME_BYTES = 256;

/** Credit of a window may never pass 2^31 - 1. */
export const MAX_WINDOW = 2_147_483_647;

/**
 * Token bucket: `burst` at once, then `rate` per second. Time is passed in, in ms of any monotonic clock.
 * Not shared.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #rate: number;
  #tokens: number;
  #filledAt: number;

  /** A full bucket at `now`, ms. */
  constructor(burst: number, rate: number, now: number) {
    this.#burst = burst;
    this.#rate = rate;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Takes one token; false when there is none. */
  take(now: number): boolean {
    this.#fill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes tokens that may not be there: what was spent too much is owed, and `waitMs` says for how long. */
  spend(tokens: number, now: number): void {
    this.#fill(now);
    this.#tokens -= tokens;
  }

  /** True when a token is there for sure, whatever the time: most askers need no clock. */
  get open(): boolean {
    return this.#tokens >= 1;
  }

  /** Ms until a token is there. */
  waitMs(now: number): number {
    this.#fill(now);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#rate) * 1000);
  }

  #fill(now: number): void {
    const gained = (Math.max(0, now - this.#filledAt) / 1000) * this.#rate;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#filledAt = now;
  }
}

/** Longest site map, in bytes: it fits into one NOTICE and into the answer to a sign-in. */
export const MAX_SITE_MAP_BYTES = 61_440;
