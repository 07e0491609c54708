import { ClockOffset, type Offset } from './clock-offset.ts';

/** Wall and monotonic time that drift apart by more than this mean a suspend, a snapshot or a clock step, in ms. */
export const MAX_DRIFT_MS = 50;
/** What cannot be known for longer is taken for a drift, ms. Until then nothing is served, and nothing dropped. */
const MAX_UNKNOWN_MS = 1_000;
const WALL_STEP_MS = 1;
const BOOT_STEP_MS = 10;

/** The clocks of a process. */
export interface Clocks {
  /** Whole ms. */
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /**
   * Time since boot, which goes on in suspend (CLOCK_BOOTTIME), in steps of 10 ms at most. With it a suspend is noticed even
   * when the wall clock is set back at the same time by as much as the suspend lasted.
   */
  readonly bootMs?: () => number;
  /** Calls back before anything else runs in the process: `bootMs` is slow to read, once a turn is enough. */
  readonly nextTurn?: (begin: () => void) => void;
}

/** When a beat was sent, and in which generation of the lease. */
export interface BeatMark {
  readonly sentAt: number;
  readonly generation: number;
}

/** The generation of a mark for which no answer counts. */
const NO_GENERATION = -1;

/**
 * The Proxy's side of a lease: live until *send time of the last answered beat* + lease, on the monotonic clock, and
 * never across a drift of the two clocks. Ask `live` last before every upstream write. A pause of the process is no
 * drift. While the clocks cannot be read closely enough to tell the two apart nothing is live; after a second of that it
 * counts as a drift. Not shared.
 */
export class LeaseClock {
  readonly #clocks: Clocks;
  readonly #wall: ClockOffset;
  readonly #boot: ClockOffset | undefined;
  #until = Number.NEGATIVE_INFINITY;
  #generation = 0;
  /** Since when the offsets cannot be known; undefined while they are. */
  #unknownSince: number | undefined;
  #bootThisTurn: Offset | undefined;
  readonly #turnOver = (): void => {
    this.#bootThisTurn = undefined;
  };

  constructor(clocks: Clocks) {
    const { wallMs, bootMs, monotonicMs } = clocks;
    const compared = { monotonicMs, maxChangeMs: MAX_DRIFT_MS };
    this.#clocks = clocks;
    this.#wall = new ClockOffset({ ...compared, readMs: wallMs, stepMs: WALL_STEP_MS });
    this.#boot = bootMs && new ClockOffset({ ...compared, readMs: bootMs, stepMs: BOOT_STEP_MS });
  }

  /** Marks the sending of a beat; hand the mark to `granted` with its answer. */
  beatSent(): BeatMark {
    this.#checkDrift();
    const settled = this.#wall.settled && (this.#boot?.settled ?? true);
    return { sentAt: this.#clocks.monotonicMs(), generation: settled ? this.#generation : NO_GENERATION };
  }

  /** The answer came, and its entries are applied. An answer to a beat from before a drift counts for nothing. */
  granted(mark: BeatMark, leaseMs: number): void {
    this.#checkDrift();
    if (mark.generation !== this.#generation) return;
    this.#until = Math.max(this.#until, mark.sentAt + leaseMs);
  }

  /** Gives the lease up at once. Answers that are under way may still renew it: their marks are to be forgotten too. */
  drop(): void {
    this.#until = Number.NEGATIVE_INFINITY;
  }

  /** True while this Proxy may serve. */
  get live(): boolean {
    this.#checkDrift();
    return this.#unknownSince === undefined && this.#clocks.monotonicMs() < this.#until;
  }

  /** How often the clocks drifted: channels of an older generation must be dropped. */
  get generation(): number {
    this.#checkDrift();
    return this.#generation;
  }

  #checkDrift(): void {
    const wall = this.#wall.judge();
    const boot = this.#judgeBoot(wall);
    if (wall === 'stepped' || boot === 'stepped') return this.#drop();
    if (wall !== 'steady' || boot !== 'steady') return this.#unknown(wall, boot);
    this.#unknownSince = undefined;
  }

  /** Nobody could say any more what happened meanwhile: a suspend hides behind it as well as a pause. */
  #unknown(wall: Offset, boot: Offset): void {
    const now = this.#clocks.monotonicMs();
    this.#unknownSince ??= now;
    if (now - this.#unknownSince <= MAX_UNKNOWN_MS || this.#until === Number.NEGATIVE_INFINITY) return;
    if (wall === 'unknown') this.#wall.forget();
    if (boot === 'unknown') this.#boot?.forget();
    this.#drop();
  }

  #drop(): void {
    this.#until = Number.NEGATIVE_INFINITY;
    this.#generation += 1;
  }

  /** Once a turn, and when the wall clock stepped: both show the same suspend then. */
  #judgeBoot(wall: Offset): Offset {
    if (!this.#boot) return 'steady';
    const asked = this.#bootThisTurn;
    if (asked !== undefined && wall !== 'stepped') return asked;
    const found = this.#boot.judge();
    if (!this.#clocks.nextTurn) return found;
    if (asked === undefined) this.#clocks.nextTurn(this.#turnOver);
    const known = this.#boot.settled ? 'steady' : 'unknown';
    this.#bootThisTurn = found === 'stepped' ? known : found;
    return found;
  }
}
