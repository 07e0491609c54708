import type { DeviceRecord, StoredSession } from '../kept/record.ts';

/** Numbers of channels that are reserved with one write. */
const BLOCK = 64;
const JUMP = 2 ** 20;

/** What numbers are kept in. */
export interface NumbersHost {
  record(): DeviceRecord | undefined;
  /** Changes the session that is stored, durably, and gives it. @throws DeviceError SIGNED_OUT when it is another one */
  changeSession(session: StoredSession, change: (stored: StoredSession) => StoredSession): Promise<StoredSession>;
}

/**
 * Numbers of the channels of a session (SPEC.md, section 5): each is used once, whichever site the channel is at, and whole blocks
 * are reserved durably before the first of them is used. One per device.
 */
export class ChannelNumbers {
  readonly #host: NumbersHost;
  #next = 1;

  constructor(host: NumbersHost) {
    this.#host = host;
  }

  /** A session begins, or goes on in this process: numbers up to the reserved one may have been used. */
  begin(reserved: number): void {
    this.#next = reserved + 1;
  }

  /** Takes the next number. */
  async take(session: StoredSession): Promise<number> {
    const reserved = this.#host.record()?.session?.reservedChanNo ?? 0;
    if (this.#next > reserved) await this.#reserve(session, this.#next);
    const number = this.#next;
    this.#next += 1;
    return number;
  }

  /**
   * A number was refused as not above the last. Perhaps a higher one of ours came first, by a channel to another site: then the next
   * is good. Another process uses this session with the same storage: behind its block. Another copy of the storage does: far ahead.
   */
  async skip(session: StoredSession, refused: number, isFirst: boolean): Promise<void> {
    const isOvertaken = this.#next > refused + 1;
    if (isFirst && isOvertaken) return;
    await this.#reserve(session, isFirst ? this.#next : this.#next + JUMP);
  }

  /** Reserves the next block of numbers, from `least` on, behind what anybody has reserved with this storage. */
  async #reserve(session: StoredSession, least: number): Promise<void> {
    let first = least;
    await this.#host.changeSession(session, (stored) => {
      first = Math.max(least, stored.reservedChanNo + 1);
      return { ...stored, reservedChanNo: first + BLOCK };
    });
    this.#next = Math.max(this.#next, first);
  }
}
