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

/** Ends the sessions of an installation that a newer one replaces, beside the answer that nobody should wait for longer. */
export function makeWay({ access, bus, log }: SessionEndParts, installationId: string): void {
  endReplacedSessions(access, installationId).then(
    (ended) => {
      if (ended.length > 0) bus.publish('entries');
    },
    (error: unknown) => log.warn({ err: error, installationId }, 'older sessions of a device could not be ended'),
  );
}
