import type { AppContext, CborFields, CryptoProvider, EndCause, SignedCode, Standing } from '@sallyport/channel';
import { isEndCause } from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import { GatewayChannel } from '../gateway/channel.ts';
import { inTurn } from '../gateway/in-turn.ts';
import type { ProxyPlace } from '../gateway/place.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import type { DeviceRecord, StoredSession } from '../kept/record.ts';
import type { ChannelNumbers } from './channel-numbers.ts';
import type { Reach } from './events.ts';
import { isRefusal, ProxyRefusals } from './proxy-refusals.ts';

/** What a connection needs of its device. */
export interface ConnectionHost {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** How long somebody waits for a gateway before it counts as offline, ms. */
  readonly patienceMs: number;
  /** Those of the session, which its connections share. */
  readonly numbers: ChannelNumbers;
  record(): DeviceRecord | undefined;
  /** Where a channel may be opened at this moment, what is tried first in front. */
  places(): readonly ProxyPlace[];
  /** Whether a channel is still looked for that nobody waits for. */
  isKept(): boolean;
  /** Where it stands; undefined when no channel is wanted any more. */
  reached(reach: Reach | undefined): void;
  opened(channel: GatewayChannel): void;
  notice(channel: GatewayChannel, notice: CborFields): void;
  /** A connection to a Proxy was made in so many ms, or none; or what stood there is lost. */
  tried(place: ProxyPlace, connectMs: number | undefined): void;
  /** A Proxy has ended a channel because there is too much of something. */
  calmedDown(): void;
  /** A channel on which somebody waits says nothing. */
  doubted(channel: GatewayChannel): void;
  /** A ping came back. */
  pinged(place: ProxyPlace, ms: number): void;
  /** No place gave a channel; there will be other tries. */
  failed(error: DeviceError): void;
  /** Asks Security how a session stands; undefined when there is no answer that it vouches for. */
  standing(session: StoredSession): Promise<Standing | undefined>;
  /** Security says that the session is over, and why. */
  over(code: SignedCode, session: StoredSession, cause: EndCause): void;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** The longest wait between two tries while nobody can be reached. */
const OFFLINE_RETRY_MAX_MS = 20_000;
/** Hints are unauthenticated: none of them keeps a device away for longer. */
const MAX_RETRY_AFTER_MS = 60_000;
/** A Proxy that does not take a connection in this time has the next one tried beside it, ms. */
const STAGGER_MS = 700;
/** Where everybody is told so at once, devices ask Security spread over this, ms; and how long its word is waited for. */
const ASK_SPREAD_MS = 2_000;
const WORD_MS = 5_000;
/** The shortest wait between two tries where every Proxy lets nobody in, however often somebody asks, ms. */
const SHUT_RETRY_MIN_MS = 2_000;
/** A channel that stood for so long shows that what was refused before is past, ms. */
const STEADY_MS = 10_000;

/** Ends of a session that somebody else has caused; the others are in the course of things. */
const REVOKED: ReadonlySet<EndCause> = new Set([
  'signed-out',
  'session',
  'installation',
  'user',
  'app',
  'all',
  'other',
]);

interface Waiter {
  resolve(channel: GatewayChannel): void;
  reject(error: unknown): void;
}

/**
 * Keeps a channel to one of some Proxies for as long as somebody wants one, whatever happens to the network: it tries again with
 * growing pauses and never gives up. Who waits for a channel does so with patience, and hears at once while it is offline.
 */
export class Connection {
  readonly #host: ConnectionHost;
  readonly #waiters = new Set<Waiter>();
  #channel: GatewayChannel | undefined;
  /** The attempts that go on; others have been called off. */
  #attempts: symbol | undefined;
  #wake: (() => void) | undefined;
  #offline = false;
  #suspended = false;
  #silent = false;
  /** Why the Proxy is about to end the channel: its word, which ends nothing. */
  #cause: EndCause | undefined;
  #failure: unknown;
  #openedAt = 0;
  readonly #refusals = new ProxyRefusals();
  /** Answers who waits for Security's word of the session, without it. */
  #calledOff: ((code: SignedCode | undefined) => void) | undefined;

  constructor(host: ConnectionHost) {
    this.#host = host;
  }

  get channel(): GatewayChannel | undefined {
    return this.#channel;
  }

  /** True while a channel stands or is sought. */
  get wanted(): boolean {
    return this.#channel !== undefined || this.#attempts !== undefined;
  }

  /** True while a channel stands whose Proxy may serve, and that is not silent. */
  get serves(): boolean {
    return this.#channel?.usable === true && !this.#suspended && !this.#silent;
  }

  /** A channel that takes new streams. @throws DeviceError CLOSED, OFFLINE, or why no Proxy opens one */
  usable(): Promise<GatewayChannel> {
    if (this.#channel?.usable) return Promise.resolve(this.#channel);
    const { error: refused } = this.#refusals;
    if (refused) {
      this.seek();
      return Promise.reject(refused);
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve(channel) {
          clearTimeout(timer);
          resolve(channel);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      // First of all, so that the search is called offline before who waits for it hears so.
      this.seek();
      const timer = setTimeout(() => {
        this.#reject([waiter], this.#failure ?? new DeviceError('OFFLINE', 'no gateway answers'));
      }, this.#host.patienceMs);
    });
  }

  /** Looks for a channel if there is none; at once, if it only waits for the next try. */
  seek(): void {
    if (this.#channel?.usable) return;
    if (this.#attempts !== undefined) return this.#wake?.();
    const attempts = Symbol('attempts');
    this.#attempts = attempts;
    const timer = setTimeout(() => this.#goOffline(attempts), this.#host.patienceMs);
    this.#keepTrying(attempts)
      .catch((error: unknown) => this.drop(error))
      .finally(() => clearTimeout(timer));
  }

  /** Begins anew with the session that is stored now, for those who wait. */
  retry(): void {
    this.#attempts = undefined;
    this.#calledOff?.(undefined);
    this.#channel = undefined;
    this.#refusals.forget();
    this.seek();
  }

  /** The network changed or the device woke up: finds out at once what still stands. */
  networkChanged(): void {
    this.#channel?.probe(2_000);
    this.#wake?.();
  }

  /** Closes the channel, or calls off the search for one. */
  drop(reason: unknown = new DeviceError('CLOSED', 'the connection to the gateway was closed')): void {
    this.#attempts = undefined;
    this.#offline = false;
    const { code } = reason as Partial<DeviceError>;
    this.#calledOff?.(isRefusal(code) ? code : undefined);
    this.#refusals.forget();
    this.#wake?.();
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.close();
    this.#reject([...this.#waiters], reason);
  }

  /** Nobody uses the channel: what is open ends by itself, nothing new is looked for until somebody asks. */
  rest(): void {
    const channel = this.#channel;
    this.#attempts = undefined;
    this.#offline = false;
    this.#calledOff?.(undefined);
    this.#refusals.reopen();
    this.#channel = undefined;
    this.#wake?.();
    this.#host.reached(undefined);
    channel?.retire();
  }

  async #keepTrying(attempts: symbol): Promise<void> {
    this.#failure = undefined;
    this.#host.reached('connecting');
    if (this.#refusals.any) await this.#holdBack(attempts);
    for (let delay = RETRY_MIN_MS; this.#attempts === attempts; ) {
      const asked = [...this.#waiters];
      const session = this.#host.record()?.session;
      if (!session) return this.drop(new DeviceError('SIGNED_OUT', 'nobody is signed in'));
      try {
        const opened = await this.#openAnywhere(attempts, session);
        if (this.#attempts === attempts) return this.#use(opened);
        return opened.close();
      } catch (error) {
        if (this.#attempts !== attempts) return;
        const { code, retryAfterMs = 0 } = error as Partial<DeviceError>;
        if (code === 'SESSION_UNKNOWN') {
          const cause = await this.#causeOf(session);
          if (this.#attempts !== attempts) return;
          if (cause) return void this.#over(session, cause);
          // Anybody on the way can send a hint: the session stays, and nobody waits for what may not come.
          this.#goOffline(attempts);
        }
        const failure = asDeviceError(error);
        this.#failure = failure;
        if (this.#offline) this.#reject(asked, failure);
        this.#host.failed(failure);
        if (this.#waiters.size === 0 && !this.#host.isKept()) return this.rest();
        await this.#pause(Math.max(Math.min(retryAfterMs, MAX_RETRY_AFTER_MS), delay * (0.5 + Math.random())));
        delay = Math.min(2 * delay, this.#offline ? OFFLINE_RETRY_MAX_MS : RETRY_MAX_MS);
      }
    }
  }

  /** Why a session is over that no Proxy knows, in Security's own word. */
  async #causeOf(session: StoredSession): Promise<EndCause | undefined> {
    const standing = await this.#host.standing(session);
    return standing === undefined || standing === 'live' ? undefined : standing;
  }

  #over(session: StoredSession, cause: EndCause): SignedCode {
    const code = REVOKED.has(cause) ? 'REVOKED' : 'SESSION_EXPIRED';
    this.#host.over(code, session, cause);
    return code;
  }

  /**
   * The Proxy of the channel lets this session in no more. That ends no session: Security is asked, and what it does not confirm is the
   * trouble of this Proxy (SPEC.md, section 8). Others are tried, and it again, with growing pauses. Gives the code with which Security
   * says that the session is over, undefined where it does not.
   */
  #refusedWith(code: SignedCode, session: StoredSession): Promise<SignedCode | undefined> {
    const calledOff = new Promise<SignedCode | undefined>((resolve) => {
      this.#calledOff = resolve;
    });
    return Promise.race([this.#askedAfter(code, session), calledOff]);
  }

  async #askedAfter(code: SignedCode, session: StoredSession): Promise<SignedCode | undefined> {
    const attempts = Symbol('asking');
    this.#attempts = attempts;
    this.#host.reached('connecting');
    if (this.#cause === 'all') await this.#pause(Math.random() * ASK_SPREAD_MS);
    if (this.#attempts !== attempts) return undefined;
    const cause = await within(WORD_MS, this.#causeOf(session));
    if (this.#attempts !== attempts) return undefined;
    if (cause) return this.#over(session, cause);
    this.#attempts = undefined;
    this.#refusals.met(code, this.#cause);
    this.#seekAgain();
    return undefined;
  }

  /** Who was refused keeps some distance; where every Proxy has refused, who asks is told so meanwhile. */
  async #holdBack(attempts: symbol): Promise<void> {
    const refusals = this.#refusals;
    if (!refusals.shuts(this.#host.places().length)) return this.#pause(refusals.delayMs());
    const error = asDeviceError(refusals.error);
    this.#goOffline(attempts);
    this.#reject([...this.#waiters], error);
    this.#host.failed(error);
    await this.#pause(refusals.delayMs(), SHUT_RETRY_MIN_MS);
    if (this.#attempts === attempts) refusals.reopen();
  }

  #goOffline(attempts: symbol): void {
    if (this.#attempts !== attempts) return;
    this.#offline = true;
    this.#host.reached('offline');
  }

  /** Waits for the next try, but not for longer than until somebody asks, and `leastMs` from then. */
  #pause(ms: number, leastMs: number = RETRY_MIN_MS): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      // However often somebody asks, tries keep some distance.
      this.#wake = () => setTimeout(done, leastMs);
    });
  }

  async #openAnywhere(attempts: symbol, session: StoredSession): Promise<GatewayChannel> {
    let failure: unknown = new DeviceError('OFFLINE', 'no address of the gateway is known');
    // Anybody on the way can say so: it counts when no Proxy opens a channel.
    let unknown: unknown;
    const note = (place: ProxyPlace, error: unknown): void => {
      this.#host.tried(place, undefined);
      failure = error;
      if ((error as DeviceError).code === 'SESSION_UNKNOWN') unknown = error;
    };
    const connect = ({ origin }: ProxyPlace): Promise<GatewaySocket> =>
      GatewaySocket.connect(this.#host.webSocket, origin);
    const turns = { staggerMs: STAGGER_MS, late: (socket: GatewaySocket) => socket.close() };
    for await (const outcome of inTurn(this.#host.places(), connect, turns)) {
      if (this.#attempts !== attempts) break;
      const { item: place } = outcome;
      if ('error' in outcome) {
        note(place, outcome.error);
        continue;
      }
      this.#host.tried(place, outcome.tookMs);
      try {
        return await this.#openOn(outcome.result, place, session);
      } catch (error) {
        note(place, error);
      }
    }
    throw unknown ?? failure;
  }

  async #openOn(
    socket: GatewaySocket,
    place: ProxyPlace,
    session: StoredSession,
    replays = 0,
  ): Promise<GatewayChannel> {
    const { crypto, context, numbers } = this.#host;
    const chanNo = await numbers.take(session);
    try {
      // Nothing of it is heard before it is in use.
      const channel: GatewayChannel = await GatewayChannel.open({
        crypto,
        socket,
        session,
        chanNo,
        place,
        context: context(),
        listener: {
          closed: (code) => this.#closed(channel, code, session),
          draining: () => this.#draining(channel),
          notice: (notice) => this.#notice(channel, notice),
          silent: (silent) => this.#heard(channel, silent),
          doubted: () => this.#host.doubted(channel),
          pinged: (ms) => this.#host.pinged(place, ms),
        },
      });
      return channel;
    } catch (error) {
      socket.close();
      if ((error as DeviceError).code !== 'CHAN_REPLAY' || replays === 2) throw error;
      await numbers.skip(session, chanNo, replays === 0);
      return this.#openOn(await GatewaySocket.connect(this.#host.webSocket, place.origin), place, session, replays + 1);
    }
  }

  #use(channel: GatewayChannel): void {
    this.#attempts = undefined;
    this.#offline = false;
    this.#suspended = false;
    this.#silent = false;
    this.#cause = undefined;
    this.#channel = channel;
    this.#openedAt = performance.now();
    this.#host.opened(channel);
    this.#sayReach();
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { resolve } of waiters) resolve(channel);
    channel.begin();
  }

  #reject(waiters: readonly Waiter[], error: unknown): void {
    for (const waiter of waiters) if (this.#waiters.delete(waiter)) waiter.reject(error);
  }

  #draining(channel: GatewayChannel): void {
    if (channel !== this.#channel) return;
    // What is open finishes there, what is new goes to another Proxy.
    this.#channel = undefined;
    this.#host.tried(channel.place, undefined);
    channel.retire();
    this.#seekAgain();
  }

  #closed(
    channel: GatewayChannel,
    code: SignedCode | undefined,
    session: StoredSession,
  ): Promise<SignedCode | undefined> | undefined {
    if (channel !== this.#channel) return undefined;
    this.#channel = undefined;
    if (performance.now() - this.#openedAt > STEADY_MS) this.#refusals.forget();
    this.#host.tried(channel.place, undefined);
    if (isRefusal(code)) return this.#refusedWith(code, session);
    if (code === 'CALM_DOWN') this.#host.calmedDown();
    this.#seekAgain();
    return undefined;
  }

  #seekAgain(): void {
    if (this.#waiters.size > 0 || this.#host.isKept()) return this.seek();
    this.#host.reached(undefined);
  }

  #notice(channel: GatewayChannel, notice: CborFields): void {
    if (channel !== this.#channel) return;
    const code = notice.optionalText('code');
    if (code === 'LEASE_LOST') this.#suspended = true;
    if (code === 'RESUMED') this.#suspended = false;
    const cause = notice.optionalText('cause', 64);
    if (isEndCause(cause)) this.#cause = cause;
    this.#sayReach();
    this.#host.notice(channel, notice);
  }

  #heard(channel: GatewayChannel, silent: boolean): void {
    if (channel !== this.#channel) return;
    this.#silent = silent;
    this.#sayReach();
  }

  #sayReach(): void {
    this.#host.reached(this.#silent ? 'silent' : this.#suspended ? 'suspended' : 'connected');
  }
}

/** What comes of it in time, else undefined. */
function within<T>(ms: number, result: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

function asDeviceError(cause: unknown): DeviceError {
  if (cause instanceof DeviceError) return cause;
  return new DeviceError('OFFLINE', 'no gateway could be reached', { cause });
}
