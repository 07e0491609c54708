import {
  type AppContext,
  type CborFields,
  type CryptoProvider,
  type Field,
  parseLink,
  type RequestHead,
  type SignedCode,
} from '@sallyport/channel';
import { GatewayChannel, type Resource, readResources } from './channel.ts';
import { DeviceError, type DeviceErrorCode, remoteError } from './errors.ts';
import { fetchOver, mayRetry } from './fetch.ts';
import { type CallResponse, callHttp, checkHead, type RequestBody } from './http-call.ts';
import { beginProviderSignIn, type PendingSignIn } from './provider.ts';
import type { DeviceRecord, DeviceStorage, StoredProvider } from './record.ts';
import {
  type AskOneTimeCode,
  beginRecord,
  type Credentials,
  enrolDevice,
  type SignInPlace,
  signIn,
} from './sign-in.ts';
import { readPublishedSiteMap } from './site-map.ts';
import { GatewaySocket, type WebSocketFactory } from './socket.ts';
import { connectTcp, type TcpConnection } from './tcp.ts';
import { DeviceWebSocket } from './web-socket.ts';

/**
 * Where a device stands. `connected` is said only while a channel stands and its Proxy may serve; `suspended` means the
 * channel stands but the Proxy waits for its Security server.
 */
export type DeviceState = 'new' | 'signed-out' | 'connecting' | 'connected' | 'suspended' | 'closed';

/** What a device tells its app. */
export interface DeviceEvents {
  state: { readonly state: DeviceState };
  resources: { readonly resources: readonly Resource[] };
  /** Said at every connect: when the session will end, in ms from now. */
  expiry: { readonly expiresInMs: number };
  /** The session is over; `code` says why. Sign in again. */
  ended: { readonly code: DeviceErrorCode };
  notice: { readonly text: string };
}

/** What a device is made of. */
export interface DeviceOptions {
  readonly storage: DeviceStorage;
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  /** The app context of this moment. */
  readonly context: () => AppContext;
}

/** Numbers of channels that are reserved with one write. */
const CHAN_NO_BLOCK = 64;
const CHAN_NO_JUMP = 2 ** 20;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
const MAX_TRIES = 4;
/** How long a request waits for a channel before it gives up, ms. */
const CONNECT_PATIENCE_MS = 30_000;
/** Authenticated codes after which the session is over. */
const SESSION_OVER: ReadonlySet<string> = new Set([
  'REVOKED',
  'SESSION_EXPIRED',
  'APP_UPDATE_REQUIRED',
  'CONTEXT_DENIED',
  'REENROLL_REQUIRED',
]);

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
  #channel: GatewayChannel | undefined;
  #connecting: Promise<GatewayChannel> | undefined;
  #resources: readonly Resource[] = [];
  #nextChanNo = 1;
  #preferred = 0;
  #wanted = false;
  /** Proof of who the user is that the enrolment has left; for one sign-in. */
  #resume: Uint8Array | undefined;

  private constructor(options: DeviceOptions, record: DeviceRecord | undefined) {
    this.#options = options;
    this.#record = record;
    this.#state = record?.iid === undefined ? 'new' : 'signed-out';
    if (record?.session) this.#nextChanNo = record.session.reservedChanNo + 1;
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

  /** Listens to an event; gives the function that stops listening. */
  on<Name extends keyof DeviceEvents>(name: Name, listener: (event: DeviceEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (event: never) => void);
    return () => listeners.delete(listener as (event: never) => void);
  }

  /**
   * Enrols this installation with an enrolment link. Repeating it after a lost answer is safe.
   * @throws DeviceError ALREADY_ENROLLED, CODE_INVALID, CREDENTIALS_INVALID, LOCKED, OFFLINE and others
   */
  async enroll(linkText: string, credentials: Credentials): Promise<void> {
    const link = parseLink(linkText);
    const { crypto, storage } = this.#options;
    if (this.#record?.iid !== undefined) throw new DeviceError('ALREADY_ENROLLED', 'this device is enrolled already');
    const kept =
      this.#record?.realm === link.realm
        ? { ...this.#record, kid: link.kid, rs: link.rs, root: link.root, origins: link.origins }
        : undefined;
    const record = kept ?? (await beginRecord(crypto, link, storage.holdsKeyObjects));
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
      return linkText === undefined ? [] : (await readPublishedSiteMap(crypto, parseLink(linkText))).providers;
    const origins = [...new Set([...(record.sites?.flatMap((site) => site.origins) ?? []), ...record.origins])];
    const known = record.providers ?? [];
    const map = await readPublishedSiteMap(crypto, { ...record, origins }).catch(() => undefined);
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
    this.#dropChannel();
    this.#setState('connecting');
    try {
      const resume = this.#resume;
      this.#record = await signIn(this.#place, this.#record, { credentials, resume, oneTimeCode: options.oneTimeCode });
      this.#resume = undefined;
    } catch (error) {
      this.#setState(this.#record.iid === undefined ? 'new' : 'signed-out');
      throw error;
    }
    this.#nextChanNo = 1;
    await this.resume();
  }

  /** Connects with the session that is stored. @throws DeviceError SIGNED_OUT when there is none */
  async resume(): Promise<void> {
    this.#wanted = true;
    await this.#usableChannel();
  }

  /** Forgets the session on this device; the installation stays enrolled. */
  async logout(): Promise<void> {
    this.#dropChannel();
    await this.#forgetSession();
    this.#setState('signed-out');
  }

  /** Forgets everything: keys, session and enrolment. */
  async reset(): Promise<void> {
    this.#dropChannel();
    await this.#options.storage.clear();
    this.#record = undefined;
    this.#setState('new');
  }

  /** One HTTP request on the level of the protocol. Redirects are not followed. */
  async request(head: RequestHead, body?: RequestBody, signal?: AbortSignal): Promise<CallResponse> {
    checkHead(head);
    for (let attempt = 1; ; attempt++) {
      try {
        return await callHttp(await this.#usableChannel(), head, body, signal);
      } catch (error) {
        const over = attempt >= MAX_TRIES || signal?.aborted || !mayRetry(error, head.method, body);
        if (over) throw error;
        await pause(RETRY_MIN_MS * attempt * (0.5 + Math.random()));
      }
    }
  }

  /** Opens a WebSocket through the gateway. */
  webSocket(url: string, protocols: readonly string[] = []): DeviceWebSocket {
    return new DeviceWebSocket(() => this.#usableChannel(), url, protocols);
  }

  /** Opens a TCP connection to a resource of that kind. */
  async connect(authority: string): Promise<TcpConnection> {
    return connectTcp(await this.#usableChannel(), authority);
  }

  /** Tells the Proxy the app context of this moment. */
  contextChanged(): void {
    this.#channel?.announce(this.#options.context());
  }

  /** To call when the network changed or the device woke up: finds out at once whether the channel still stands. */
  networkChanged(): void {
    this.#channel?.probe(2_000);
  }

  /** Closes the channel; the session stays and can be resumed. */
  close(): void {
    this.#dropChannel();
    this.#setState('closed');
  }

  get #place(): SignInPlace {
    const { crypto, webSocket, context } = this.#options;
    return { crypto, webSocket, context, store: (record) => this.#store(record) };
  }

  async #store(record: DeviceRecord): Promise<void> {
    await this.#options.storage.store(record);
    this.#record = record;
  }

  async #usableChannel(): Promise<GatewayChannel> {
    if (this.#channel?.usable) return this.#channel;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Connects with patience: backs off while nobody can be reached, ends at once when the session is over. */
  async #connect(): Promise<GatewayChannel> {
    if (!this.#record?.session) throw new DeviceError('SIGNED_OUT', 'nobody is signed in');
    this.#wanted = true;
    this.#setState('connecting');
    const start = performance.now();
    for (let delay = RETRY_MIN_MS; ; delay = Math.min(2 * delay, RETRY_MAX_MS)) {
      try {
        return await this.#connectOnce();
      } catch (error) {
        const { code, retryAfterMs = 0 } = error as DeviceError;
        if (code === 'SESSION_UNKNOWN') throw await this.#ended(code);
        const late = performance.now() - start > CONNECT_PATIENCE_MS;
        if (!this.#wanted || late || code === 'SIGNED_OUT') {
          this.#setState('signed-out');
          throw error;
        }
        await pause(Math.max(retryAfterMs, delay * (0.5 + Math.random())));
      }
    }
  }

  async #connectOnce(): Promise<GatewayChannel> {
    const places = this.#places();
    let failure: unknown = new DeviceError('OFFLINE', 'no address of the gateway is known');
    for (let i = 0; i < places.length; i++) {
      const index = (this.#preferred + i) % places.length;
      try {
        const channel = await this.#openAt(places[index]!);
        this.#preferred = index;
        return channel;
      } catch (error) {
        failure = error;
        if ((error as DeviceError).code === 'SESSION_UNKNOWN') throw error;
      }
    }
    throw failure;
  }

  #places(): { origin: string; audience: string }[] {
    const { sites = [], realm } = this.#record!;
    return sites.flatMap(({ name, origins }) => origins.map((origin) => ({ origin, audience: `${realm}/${name}` })));
  }

  async #openAt(place: { origin: string; audience: string }, jumped = false): Promise<GatewayChannel> {
    const { crypto, webSocket, context } = this.#options;
    const session = this.#record?.session;
    if (!session) throw new DeviceError('SIGNED_OUT', 'nobody is signed in');
    const chanNo = await this.#takeChanNo();
    const socket = await GatewaySocket.connect(webSocket, place.origin);
    try {
      const holder: { channel?: GatewayChannel } = {};
      const listener = {
        closed: (code: SignedCode | undefined) => this.#channelClosed(holder.channel, code),
        draining: () => this.#channelDraining(holder.channel),
        notice: (notice: CborFields) => this.#notice(notice),
      };
      const channel = await GatewayChannel.open({
        crypto,
        socket,
        session,
        chanNo,
        audience: place.audience,
        context: context(),
        listener,
      });
      holder.channel = channel;
      this.#useChannel(channel);
      return channel;
    } catch (error) {
      socket.close();
      if ((error as DeviceError).code !== 'CHAN_REPLAY' || jumped) throw error;
      // Another copy of this device's storage has used these numbers: jump ahead, once.
      this.#nextChanNo += CHAN_NO_JUMP;
      return this.#openAt(place, true);
    }
  }

  /** Takes the next channel number; whole blocks are reserved durably before the first of them is used. */
  async #takeChanNo(): Promise<number> {
    const record = this.#record!;
    const number = this.#nextChanNo;
    this.#nextChanNo += 1;
    if (number > record.session!.reservedChanNo) {
      const session = { ...record.session!, reservedChanNo: number + CHAN_NO_BLOCK };
      await this.#store({ ...record, session });
    }
    return number;
  }

  #useChannel(channel: GatewayChannel): void {
    if (!this.#wanted) {
      // The app closed the device while this channel was being opened.
      channel.close();
      throw new DeviceError('CLOSED', 'the device was closed');
    }
    this.#channel = channel;
    this.#setResources(channel.resources);
    this.#emit('expiry', { expiresInMs: channel.expiresInMs });
    this.#setState('connected');
  }

  #channelDraining(channel: GatewayChannel | undefined): void {
    if (!channel || channel !== this.#channel) return;
    // What is open finishes there, what is new goes to another Proxy.
    this.#channel = undefined;
    this.#preferred += 1;
    channel.retire();
    this.#reconnect();
  }

  #channelClosed(channel: GatewayChannel | undefined, code: SignedCode | undefined): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    if (code && SESSION_OVER.has(code)) return void this.#ended(code);
    this.#preferred += 1;
    this.#reconnect();
  }

  #reconnect(): void {
    if (!this.#wanted || this.#state === 'closed') return;
    this.#setState('connecting');
    this.#usableChannel().catch(() => undefined);
  }

  #notice(notice: CborFields): void {
    if (notice.has('resources')) this.#setResources(readResources(notice));
    const code = notice.optionalText('code');
    if (code === 'LEASE_LOST') this.#setState('suspended');
    if (code === 'RESUMED') this.#setState('connected');
    const text = notice.optionalText('text', 1_024);
    if (text !== undefined) this.#emit('notice', { text });
  }

  /** The session is over. Only an authenticated code lets the device forget it; a hint leaves the storage alone. */
  async #ended(code: DeviceErrorCode): Promise<DeviceError> {
    this.#wanted = false;
    if (SESSION_OVER.has(code)) await this.#forgetSession().catch(() => undefined);
    this.#setState('signed-out');
    this.#emit('ended', { code });
    return remoteError(code, { mayHaveRun: false });
  }

  async #forgetSession(): Promise<void> {
    if (!this.#record) return;
    const { session: _, ...rest } = this.#record;
    await this.#store(rest);
  }

  #dropChannel(): void {
    this.#wanted = false;
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.close();
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A field by name, undefined when the response has none. */
export function findField(fields: readonly Field[], name: string): string | undefined {
  return fields.find(([other]) => other === name)?.[1];
}
