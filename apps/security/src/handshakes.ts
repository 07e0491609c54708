import { BusyError, randomId } from '@sallyport/access';
import {
  ChannelError,
  decodeHs1,
  encodeHint,
  MESSAGE_TYPES,
  messageType,
  SecurityEstablish,
  verifyMac1,
} from '@sallyport/channel';
import type { RealmContext } from './realm-context.ts';
import type { LoginStep } from './sign-in/attempt.ts';
import { answerEnrolment } from './sign-in/enrolment.ts';
import { answerLogin } from './sign-in/session.ts';

/** How long a handshake may take, ms, and how many may be in flight. */
const HANDSHAKE_TTL_MS = 30_000;
/** How long a person may take for one round of a step-up, ms. */
const STEP_TTL_MS = 120_000;
const MAX_IN_FLIGHT = 10_000;
const RETRY_MS = 2_000;

/** Security's message for the device; `handshake` says that more is to come. */
export interface RelayResult {
  readonly handshake?: string;
  readonly message: Uint8Array;
}

interface InFlight {
  readonly establish: SecurityEstablish;
  readonly address: string;
  readonly until: number;
  /** What the device's next message does, while a step-up is open. */
  readonly next?: NonNullable<LoginStep['next']>;
}

/**
 * Handshakes of this node. They live in memory for 30 s, 120 s while a step-up is open, and are taken out with each
 * message, so no message is answered twice.
 */
export class Handshakes {
  readonly #context: RealmContext;
  readonly #siteMap: () => Promise<string>;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(context: RealmContext, siteMap: () => Promise<string>) {
    this.#context = context;
    this.#siteMap = siteMap;
  }

  /** Handshakes waiting for HS3. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Answers HS1 with HS2. Cheap checks come first: length, mac1, address, and only then public-key work. */
  async begin(hs1: Uint8Array, address: string): Promise<RelayResult> {
    try {
      return await this.#begin(hs1, address);
    } catch (error) {
      return { message: hintOf(error) };
    }
  }

  async #begin(hs1: Uint8Array, address: string): Promise<RelayResult> {
    const { access, keys, addressThrottle } = this.#context;
    const rs = keys.handshake.get(decodeHs1(hs1).kid);
    if (!rs) return { message: encodeHint('UNKNOWN_KID') };
    if (!verifyMac1(access.crypto, rs.publicKey, hs1)) return { message: encodeHint('BAD_MESSAGE') };
    const waitMs = await addressThrottle.take(address);
    if (waitMs > 0) return { message: encodeHint('RETRY_LATER', waitMs) };
    this.#expire();
    if (this.#inFlight.size >= MAX_IN_FLIGHT) return { message: encodeHint('BUSY', RETRY_MS) };
    const establish = new SecurityEstablish({ crypto: access.crypto, realm: access.store.realm, rs, hs1 });
    const handshake = randomId(access.crypto);
    const message = establish.writeHs2(this.#context.wallMs());
    this.#inFlight.set(handshake, { establish, address, until: this.#context.monotonicMs() + HANDSHAKE_TTL_MS });
    return { handshake, message };
  }

  /** Answers HS3 with HS4, or STEP with STEP_REPLY. The handshake is over then, unless one more round was asked for. */
  async finish(handshake: string, message: Uint8Array): Promise<RelayResult> {
    const taken = this.#inFlight.get(handshake);
    this.#inFlight.delete(handshake);
    if (!taken || taken.until < this.#context.monotonicMs()) return { message: encodeHint('HANDSHAKE_EXPIRED') };
    const expected = taken.next ? MESSAGE_TYPES.STEP : MESSAGE_TYPES.HS3;
    if (messageType(message) !== expected) return { message: encodeHint('BAD_MESSAGE') };
    try {
      return taken.next ? await this.#advance(taken, taken.next, message) : await this.#finish(taken, message);
    } catch (error) {
      if (!(error instanceof ChannelError || error instanceof BusyError))
        this.#context.log.error({ err: error }, 'a handshake could not be finished');
      return { message: hintOf(error) };
    }
  }

  async #finish({ establish, address }: InFlight, message: Uint8Array): Promise<RelayResult> {
    const deviceStatic = establish.readHs3(message);
    const answerOf = establish.role === 'enrol' ? answerEnrolment : answerLogin;
    const step = await answerOf(this.#context, { establish, deviceStatic, address }, await this.#siteMap());
    if (!step) return { message: encodeHint('HANDSHAKE_FAILED') };
    return { message: establish.writeHs4(step.answer), ...this.#keepOpen({ establish, address }, step) };
  }

  async #advance(
    { establish, address }: InFlight,
    next: NonNullable<LoginStep['next']>,
    message: Uint8Array,
  ): Promise<RelayResult> {
    const step = await next(establish.readStep(message));
    return { message: establish.writeStepReply(step.answer), ...this.#keepOpen({ establish, address }, step) };
  }

  #keepOpen(of: Pick<InFlight, 'establish' | 'address'>, { next }: LoginStep): { handshake?: string } {
    if (!next) of.establish.erase();
    if (!next) return {};
    const handshake = randomId(this.#context.access.crypto);
    this.#inFlight.set(handshake, { ...of, next, until: this.#context.monotonicMs() + STEP_TTL_MS });
    return { handshake };
  }

  #expire(): void {
    const now = this.#context.monotonicMs();
    for (const [id, { until, next }] of this.#inFlight) {
      if (until < now) this.#inFlight.delete(id);
      // Those that wait for a person stand among the others with a later end.
      else if (!next) return;
    }
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
