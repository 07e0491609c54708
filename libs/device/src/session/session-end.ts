import {
  type CryptoProvider,
  decodeSessionEnd,
  deriveEndKey,
  encodeSessionEnd,
  endKeyOf,
  equalBytes,
  type LinkPin,
  MESSAGE_TYPES,
  verifySessionEnd,
} from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import type { DeviceRecord, StoredEnding } from '../kept/record.ts';
import { originsOf } from '../sites/places.ts';

/** What ending sessions at Security needs of its device. */
export interface SessionEndHost {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly pin?: LinkPin | undefined;
  record(): DeviceRecord | undefined;
  change(change: (stored: DeviceRecord) => DeviceRecord): Promise<void>;
  /** True while a channel of a newer session stands: Security has ended the older ones then. */
  replaced(): boolean;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** The same where everybody who answers knows no such session. */
const UNKNOWN_RETRY_MAX_MS = 3_600_000;
/** Ends that are remembered at most: the newest ones. */
const MAX_ENDINGS = 8;

/**
 * The record without its session, which is remembered as one to end: only the key that ends it stays, and opens nothing (SPEC.md,
 * section 12).
 */
export function endingSession(crypto: CryptoProvider, record: DeviceRecord): DeviceRecord {
  const { session, ending = [], ...rest } = record;
  if (!session) return record;
  const more = [...ending, { sid: session.sid, key: deriveEndKey(crypto, session.secret) }];
  return { ...rest, ending: more.slice(-MAX_ENDINGS) };
}

/**
 * Ends at Security the sessions that this device has signed out of. Each is remembered until Security has said that it is over, and
 * told again, with growing pauses, while the device is open, and each time it is opened.
 */
export class SessionEnds {
  readonly #host: SessionEndHost;
  #round: Promise<'none' | 'unknown' | 'unreached'> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #delayMs = RETRY_MIN_MS;
  #stopped = false;

  constructor(host: SessionEndHost) {
    this.#host = host;
  }

  /** Tells Security of every session that is to end; resolves after one try, which others may follow. Never rejects. */
  async tell(): Promise<void> {
    this.#stopped = false;
    clearTimeout(this.#timer);
    this.#round ??= this.#tellAll().finally(() => {
      this.#round = undefined;
    });
    const left = await this.#round.catch(() => 'unreached' as const);
    if (left === 'none') this.#delayMs = RETRY_MIN_MS;
    else this.#later(left === 'unknown' ? UNKNOWN_RETRY_MAX_MS : RETRY_MAX_MS);
  }

  /** Tries no more until the next `tell`. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #later(maxMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.tell(), this.#delayMs * (0.5 + Math.random()));
    // No process lives on for this: it is remembered.
    (this.#timer as { unref?: () => void }).unref?.();
    this.#delayMs = Math.min(2 * this.#delayMs, maxMs);
  }

  /** Gives what is left to tell: nothing, what nobody who answered knew, or what nobody answered. */
  async #tellAll(): Promise<'none' | 'unknown' | 'unreached'> {
    let left: 'none' | 'unknown' | 'unreached' = 'none';
    for (const ending of this.#host.record()?.ending ?? []) {
      const outcome = await this.#tellAnywhere(ending);
      // A hint is nobody's word, and ends nothing; a newer session's channel is.
      if (outcome === 'ended' || (outcome === 'unknown' && this.#host.replaced())) await this.#forget(ending);
      else if (left !== 'unreached') left = outcome;
    }
    return left;
  }

  async #tellAnywhere(ending: StoredEnding): Promise<'ended' | 'unknown' | 'unreached'> {
    const record = this.#host.record();
    let best: 'unknown' | 'unreached' = 'unreached';
    for (const origin of record ? originsOf(record, this.#host.pin ?? record.pin) : []) {
      const outcome = await this.#tellAt(origin, ending).catch((error: DeviceError) =>
        error.code === 'SESSION_UNKNOWN' ? 'unknown' : 'unreached',
      );
      if (outcome === 'ended') return outcome;
      if (outcome === 'unknown') best = outcome;
    }
    return best;
  }

  /** @throws DeviceError when nobody answers, or somebody does who does not know the session's key */
  async #tellAt(origin: string, { sid, key }: StoredEnding): Promise<'ended'> {
    const { crypto, webSocket } = this.#host;
    const endKey = endKeyOf(key);
    const socket = await GatewaySocket.connect(webSocket, origin);
    try {
      const answer = await socket.ask(encodeSessionEnd(crypto, MESSAGE_TYPES.END, endKey, sid));
      const ended = decodeSessionEnd(MESSAGE_TYPES.ENDED, answer);
      const ours = equalBytes(ended.sid, sid) && verifySessionEnd(crypto, MESSAGE_TYPES.ENDED, endKey, ended);
      if (!ours) throw new DeviceError('BAD_RESPONSE', 'the answer does not come from Security');
      return 'ended';
    } finally {
      socket.close();
    }
  }

  async #forget({ sid }: StoredEnding): Promise<void> {
    await this.#host.change(({ ending = [], ...rest }) => {
      const left = ending.filter((one) => !equalBytes(one.sid, sid));
      return left.length > 0 ? { ...rest, ending: left } : rest;
    });
  }
}
