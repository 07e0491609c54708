import {
  type AppContext,
  type CborFields,
  type CryptoProvider,
  type EndCause,
  type Field,
  parseLink,
  type RequestHead,
  type SignedCode,
  withoutFinalDot,
} from '@sallyport/channel';
import { type GatewayChannel, type Resource, readResources } from './channel.ts';
import { Connection, type ConnectionHost, type Reach, sameSession } from './connection.ts';
import { DeviceError, type DeviceErrorCode, messageOf, remoteError } from './errors.ts';
import { fetchOver, mayRetry } from './fetch.ts';
import { callHttp, checkHead, type RequestBody, type TrailedResponse, withoutOffer } from './http-call.ts';
import { beginProviderSignIn, type PendingSignIn } from './provider.ts';
import type { DeviceRecord, DeviceStorage, DeviceUser, StoredProvider, StoredSession } from './record.ts';
import { RetryBudget } from './retry-budget.ts';
import { endingSession, SessionEnds } from './session-end.ts';
import { askStanding } from './session-standing.ts';
import {
  type AskOneTimeCode,
  beginRecord,
  type Credentials,
  enrolDevice,
  originsOf,
  type SignInPlace,
  signIn,
} from './sign-in.ts';
import { readPublishedSiteMap, readSiteMapOf } from './site-map.ts';
import type { WebSocketFactory } from './socket.ts';
import { connectTcp, type TcpConnection } from './tcp.ts';
import { DeviceWebSocket, type WebSocketOptions } from './web-socket.ts';

/**
 * Where a device stands. `connected` is said only while a channel stands, its Proxy may serve, and it has not been silent for some
 * seconds while somebody waits. `offline` means: there is a session, and no gateway can be reached, or nobody has asked for one yet;
 * it ends by itself. `signed-out` is said only when no session goes on.
 */
export type DeviceState = 'new' | 'signed-out' | Reach | 'closed';

/** What a device tells its app. */
export interface DeviceEvents {
  state: { readonly state: DeviceState };
  resources: { readonly resources: readonly Resource[] };
  /** Said at every connect: when the session will end, in ms from now. */
  expiry: { readonly expiresInMs: number };
  /** The session is over; `code` says how, `cause` why, if the gateway said so: `messageOf` has words for both. Sign in again. */
  ended: { readonly code: DeviceErrorCode; readonly cause?: EndCause };
  notice: { readonly text: string };
}

/** What a device is made of. */
export interface DeviceOptions {
  readonly storage: DeviceStorage;
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  /** The app context of this moment. */
  readonly context: () => AppContext;
  /** How long a request waits for a gateway before it fails as OFFLINE, ms; 30 s unless said otherwise. */
  readonly patienceMs?: number;
}

const RETRY_MIN_MS = 100;
/** The same when the gateway is overloaded. */
const CALM_MS = 500;
const MAX_TRIES = 4;
/** How long a request waits for a channel before it gives up, ms. */
const CONNECT_PATIENCE_MS = 30_000;
/** How long a sign-out waits for Security to confirm it, ms. */
const END_PATIENCE_MS = 5_000;

/**
 * One installation of an app: enrol once, sign in, then `fetch`, `webSocket` and `connect` reach the intranet. The device
 * reconnects by itself after network loss, sleep or the death of a Proxy, without a new login.
 */
export class Device {
  /** Like the global `fetch`, through the gateway. Idempotent requests are repeated after a lost connection. */
  readonly fetch: typeof fetch = fetchOver((head, body, signal) => this.request(head, body, signal));
  readonly #options: DeviceOptions;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();
  #record: DeviceRecord | undefined;
  #state: DeviceState = 'new';
  readonly #connection: Connection;
  readonly #ends: SessionEnds;
  readonly #retries = new RetryBudget();
  #resources: readonly Resource[] = [];
  /** Changes of the record, one after the other. */
  #changing: Promise<unknown> = Promise.resolve();
  /** Proof of who the user is that the enrolment has left; for one sign-in. */
  #resume: Uint8Array | undefined;

  private constructor(options: DeviceOptions, record: DeviceRecord | undefined) {
    this.#options = options;
    this.#record = record;
    this.#state = this.#restState;
    this.#connection = new Connection(this.#connectionHost);
    if (record?.session) this.#connection.begin(record.session.reservedChanNo);
    this.#ends = new SessionEnds({
      crypto: options.crypto,
      webSocket: options.webSocket,
      record: () => this.#record,
      change: (change) => this.#change(change),
      replaced: () => this.#connection.channel !== undefined,
    });
    if (record?.ending) void this.#ends.tell();
  }

  /** Opens what the storage holds. A live session goes on with the first request or `resume`. */
  static async open(options: DeviceOptions): Promise<Device> {
    return new Device(options, await options.storage.load());
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** Resources the user may reach, as of the last word of the Proxy. */
  get resources(): readonly Resource[] {
    return this.#resources;
  }

  /** True when there is a session to resume. */
  get hasSession(): boolean {
    return this.#record?.session !== undefined;
  }

  /** Whom this installation belongs to, as Security said last; undefined before the enrolment. */
  get user(): DeviceUser | undefined {
    return this.#record?.iid === undefined ? undefined : this.#record.user;
  }

  /** Why the last session was over, if the gateway said so; until the next sign-in. */
  get lastEnd(): DeviceEvents['ended'] | undefined {
    return this.#record?.ended as DeviceEvents['ended'] | undefined;
  }

  /** Listens to an event; gives the function that stops listening. */
  on<Name extends keyof DeviceEvents>(name: Name, listener: (event: DeviceEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (event: never) => void);
    return () => listeners.delete(listener as (event: never) => void);
  }

  /**
   * Enrols this installation with an enrolment link. Repeating it after a lost answer is safe.
   * @throws DeviceError ALREADY_ENROLLED, CODE_INVALID, CREDENTIALS_INVALID, CONFIRMATION_NEEDED, LOCKED, OFFLINE and others
   */
  async enroll(linkText: string, credentials: Credentials): Promise<void> {
    const link = parseLink(linkText);
    const { crypto, storage } = this.#options;
    if (this.#record?.iid !== undefined) throw new DeviceError('ALREADY_ENROLLED', 'this device is enrolled already');
    const map = await readSiteMapOf(crypto, link);
    const kept = this.#record?.realm === link.realm ? this.#record : undefined;
    const record = await beginRecord(crypto, { link, map, kept, holdsKeyObjects: storage.holdsKeyObjects });
    await this.#store(record);
    const { record: enrolled, resume } = await enrolDevice(this.#place, record, link.code, credentials);
    this.#record = enrolled;
    this.#resume = resume;
    this.#setState('signed-out');
  }

  /**
   * OpenID providers at which users of this realm sign in now, from its signed site map; before the enrolment they are
   * asked for with the link, offline an enrolled device remembers them. @throws DeviceError OFFLINE, SITE_MAP_INVALID
   */
  async providers(linkText?: string): Promise<readonly StoredProvider[]> {
    const { crypto } = this.#options;
    const record = this.#record;
    if (record?.iid === undefined)
      return linkText === undefined ? [] : (await readSiteMapOf(crypto, parseLink(linkText))).providers;
    const known = record.providers ?? [];
    const map = await readPublishedSiteMap(crypto, { ...record, origins: originsOf(record) }).catch(() => undefined);
    return map && map.seq >= (record.siteMapSeq ?? 0) ? map.providers : known;
  }

  /** Begins a sign-in at a provider: open the URL in the system's browser, and keep `pending` until it comes back. */
  beginProviderSignIn(provider: StoredProvider, redirect: string): { url: string; pending: PendingSignIn } {
    return beginProviderSignIn(this.#options.crypto, provider, redirect);
  }

  /**
   * Signs in and connects. Right after `enroll` no credentials are needed. `oneTimeCode` asks the user when their account
   * has a second factor. @throws DeviceError NOT_ENROLLED, CREDENTIALS_INVALID, STEP_UP, LOCKED, REVOKED, OFFLINE and others
   */
  async login(credentials?: Credentials, options: { oneTimeCode?: AskOneTimeCode } = {}): Promise<void> {
    if (!this.#record) throw new DeviceError('NOT_ENROLLED', 'this device is not enrolled: use an enrolment link');
    const wanted = this.#connection.wanted;
    this.#connection.drop();
    this.#setState('connecting');
    try {
      const resume = this.#resume;
      await signIn(this.#place, this.#record, { credentials, resume, oneTimeCode: options.oneTimeCode });
      this.#resume = undefined;
    } catch (error) {
      this.#setState(this.#restState);
      // The session of before still stands.
      if (wanted && this.#record?.session) this.#connection.seek();
      throw error;
    }
    this.#connection.begin(0);
    await this.resume();
  }

  /** Connects with the session that is stored. @throws DeviceError SIGNED_OUT when there is none, OFFLINE; it goes on trying then */
  async resume(): Promise<void> {
    await this.#usableChannel();
  }

  /**
   * Ends the session here and at Security; the installation stays enrolled. When Security cannot be reached the end is remembered, and
   * told at the next contact.
   */
  async logout(): Promise<void> {
    this.#connection.drop();
    if (!this.#record) return;
    await this.#change((stored) => endingSession(this.#options.crypto, stored));
    this.#setState(this.#restState);
    await Promise.race([this.#ends.tell(), pause(END_PATIENCE_MS)]);
  }

  /** Forgets everything: keys, session and enrolment; and tries to end the session at Security before. */
  async reset(): Promise<void> {
    this.#connection.drop();
    await this.logout().catch(() => undefined);
    this.#ends.stop();
    await this.#options.storage.clear();
    this.#record = undefined;
    this.#setState('new');
  }

  /** One HTTP request on the level of the protocol; `trailers` are asked for behind the content. Redirects are not followed. */
  async request(
    asked: RequestHead,
    body?: RequestBody,
    signal?: AbortSignal,
    trailers?: () => readonly Field[],
  ): Promise<TrailedResponse> {
    const head = withoutOffer({ ...asked, authority: withoutFinalDot(asked.authority) });
    checkHead(head);
    for (let attempt = 1; ; attempt++) {
      try {
        return await callHttp(await this.#usableChannel(), head, body, { signal, trailers });
      } catch (error) {
        const over = attempt >= MAX_TRIES || signal?.aborted || !mayRetry(error, head.method, body);
        if (over) throw error;
        const calmly = (error as DeviceError).code === 'CALM_DOWN';
        if (calmly && !this.#retries.take()) throw error;
        await pause((calmly ? CALM_MS : RETRY_MIN_MS) * attempt * (0.5 + Math.random()));
      }
    }
  }

  /** Opens a WebSocket through the gateway: with subprotocols like a browser's, or with options. */
  webSocket(url: string, options: string | readonly string[] | WebSocketOptions = {}): DeviceWebSocket {
    const listed = typeof options === 'string' || isList(options);
    return new DeviceWebSocket(() => this.#usableChannel(), url, listed ? { protocols: options } : options);
  }

  /** Opens a TCP connection to a resource of that kind. */
  async connect(authority: string): Promise<TcpConnection> {
    return connectTcp(await this.#usableChannel(), withoutFinalDot(authority));
  }

  /** Tells the Proxy the app context of this moment. */
  contextChanged(): void {
    this.#connection.channel?.announce(this.#options.context());
  }

  /** To call when the network changed or the device woke up: finds out at once whether the channel still stands. */
  networkChanged(): void {
    this.#connection.networkChanged();
  }

  /** Closes the channel; the session stays and can be resumed. */
  close(): void {
    this.#ends.stop();
    this.#connection.drop(new DeviceError('CLOSED', 'the device was closed'));
    this.#setState('closed');
  }

  get #place(): SignInPlace {
    const { crypto, webSocket, context } = this.#options;
    return { crypto, webSocket, context, store: (record) => this.#store(withoutEnd(record)) };
  }

  get #connectionHost(): ConnectionHost {
    const { crypto, webSocket, context, patienceMs = CONNECT_PATIENCE_MS } = this.#options;
    return {
      crypto,
      webSocket,
      context,
      patienceMs,
      record: () => this.#record,
      changeSession: (session, change) => this.#changeSession(session, change),
      reached: (reach) => this.#setState(reach),
      opened: (channel) => {
        this.#setResources(channel.resources);
        this.#emit('expiry', { expiresInMs: channel.expiresInMs });
        if (this.#record?.ending) void this.#ends.tell();
      },
      notice: (notice) => this.#notice(notice),
      standing: (session) => askStanding(this.#options, this.#record!, session),
      over: (code, session, cause) => void this.#over(code, session, cause),
    };
  }

  /** What is said while nothing is sought. */
  get #restState(): DeviceState {
    if (this.#record?.iid === undefined) return 'new';
    return this.#record.session ? 'offline' : 'signed-out';
  }

  async #store(record: DeviceRecord): Promise<void> {
    await this.#inTurn(async () => {
      await this.#options.storage.store(record);
      this.#record = record;
    });
  }

  /**
   * Changes what is stored, durably. Another process may have changed it meanwhile, for instance by signing in: its change is
   * kept, and known here from now on.
   */
  #change(change: (stored: DeviceRecord) => DeviceRecord): Promise<void> {
    return this.#inTurn(async () => {
      const { storage } = this.#options;
      const stored = await storage.load();
      if (!stored) throw new DeviceError('NOT_ENROLLED', 'this device is not enrolled any more');
      const changed = change(stored);
      if (changed !== stored) await storage.store(changed);
      this.#record = changed;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }

  async #changeSession(
    session: StoredSession,
    change: (stored: StoredSession) => StoredSession,
  ): Promise<StoredSession> {
    await this.#change((stored) =>
      sameSession(stored.session, session) ? { ...stored, session: change(stored.session!) } : stored,
    );
    const now = this.#record?.session;
    if (!now || !sameSession(now, session)) throw new DeviceError('SIGNED_OUT', 'another session has begun');
    return now;
  }

  async #usableChannel(): Promise<GatewayChannel> {
    // Another process may have signed in, with the same storage.
    if (!this.#record?.session && this.#record?.iid !== undefined) await this.#adopt();
    if (!this.#record?.session) throw this.#signedOut();
    return this.#connection.usable();
  }

  #signedOut(): DeviceError {
    const why = this.lastEnd ? `: ${messageOf(this.lastEnd.code, this.lastEnd.cause)}` : '';
    return new DeviceError('SIGNED_OUT', `nobody is signed in${why}`);
  }

  /** Takes over what is stored. */
  async #adopt(): Promise<void> {
    await this.#change((stored) => stored).catch(() => undefined);
    const session = this.#record?.session;
    if (session) this.#connection.begin(session.reservedChanNo);
  }

  #notice(notice: CborFields): void {
    if (notice.has('resources')) this.#setResources(readResources(notice));
    const text = notice.optionalText('text', 1_024);
    if (text !== undefined) this.#emit('notice', { text });
  }

  /**
   * A session is over, in the word of Security or of the Proxy of its channel: the device forgets it. Another process may have
   * begun a new one: the device goes on with that.
   */
  async #over(code: SignedCode, session: StoredSession, cause: EndCause | undefined): Promise<void> {
    const error = remoteError(code, { mayHaveRun: false, cause });
    const ended = { code, ...(cause ? { cause } : {}) };
    this.#setState('connecting');
    await this.#change((stored) => {
      if (!sameSession(stored.session, session)) return stored;
      return { ...withoutSession(stored), ended };
    }).catch(() => undefined);
    const now = this.#record?.session;
    if (now && !sameSession(now, session)) {
      this.#connection.begin(now.reservedChanNo);
      return this.#connection.retry();
    }
    this.#connection.drop(error);
    this.#setState(this.#record?.iid === undefined ? 'new' : 'signed-out');
    this.#emit('ended', ended);
  }

  #setResources(resources: readonly Resource[]): void {
    this.#resources = resources;
    this.#emit('resources', { resources });
  }

  #setState(state: DeviceState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#emit('state', { state });
  }

  #emit<Name extends keyof DeviceEvents>(name: Name, event: DeviceEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) (listener as (event: DeviceEvents[Name]) => void)(event);
  }
}

function isList(value: readonly string[] | WebSocketOptions): value is readonly string[] {
  return Array.isArray(value);
}

function withoutSession({ session: _, ...rest }: DeviceRecord): DeviceRecord {
  return rest;
}

/** A session that has begun leaves nothing to say of the one before. */
function withoutEnd({ ended, ...rest }: DeviceRecord): DeviceRecord {
  return rest.session || !ended ? rest : { ...rest, ended };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A field by name, undefined when the response has none. */
export function findField(fields: readonly Field[], name: string): string | undefined {
  return fields.find(([other]) => other === name)?.[1];
}
