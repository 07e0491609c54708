import {
  type AccessContext,
  type Bus,
  endByDevice,
  endReplacedSessions,
  isOurSession,
  memoryThrottle,
  StoreError,
  type Throttle,
  tellDevice,
} from '@sallyport/access';
import {
  ChannelError,
  decodeSessionAsk,
  decodeSessionEnd,
  encodeHint,
  formatHex,
  MESSAGE_TYPES,
} from '@sallyport/channel';
import { BusyError } from '@sallyport/places';
import type { Log } from '@sallyport/telemetry';
import type { AddressThrottle } from '../stores/address-throttle.ts';

const RETRY_MS = 2_000;

/** What ends of sessions are told to. */
export interface SessionEndParts {
  readonly access: AccessContext;
  readonly bus: Bus;
  readonly log: Log;
}

/** What one session may ask or say at a node, before it counts for its address. */
const SESSION_LIMIT = { burst: 10, perMinute: 12 } as const;

/**
 * Answers END with ENDED once the end is durable, and ASK with TOLD, or with a hint (SPEC.md, section 12). Each costs one look into the
 * database. The id of a session shows that this realm made it up, so a look is that session's own while it has some left: when all
 * sessions end at once, an office behind one address hears so at once. Made-up ids, and what a session asks too often, count for the
 * address. One per node.
 */
export class SessionAnswers {
  readonly #parts: SessionEndParts & { readonly addressThrottle: AddressThrottle };
  readonly #bySession: Throttle;

  constructor(
    parts: SessionEndParts & { readonly addressThrottle: AddressThrottle; readonly monotonicMs: () => number },
  ) {
    this.#parts = parts;
    this.#bySession = memoryThrottle({ ...SESSION_LIMIT, now: parts.monotonicMs });
  }

  /** The answer to an END or an ASK. Never rejects. */
  async answer(message: Uint8Array, address: string): Promise<Uint8Array> {
    const { access, bus, log } = this.#parts;
    try {
      const isAsk = message[0] === MESSAGE_TYPES.ASK;
      const { sid } = isAsk ? decodeSessionAsk(message) : decodeSessionEnd(MESSAGE_TYPES.END, message);
      const waitMs = await this.#waitMs(sid, address);
      if (waitMs > 0) return encodeHint('RETRY_LATER', waitMs);
      if (isAsk) return (await tellDevice(access, message)) ?? encodeHint('SESSION_UNKNOWN');
      const ended = await endByDevice(access, message);
      if (!ended) return encodeHint('SESSION_UNKNOWN');
      bus.publish('entries');
      return ended;
    } catch (error) {
      if (error instanceof ChannelError)
        return encodeHint(error.code === 'ERR_CHANNEL_VERSION' ? 'VERSION' : 'BAD_MESSAGE');
      if (error instanceof BusyError) return encodeHint('BUSY', error.retryAfterMs);
      log.error({ err: error }, 'what a device says or asks of its session could not be answered');
      return encodeHint('UNAVAILABLE', RETRY_MS);
    }
  }

  async #waitMs(sid: Uint8Array, address: string): Promise<number> {
    const { access, addressThrottle } = this.#parts;
    if (isOurSession(access, sid) && (await this.#bySession.take(formatHex(sid))) === 0) return 0;
    return addressThrottle.take(address, 'end');
  }
}

/** How long sign-ins are gathered before sessions make way for theirs, ms. */
const GATHER_MS = 100;
/** When it is tried again after the store did not answer, ms. */
const AGAIN_MS = 5_000;
/** Installations whose sessions make way in one transaction. */
const MAX_TOGETHER = 200;

/**
 * Ends the sessions that newer ones of their installations replace, beside answers that nobody should wait for longer. Those of
 * all who sign in together end together: by one transaction under the realm's lock, one entry of the journal and one push,
 * however many come at once. What cannot be ended because the store is busy or gone is tried again. One per node.
 */
export class ReplacedSessions {
  readonly #parts: SessionEndParts;
  readonly #installations = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #ending: Promise<void> | undefined;

  constructor(parts: SessionEndParts) {
    this.#parts = parts;
  }

  /** An installation has a newer session, or has used it first. */
  makeWay(installationId: string): void {
    this.#installations.add(installationId);
    this.#schedule(GATHER_MS);
  }

  /** Ends what is gathered; to be called while the store is there. */
  async stop(): Promise<void> {
    await this.#ending;
    clearTimeout(this.#timer);
    await this.#endAll();
  }

  #schedule(ms: number): void {
    if (this.#ending) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#ending = this.#endAll().then((isWell) => {
        this.#ending = undefined;
        if (this.#installations.size > 0) this.#schedule(isWell ? GATHER_MS : AGAIN_MS);
      });
    }, ms);
  }

  /** False when some are to be tried again. */
  async #endAll(): Promise<boolean> {
    const all = [...this.#installations];
    this.#installations.clear();
    let isWell = true;
    for (let at = 0; at < all.length; at += MAX_TOGETHER)
      isWell = (await this.#end(all.slice(at, at + MAX_TOGETHER))) && isWell;
    return isWell;
  }

  async #end(installationIds: readonly string[]): Promise<boolean> {
    const { access, bus, log } = this.#parts;
    try {
      if ((await endReplacedSessions(access, installationIds)).length > 0) bus.publish('entries');
      return true;
    } catch (error) {
      log.warn({ err: error, installationIds }, 'older sessions of devices could not be ended');
      const isOutage = error instanceof StoreError || error instanceof BusyError;
      if (isOutage) for (const id of installationIds) this.#installations.add(id);
      return !isOutage;
    }
  }
}
