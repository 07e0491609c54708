import { type AccessContext, isOurCode, randomId } from '@sallyport/access';
import {
  ChannelError,
  decodeHs1,
  encodeHint,
  MESSAGE_TYPES,
  messageType,
  SecurityEstablish,
  TokenBucket,
  verifyMac1,
} from '@sallyport/channel';
import { BusyError } from '@sallyport/places';
import { addressKey } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { AddressThrottle } from '../stores/address-throttle.ts';
import type { LoginStep } from './answer.ts';
import { InFlight } from './in-flight.ts';
import type { RefusalRecord } from './refusals.ts';
import type { AnswerHs3 } from './sign-in.ts';

/** How long a handshake may take, ms, and how many may be in flight: about 20 KiB each. */
const HANDSHAKE_TTL_MS = 30_000;
/** How long a person may take for one round of a step-up, ms. */
const STEP_TTL_MS = 120_000;
const MAX_IN_FLIGHT = 10_000;
const RETRY_MS = 2_000;
/** Enrolments with an id that no code of ours has: so many at once on this node, and so many a second. */
const MADE_UP_BURST = 50;
const MADE_UP_PER_SECOND = 20;

/** Security's message for the device; `handshake` says that more is to come. */
export interface RelayResult {
  readonly handshake?: string;
  readonly message: Uint8Array;
}

interface Handshake {
  readonly establish: SecurityEstablish;
  readonly address: string;
  /** What the device's next message does, while a step-up is open. */
  readonly next?: NonNullable<LoginStep['next']>;
}

/** What handshakes use. */
export interface HandshakeParts {
  readonly access: AccessContext;
  readonly liveKeys: LiveKeys;
  readonly addressThrottle: AddressThrottle;
  readonly refusals: RefusalRecord;
  readonly log: Log;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** Enrolments and logins. */
  readonly signIn: AnswerHs3;
  /** The signed site map of now. */
  readonly siteMap: () => Promise<string>;
}

/**
 * Handshakes of this node. They live in memory for 30 s, 120 s while a step-up is open, and are taken out with each
 * message, so no message is answered twice.
 */
export class Handshakes {
  readonly #parts: HandshakeParts;
  readonly #inFlight: InFlight<Handshake>;
  readonly #madeUp: TokenBucket;

  constructor(parts: HandshakeParts, maxInFlight: number = MAX_IN_FLIGHT) {
    this.#parts = parts;
    this.#inFlight = new InFlight(maxInFlight);
    this.#madeUp = new TokenBucket(MADE_UP_BURST, MADE_UP_PER_SECOND, parts.monotonicMs());
  }

  /** Handshakes waiting for HS3. */
  get size(): number {
    return this.#inFlight.size;
  }

  /**
   * Answers HS1 with HS2. Cheap checks come first: length, mac1, address, then the one key agreement by which an enrolment
   * names its code, and only then the rest of the public-key work.
   */
  async begin(hs1: Uint8Array, address: string): Promise<RelayResult> {
    try {
      return await this.#begin(hs1, address);
    } catch (error) {
      return { message: hintOf(error) };
    }
  }

  async #begin(hs1: Uint8Array, address: string): Promise<RelayResult> {
    const { access, liveKeys, addressThrottle } = this.#parts;
    const rs = await liveKeys.find(decodeHs1(hs1).kid);
    if (!rs) return { message: encodeHint('UNKNOWN_KID') };
    if (!verifyMac1(access.crypto, rs.publicKey, hs1)) return { message: encodeHint('BAD_MESSAGE') };
    const waitMs = await addressThrottle.take(address);
    if (waitMs > 0) return { message: encodeHint('RETRY_LATER', waitMs) };
    const now = this.#parts.monotonicMs();
    this.#inFlight.expire(now);
    const establish = new SecurityEstablish({ crypto: access.crypto, realm: access.store.realm, rs, hs1 });
    if (this.#isMadeUp(establish) && !this.#madeUp.take(now)) return { message: encodeHint('BUSY', RETRY_MS) };
    const handshake = randomId(access.crypto);
    const flight = { owner: addressKey(address, 48), until: now + HANDSHAKE_TTL_MS, kept: false };
    if (!this.#inFlight.add(handshake, { ...flight, value: { establish, address } }))
      return { message: encodeHint('BUSY', RETRY_MS) };
    return { handshake, message: establish.writeHs2(this.#parts.wallMs()) };
  }

  /** Strangers who enrol wait for each other, and nobody with a code of ours waits for them. */
  #isMadeUp({ codeId }: SecurityEstablish): boolean {
    return codeId !== undefined && !isOurCode(this.#parts.access, codeId);
  }

  /** Answers HS3 with HS4, or STEP with STEP_REPLY. The handshake is over then, unless one more round was asked for. */
  async finish(handshake: string, message: Uint8Array): Promise<RelayResult> {
    const taken = this.#inFlight.take(handshake, this.#parts.monotonicMs())?.value;
    if (!taken) return { message: encodeHint('HANDSHAKE_EXPIRED') };
    const expected = taken.next ? MESSAGE_TYPES.STEP : MESSAGE_TYPES.HS3;
    if (messageType(message) !== expected) return { message: encodeHint('BAD_MESSAGE') };
    try {
      return taken.next ? await this.#advance(taken, taken.next, message) : await this.#finish(taken, message);
    } catch (error) {
      this.#note(error, taken.address);
      return { message: hintOf(error) };
    }
  }

  /** What was wrong with a message stands in the audit log: its author learns no more than a hint. */
  #note(error: unknown, address: string): void {
    if (error instanceof BusyError) return;
    if (!(error instanceof ChannelError))
      return this.#parts.log.error({ err: error }, 'a handshake could not be finished');
    if (error.code === 'ERR_CHANNEL_HANDSHAKE') return;
    this.#parts.refusals.note({ action: 'handshake', subject: 'message', why: error.message, address });
  }

  async #finish({ establish, address }: Handshake, message: Uint8Array): Promise<RelayResult> {
    const deviceStatic = establish.readHs3(message);
    const { signIn, siteMap } = this.#parts;
    const step = await signIn({ establish, deviceStatic, address }, await siteMap());
    if (!step) return { message: encodeHint('HANDSHAKE_FAILED') };
    return { message: establish.writeHs4(step.answer), ...this.#keepOpen({ establish, address }, step) };
  }

  async #advance(
    { establish, address }: Handshake,
    next: NonNullable<LoginStep['next']>,
    message: Uint8Array,
  ): Promise<RelayResult> {
    const step = await next(establish.readStep(message));
    return { message: establish.writeStepReply(step.answer), ...this.#keepOpen({ establish, address }, step) };
  }

  #keepOpen(of: Pick<Handshake, 'establish' | 'address'>, { next }: LoginStep): { handshake?: string } {
    if (!next) of.establish.erase();
    if (!next) return {};
    const handshake = randomId(this.#parts.access.crypto);
    const until = this.#parts.monotonicMs() + STEP_TTL_MS;
    const flight = { owner: addressKey(of.address, 48), until, kept: true, value: { ...of, next } };
    return this.#inFlight.add(handshake, flight) ? { handshake } : {};
  }
}

/** A store or a queue that does not answer is "later", never "invalid". */
function hintOf(error: unknown): Uint8Array {
  if (error instanceof BusyError) return encodeHint('BUSY', error.retryAfterMs);
  if (!(error instanceof ChannelError)) return encodeHint('UNAVAILABLE', RETRY_MS);
  if (error.code === 'ERR_CHANNEL_VERSION') return encodeHint('VERSION');
  if (error.code === 'ERR_CHANNEL_SUITE') return encodeHint('SUITE');
  return encodeHint(error.code === 'ERR_CHANNEL_HANDSHAKE' ? 'HANDSHAKE_FAILED' : 'BAD_MESSAGE');
}
