import {
  type AppContext,
  type CryptoProvider,
  type EnrolmentLink,
  type Field,
  type LinkPin,
  parseLink,
  type ReleaseDocument,
  type RequestHead,
  withoutFinalDot,
} from '@sallyport/channel';
import { DeviceError } from './errors.ts';
import type { GatewayChannel, Resource } from './gateway/channel.ts';
import type { WebSocketFactory } from './gateway/socket.ts';
import { KeptRecord } from './kept/kept-record.ts';
import type { DeviceRecord, DeviceStorage, DeviceUser, StoredProvider, StoredUpdates } from './kept/record.ts';
import { type DeviceEvents, type DeviceState, Listeners, type SeenSite } from './session/events.ts';
import { HeldSession } from './session/held-session.ts';
import { type Attest, answerChallenge } from './sign-in/evidence.ts';
import { beginProviderSignIn, type PendingSignIn } from './sign-in/provider.ts';
import {
  type AskOneTimeCode,
  beginRecord,
  type Credentials,
  enrolDevice,
  type SignInSurroundings,
  signIn,
} from './sign-in/sign-in.ts';
import { originsOf } from './sites/places.ts';
import { readPublishedSiteMap, readSiteMapOf } from './sites/site-map.ts';
import { fetchOver } from './streams/fetch.ts';
import { callHttp, checkHead, type RequestBody, type TrailedResponse, withoutOffer } from './streams/http-call.ts';
import { Repeats } from './streams/repeats.ts';
import { connectTcp, type TcpConnection } from './streams/tcp.ts';
import { DeviceWebSocket, type WebSocketOptions } from './streams/web-socket.ts';
import {
  type AppUpdate,
  type AppUpdateParts,
  askInstallLink,
  type CatalogueApp,
  checkForUpdate,
  type DownloadOptions,
  downloadUpdate,
  readCatalogue,
  reportUpdate,
} from './updates/app-updates.ts';

/** What a device is made of. */
export interface DeviceOptions {
  /** Where keys and session are kept; of this device alone, though several processes may use it. */
  readonly storage: DeviceStorage;
  /** Cryptography of this platform. */
  readonly crypto: CryptoProvider;
  /** Opens WebSockets to Proxies. */
  readonly webSocket: WebSocketFactory;
  /** The app context of this moment. */
  readonly context: () => AppContext;
  /**
   * Lets the platform vouch for this app: asked for when a policy demands fresh evidence. Absent: the device can prove nothing, and such
   * policies stay closed.
   */
  readonly attest?: Attest | undefined;
  /** How long a request waits for a gateway before it fails as OFFLINE, ms; 30 s unless said otherwise. */
  readonly patienceMs?: number;
  /** The one Proxy or site that this device goes by, for networks where nothing else can be reached; before that of its enrolment link. */
  readonly pin?: LinkPin;
  /**
   * The app's name of the network that the device is in, for instance of the wireless network: what was measured in one says nothing of
   * another. Without it all networks count as one. It is kept on the device and goes nowhere.
   */
  readonly networkId?: () => string;
}

/** How long a request waits for a channel before it gives up, ms. */
const CONNECT_PATIENCE_MS = 30_000;

/**
 * One installation of an app: enrol once, sign in, then `fetch`, `webSocket` and `connect` reach the intranet. The device
 * reconnects by itself after network loss, sleep or the death of a Proxy, without a new login.
 */
export class Device {
  /** Like the global `fetch`, through the gateway. Idempotent requests are repeated after a lost connection. */
  readonly fetch: typeof fetch = fetchOver((head, body, signal) => this.request(head, body, signal));
  readonly #options: DeviceOptions;
  readonly #listeners = new Listeners();
  readonly #kept: KeptRecord;
  readonly #session: HeldSession;
  readonly #repeats = new Repeats();
  /** Documents of releases that were read, by their hashes: a catalogue is looked at again and again. */
  readonly #releases = new Map<string, ReleaseDocument>();
  /** The last look for updates: over, well or not, once this is. */
  #looks: Promise<unknown> = Promise.resolve();
  #state: DeviceState;
  #resources: readonly Resource[] = [];
  /** Proof of who the user is that the enrolment has left; for one sign-in. */
  #resume: Uint8Array | undefined;

  private constructor(options: DeviceOptions, kept: KeptRecord) {
    const { crypto, webSocket, context, attest, pin, networkId, patienceMs = CONNECT_PATIENCE_MS } = options;
    this.#options = options;
    this.#kept = kept;
    this.#session = new HeldSession({
      crypto,
      webSocket,
      context,
      prove: (record, challenge) => answerChallenge({ crypto, attest }, record, challenge),
      patienceMs,
      kept,
      pin,
      networkId,
      stands: (state) => this.#setState(state),
      resources: (resources) => this.#setResources(resources),
      emit: (name, event) => this.#listeners.emit(name, event),
    });
    this.#state = this.#session.restState;
  }

  /** Opens what the storage holds. A live session goes on with the first request or `resume`. */
  static async open(options: DeviceOptions): Promise<Device> {
    return new Device(options, await KeptRecord.load(options.storage));
  }

  /** Where the device stands now; the event `state` says when that changes. */
  get state(): DeviceState {
    return this.#state;
  }

  /** Resources the user may reach, as of the last word of the Proxy. */
  get resources(): readonly Resource[] {
    return this.#resources;
  }

  /** Sites of the realm, and how each is reached at this moment; the event `site` says when that changes. */
  get sites(): readonly SeenSite[] {
    return this.#session.sites;
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
    return this.#listeners.on(name, listener);
  }

  /**
   * Enrols this installation with an enrolment link. Repeating it after a lost answer is safe.
   * @throws DeviceError ALREADY_ENROLLED, CODE_INVALID, CREDENTIALS_INVALID, CONFIRMATION_NEEDED, LOCKED, OFFLINE and others
   */
  async enroll(linkText: string, credentials: Credentials): Promise<void> {
    const link = this.#pinned(parseLink(linkText));
    const { crypto, storage } = this.#options;
    if (this.#record?.iid !== undefined) throw new DeviceError('ALREADY_ENROLLED', 'this device is enrolled already');
    const map = await readSiteMapOf(crypto, link);
    const kept = this.#record?.realm === link.realm ? this.#record : undefined;
    const record = await beginRecord(crypto, { link, map, kept, holdsKeyObjects: storage.holdsKeyObjects });
    await this.#kept.store(record);
    const { resume } = await enrolDevice(this.#place, record, link.code, credentials);
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
      return linkText === undefined ? [] : (await readSiteMapOf(crypto, this.#pinned(parseLink(linkText)))).providers;
    const known = record.providers ?? [];
    const map = await readPublishedSiteMap(crypto, {
      ...record,
      origins: originsOf(record, this.#options.pin ?? record.pin),
    }).catch(() => undefined);
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
    const wanted = this.#session.wanted;
    this.#session.drop();
    this.#setState('connecting');
    try {
      const resume = this.#resume;
      await signIn(this.#place, this.#record, { credentials, resume, oneTimeCode: options.oneTimeCode });
      this.#resume = undefined;
    } catch (error) {
      this.#setState(this.#session.restState);
      // The session of before still stands.
      if (wanted) this.#session.seek();
      throw error;
    }
    this.#session.begin(0);
    await this.resume();
  }

  /** Connects with the session that is stored. @throws DeviceError SIGNED_OUT when there is none, OFFLINE; it goes on trying then */
  async resume(): Promise<void> {
    await this.#session.usableChannel();
  }

  /**
   * Ends the session here and at Security; the installation stays enrolled. When Security cannot be reached the end is remembered, and
   * told at the next contact.
   */
  async logout(): Promise<void> {
    this.#session.drop();
    if (this.#record) await this.#session.end();
  }

  /** Forgets everything: keys, session and enrolment; and tries to end the session at Security before. */
  async reset(): Promise<void> {
    this.#session.drop();
    await this.logout().catch(() => undefined);
    this.#session.stopEnds();
    await this.#kept.clear();
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
    return this.#repeats.sending({ method: head.method, body, signal }, async () =>
      callHttp(await this.#session.usableChannel({ kind: 'http', authority: head.authority }), head, body, {
        signal,
        trailers,
      }),
    );
  }

  /** Opens a WebSocket through the gateway: with subprotocols like a browser's, or with options. */
  webSocket(url: string, options: string | readonly string[] | WebSocketOptions = {}): DeviceWebSocket {
    const listed = typeof options === 'string' || isList(options);
    const source = (authority: string): Promise<GatewayChannel> =>
      this.#session.usableChannel({ kind: 'http', authority });
    return new DeviceWebSocket(source, url, listed ? { protocols: options } : options);
  }

  /** Opens a TCP connection to a resource of that kind. */
  async connect(authority: string): Promise<TcpConnection> {
    const wanted = { kind: 'tcp', authority: withoutFinalDot(authority) } as const;
    return connectTcp(await this.#session.usableChannel(wanted), wanted.authority);
  }

  /**
   * Looks for an update of this app: the release that is rolled out to this device, verified by what was pinned when it enrolled; undefined
   * when there is none. Says `update-available` and `update-required`, too.
   * @throws DeviceError UPDATE_…: what came is not what was signed, or is too old; nothing of it is used
   */
  async checkForUpdate(): Promise<AppUpdate | undefined> {
    const update = await this.#inTurn(checkForUpdate);
    if (!update) return undefined;
    this.#listeners.emit('update-available', { update });
    return update;
  }

  /**
   * The apps that the user of this device may have, each with its newest releases, verified like updates; `download` gets their packages.
   * @throws DeviceError UPDATE_…: what came is not what was signed, or is too old; nothing of it is used
   */
  catalogue(): Promise<readonly CatalogueApp[]> {
    return this.#inTurn(readCatalogue);
  }

  /**
   * A link by which the user installs one of their apps on a phone that has nothing yet, or by an installer that reads no channel, as that of
   * iOS; good once, and for an hour.
   */
  installLink(app: string): Promise<string> {
    return askInstallLink(this.#updates(), app);
  }

  /**
   * The package of an update, piece by piece and in order; each piece is verified before it is handed over. After a break it goes on
   * behind the pieces that were kept, with `from`.
   * @throws DeviceError UPDATE_CHANGED, UPDATE_SLOW, and those of a request
   */
  download(update: ReleaseDocument, options: DownloadOptions = {}): AsyncIterable<Uint8Array> {
    return downloadUpdate(this.#updates(), update, options);
  }

  /** Tells the gateway that an update was installed, or could not be: rollouts halt when too many could not. */
  async installed(update: AppUpdate, outcome: 'installed' | 'failed' = 'installed'): Promise<void> {
    await reportUpdate(this.#updates(), update, outcome);
  }

  /** Looks for updates one after the other: each goes on from what the one before has verified. */
  #inTurn<T>(look: (parts: AppUpdateParts) => Promise<T>): Promise<T> {
    const next = this.#looks.then(() => look(this.#updates()));
    this.#looks = next.catch(() => undefined);
    return next;
  }

  #updates(): AppUpdateParts {
    const { crypto, context } = this.#options;
    let known = this.#record?.updates;
    const store = (updates: StoredUpdates): Promise<void> =>
      this.#kept.change((stored) => {
        // Of two processes that look at the same time one begins again: neither takes back what the other has seen.
        if (JSON.stringify(stored.updates) !== JSON.stringify(known))
          throw new DeviceError('BUSY', 'another process of this device looks for updates: try again');
        known = updates;
        return { ...stored, updates };
      });
    const required = (until: number): void => this.#listeners.emit('update-required', { until });
    const [fetch, documents] = [this.fetch, this.#releases];
    return { crypto, context, stored: () => known, store, fetch, nowMs: Date.now, documents, required };
  }

  /** Tells the Proxy the app context of this moment. */
  contextChanged(): void {
    this.#session.announce(this.#options.context());
  }

  /** To call when the network changed or the device woke up: finds out at once whether the channel still stands. */
  networkChanged(): void {
    this.#session.networkChanged();
  }

  /** Closes the channel; the session stays and can be resumed. */
  close(): void {
    this.#session.stopEnds();
    this.#session.drop(new DeviceError('CLOSED', 'the device was closed'));
    this.#setState('closed');
  }

  get #place(): SignInSurroundings {
    const { crypto, webSocket, context, pin } = this.#options;
    return {
      crypto,
      webSocket,
      context,
      pin,
      store: (record) => this.#kept.store(withoutEnd(record)),
      routes: (session, routes) => this.#session.signedIn(session, routes),
      updateRequired: () => this.#listeners.emit('update-required', { until: 0 }),
    };
  }

  /** A link whose origins are the one that this device is fixed to, by the app or by the link itself. */
  #pinned(link: EnrolmentLink): EnrolmentLink {
    return { ...link, origins: originsOf({ origins: link.origins }, this.#options.pin ?? link.pin) };
  }

  get #record(): DeviceRecord | undefined {
    return this.#kept.known;
  }

  #setResources(resources: readonly Resource[]): void {
    this.#resources = resources;
    this.#listeners.emit('resources', { resources });
  }

  #setState(state: DeviceState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listeners.emit('state', { state });
  }
}

function isList(value: readonly string[] | WebSocketOptions): value is readonly string[] {
  return Array.isArray(value);
}

/** A session that has begun leaves nothing to say of the one before. */
function withoutEnd({ ended, ...rest }: DeviceRecord): DeviceRecord {
  return rest.session || !ended ? rest : { ...rest, ended };
}
