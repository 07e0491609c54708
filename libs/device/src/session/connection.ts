import type { AppContext, CborFields, CryptoProvider, EndCause, SignedCode, Standing } from '@sallyport/channel';
import { isEndCause } from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import { GatewayChannel } from '../gateway/channel.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import type { DeviceRecord, StoredSession } from '../kept/record.ts';

/**
 * How a device that has a session reaches the gateway: `silent` means that a channel stands, somebody waits, and nothing was heard
 * for seconds; `suspended` that the Proxy waits for its Security server; `offline` that no gateway can be reached.
 */
export type Reach = 'connecting' | 'connected' | 'silent' | 'suspended' | 'offline';

/** What a connection needs of its device. */
export interface ConnectionHost {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** How long somebody waits for a gateway before it counts as offline, ms. */
  readonly patienceMs: number;
  record(): DeviceRecord | undefined;
  /** Changes the session that is stored, durably, and gives it. @throws DeviceError SIGNED_OUT when it is another one. */
  changeSession(session: StoredSession, change: (stored: StoredSession) => StoredSession): Promise<StoredSession>;
  reached(reach: Reach): void;
  opened(channel: GatewayChannel): void;
  notice(notice: CborFields): void;
  /** Asks Security how a session stands; undefined when there is no answer that it vouches for. */
  standing(session: StoredSession): Promise<Standing | undefined>;
  /** Security or a Proxy of this session says that it is over, and maybe why. */
  over(code: SignedCode, session: StoredSession, cause?: EndCause): void;
}

/** Numbers of channels that are reserved with one write. */
const CHAN_NO_BLOCK = 64;
const CHAN_NO_JUMP = 2 ** 20;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** The longest wait between two tries while nobody can be reached. */
const OFFLINE_RETRY_MAX_MS = 20_000;
/** Hints are unauthenticated: none of them keeps a device away for longer. */
const MAX_RETRY_AFTER_MS = 60_000;
/** Authenticated codes after which the session is over. */
const SESSION_OVER: ReadonlySet<string> = new Set([
  'REVOKED',
  'SESSION_EXPIRED',
  'APP_UPDATE_REQUIRED',
  'CONTEXT_DENIED',
  'REENROLL_REQUIRED',
]);

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

/** Where a Proxy is, and the audience of its site. */
interface Place {
  readonly origin: string;
  readonly audience: string;
}

interface Waiter {
  resolve(channel: GatewayChannel): void;
  reject(error: unknown): void;
}

/**
 * Keeps a channel to some Proxy for as long as somebody wants one, whatever happens to the network: it tries again with
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
  /** Why the Proxy is about to end the channel. */
  #cause: EndCause | undefined;
  #failure: unknown;
  #nextChanNo = 1;
  #preferred = 0;

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

  /** A session begins, or goes on in this process: numbers up to the reserved one may have been used. */
  begin(reservedChanNo: number): void {
    this.#nextChanNo = reservedChanNo + 1;
  }

  /** A channel that takes new streams. @throws DeviceError CLOSED, OFFLINE, or why no Proxy opens one */
  usable(): Promise<GatewayChannel> {
    if (this.#channel?.usable) return Promise.resolve(this.#channel);
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
    this.#channel = undefined;
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
    this.#wake?.();
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.close();
    this.#reject([...this.#waiters], reason);
  }

  async #keepTrying(attempts: symbol): Promise<void> {
    this.#failure = undefined;
    this.#host.reached('connecting');
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
          if (cause) return this.#host.over(REVOKED.has(cause) ? 'REVOKED' : 'SESSION_EXPIRED', session, cause);
          // Anybody on the way can send a hint: the session stays, and nobody waits for what may not come.
          this.#goOffline(attempts);
        }
        this.#failure = asDeviceError(error);
        if (this.#offline) this.#reject(asked, this.#failure);
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

  #goOffline(attempts: symbol): void {
    if (this.#attempts !== attempts) return;
    this.#offline = true;
    this.#host.reached('offline');
  }

  /** Waits for the next try, but not for longer than until somebody asks. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      // However often somebody asks, tries keep some distance.
      this.#wake = () => setTimeout(done, RETRY_MIN_MS);
    });
  }

  async #openAnywhere(attempts: symbol, session: StoredSession): Promise<GatewayChannel> {
    const places = this.#places();
    let failure: unknown = new DeviceError('OFFLINE', 'no address of the gateway is known');
    // Anybody on the way can say so: it counts when no Proxy opens a channel.
    let unknown: unknown;
    for (let i = 0; i < places.length && this.#attempts === attempts; i++) {
      const index = (this.#preferred + i) % places.length;
      try {
        const channel = await this.#openAt(places[index]!, session);
        this.#preferred = index;
        return channel;
      } catch (error) {
        failure = error;
        if ((error as DeviceError).code === 'SESSION_UNKNOWN') unknown = error;
      }
    }
    throw unknown ?? failure;
  }

  #places(): Place[] {
    const { sites = [], realm } = this.#host.record()!;
    return sites.flatMap(({ name, origins }) => origins.map((origin) => ({ origin, audience: `${realm}/${name}` })));
  }

  async #openAt(place: Place, session: StoredSession, replays = 0): Promise<GatewayChannel> {
    const { crypto, webSocket, context } = this.#host;
    const chanNo = await this.#takeChanNo(session);
    const socket = await GatewaySocket.connect(webSocket, place.origin);
    try {
      // Nothing of it is heard before it is in use.
      const channel: GatewayChannel = await GatewayChannel.open({
        crypto,
        socket,
        session,
        chanNo,
        audience: place.audience,
        context: context(),
        listener: {
          closed: (code) => this.#closed(channel, code, session),
          draining: () => this.#draining(channel),
          notice: (notice) => this.#notice(channel, notice),
          silent: (silent) => this.#heard(channel, silent),
        },
      });
      return channel;
    } catch (error) {
      socket.close();
      if ((error as DeviceError).code !== 'CHAN_REPLAY' || replays === 2) throw error;
      await this.#skipChanNos(session, replays);
      return this.#openAt(place, session, replays + 1);
    }
  }

  /** Takes the next channel number; whole blocks are reserved durably before the first of them is used. */
  async #takeChanNo(session: StoredSession): Promise<number> {
    const reserved = this.#host.record()?.session?.reservedChanNo ?? 0;
    if (this.#nextChanNo > reserved) await this.#reserve(session, this.#nextChanNo);
    const number = this.#nextChanNo;
    this.#nextChanNo += 1;
    return number;
  }

  /** Another process uses this session with the same storage: behind its block. Another copy of the storage does: far ahead. */
  #skipChanNos(session: StoredSession, replays: number): Promise<void> {
    return this.#reserve(session, replays === 0 ? this.#nextChanNo : this.#nextChanNo + CHAN_NO_JUMP);
  }

  /** Reserves the next block of numbers, from `least` on, behind what anybody has reserved with this storage. */
  async #reserve(session: StoredSession, least: number): Promise<void> {
    let first = least;
    await this.#host.changeSession(session, (stored) => {
      first = Math.max(least, stored.reservedChanNo + 1);
      return { ...stored, reservedChanNo: first + CHAN_NO_BLOCK };
    });
    this.#nextChanNo = first;
  }

  #use(channel: GatewayChannel): void {
    this.#attempts = undefined;
    this.#offline = false;
    this.#suspended = false;
    this.#silent = false;
    this.#cause = undefined;
    this.#channel = channel;
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
    this.#preferred += 1;
    channel.retire();
    this.seek();
  }

  #closed(channel: GatewayChannel, code: SignedCode | undefined, session: StoredSession | undefined): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    if (session && code && SESSION_OVER.has(code)) return this.#host.over(code, session, this.#cause);
    this.#preferred += 1;
    this.seek();
  }

  #notice(channel: GatewayChannel, notice: CborFields): void {
    if (channel !== this.#channel) return;
    const code = notice.optionalText('code');
    if (code === 'LEASE_LOST') this.#suspended = true;
    if (code === 'RESUMED') this.#suspended = false;
    const cause = notice.optionalText('cause', 64);
    if (isEndCause(cause)) this.#cause = cause;
    this.#sayReach();
    this.#host.notice(notice);
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

function asDeviceError(cause: unknown): DeviceError {
  if (cause instanceof DeviceError) return cause;
  return new DeviceError('OFFLINE', 'no gateway could be reached', { cause });
}
