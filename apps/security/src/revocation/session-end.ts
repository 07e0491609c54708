import { type AccessContext, type Bus, endByDevice, endReplacedSessions, tellDevice } from '@sallyport/access';
import { ChannelError, encodeHint, MESSAGE_TYPES } from '@sallyport/channel';
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

/**
 * Answers END with ENDED once the end is durable, and ASK with TOLD, or with a hint (SPEC.md, section 12). Strangers cause one look into the
 * database each, and their address has a budget.
 */
export async function answerSessionEnd(
  parts: SessionEndParts & { readonly addressThrottle: AddressThrottle },
  message: Uint8Array,
  address: string,
): Promise<Uint8Array> {
  const { access, addressThrottle, bus, log } = parts;
  try {
    const waitMs = await addressThrottle.take(address, 'end');
    if (waitMs > 0) return encodeHint('RETRY_LATER', waitMs);
    if (message[0] === MESSAGE_TYPES.ASK) return (await tellDevice(access, message)) ?? encodeHint('SESSION_UNKNOWN');
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

/** How long sign-ins are gathered before sessions make way for theirs, ms. */
const GATHER_MS = 100;
/** Installations whose sessions make way in one transaction. */
const MAX_TOGETHER = 200;

/**
 * Ends the sessions that newer ones of their installations replace, beside answers that nobody should wait for longer. Those of
 * all who sign in together end together: by one transaction under the realm's lock, one entry of the journal and one push,
 * however many come at once. One per node.
 */
export class ReplacedSessions {
  readonly #parts: SessionEndParts;
  readonly #installations = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: SessionEndParts) {
    this.#parts = parts;
  }

  /** An installation has a newer session, or has used it first. */
  makeWay(installationId: string): void {
    this.#installations.add(installationId);
    this.#timer ??= setTimeout(() => void this.#endAll(), GATHER_MS);
  }

  /** Ends what is gathered; to be called while the store is there. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#endAll();
  }

  async #endAll(): Promise<void> {
    const all = [...this.#installations];
    this.#installations.clear();
    this.#timer = undefined;
    for (let at = 0; at < all.length; at += MAX_TOGETHER) await this.#end(all.slice(at, at + MAX_TOGETHER));
  }

  async #end(installationIds: readonly string[]): Promise<void> {
    const { access, bus, log } = this.#parts;
    try {
      if ((await endReplacedSessions(access, installationIds)).length > 0) bus.publish('entries');
    } catch (error) {
      log.warn({ err: error, installationIds }, 'older sessions of devices could not be ended');
    }
  }
}
