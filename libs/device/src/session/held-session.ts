import {
  type AppContext,
  type CborFields,
  type CryptoProvider,
  type EndCause,
  type Evidence,
  type LinkPin,
  MAX_SITE_MAP_BYTES,
  type SignedCode,
} from '@sallyport/channel';
import { DeviceError, messageOf, remoteError } from '../errors.ts';
import { type GatewayChannel, type Resource, readResources } from '../gateway/channel.ts';
import type { ProxyPlace } from '../gateway/place.ts';
import type { WebSocketFactory } from '../gateway/socket.ts';
import type { KeptRecord } from '../kept/kept-record.ts';
import { type DeviceRecord, type StoredSession, sameSession } from '../kept/record.ts';
import { LiveMap } from '../sites/live-map.ts';
import { Measures } from '../sites/measures.ts';
import { proxyPlacesOf } from '../sites/places.ts';
import { ChannelNumbers } from './channel-numbers.ts';
import type { DeviceEvents, DeviceState, SeenSite } from './events.ts';
import { HeldRoutes, type WantedResource } from './held-routes.ts';
import { endingSession, SessionEnds } from './session-end.ts';
import { askStanding } from './session-standing.ts';
import { SiteChannels, type SiteChannelsHost } from './site-channels.ts';

/** How long a sign-out waits for Security to confirm it, ms. */
const END_PATIENCE_MS = 5_000;

/** What a session needs of its device, and what it tells it. */
export interface SessionHost {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** Answers a challenge of Security with what the platform vouches for. */
  prove(record: DeviceRecord, challenge: Uint8Array): Promise<Evidence>;
  /** How long somebody waits for a gateway before it counts as offline, ms. */
  readonly patienceMs: number;
  readonly kept: KeptRecord;
  /** What the app fixes this device to, whatever its enrolment link says. */
  readonly pin?: LinkPin | undefined;
  /** The app's name of the network that the device is in. */
  readonly networkId?: (() => string) | undefined;
  stands(state: DeviceState): void;
  resources(resources: readonly Resource[]): void;
  emit<Name extends 'expiry' | 'ended' | 'notice' | 'site' | 'ignored'>(name: Name, event: DeviceEvents[Name]): void;
}

/**
 * The session of a device, whoever began it: keeps channels for it while somebody wants them, hears its end, goes on with the one that
 * another process began in the same storage, and ends at Security those that were signed out of.
 */
export class HeldSession {
  readonly #host: SessionHost;
  readonly #channels: SiteChannels;
  readonly #numbers: ChannelNumbers;
  readonly #routes: HeldRoutes;
  readonly #measures: Measures;
  readonly #map: LiveMap;
  readonly #ends: SessionEnds;
  /** What each site serves, as its Proxy said last; where nobody says where resources are. */
  readonly #served = new Map<string, readonly Resource[]>();
  /** Channels whose challenge is being answered. */
  readonly #proving = new Set<GatewayChannel>();
  /** The session that is being forgotten: each of its channels may say that it is over. */
  #ending: StoredSession | undefined;

  constructor(host: SessionHost) {
    this.#host = host;
    const { crypto, webSocket, kept } = host;
    const change = (by: (stored: DeviceRecord) => DeviceRecord): Promise<void> => kept.change(by);
    this.#numbers = new ChannelNumbers({
      record: () => kept.known,
      changeSession: (...of) => kept.changeSession(...of),
    });
    this.#routes = new HeldRoutes(crypto);
    this.#measures = new Measures({
      network: () => host.networkId?.() ?? '',
      known: kept.known?.networks ?? [],
      // What was measured is worth little: storage that takes it not is heard of by what matters.
      keep: (networks) => void change((stored) => ({ ...stored, networks })).catch(() => undefined),
    });
    this.#map = new LiveMap({
      crypto,
      pin: host.pin,
      record: () => kept.known,
      change,
      changed: () => this.#mapChanged(),
      refused: (error) => this.#ignored('site map', error),
    });
    this.#channels = new SiteChannels(this.#channelsHost);
    if (this.#record?.session) this.begin(this.#record.session.reservedChanNo);
    this.#ends = new SessionEnds({
      crypto,
      webSocket,
      pin: host.pin,
      record: () => kept.known,
      change,
      replaced: () => this.#channels.standing.length > 0,
    });
    if (this.#record?.ending) void this.#ends.tell();
  }

  /** True while a channel stands or is sought. */
  get wanted(): boolean {
    return this.#channels.wanted;
  }

  /** What is said while nothing is sought. */
  get restState(): 'new' | 'signed-out' | 'offline' {
    if (this.#record?.iid === undefined) return 'new';
    return this.#record.session ? 'offline' : 'signed-out';
  }

  /** Sites of the realm, in the order of its site map; of a pinned device those that it may use. */
  get sites(): SeenSite[] {
    const places = this.#places();
    const mapped = this.#record?.sites ?? [];
    return mapped
      .filter(({ name }) => places.some(({ site }) => site === name))
      .map(({ name, title }) => this.#viewOf(name, title));
  }

  /**
   * A channel that takes new streams, where what is wanted is served.
   * @throws DeviceError SIGNED_OUT, CLOSED, OFFLINE, SITE_UNAVAILABLE, or why no Proxy opens one
   */
  async usableChannel(wanted?: WantedResource): Promise<GatewayChannel> {
    // Another process may have signed in, with the same storage.
    if (!this.#record?.session && this.#record?.iid !== undefined) await this.#adopt();
    if (!this.#record?.session) throw this.#signedOut();
    return this.#channels.usable(wanted);
  }

  /** A session begins: numbers of channels up to the reserved one may have been used. */
  begin(reservedChanNo: number): void {
    this.#ending = undefined;
    this.#served.clear();
    this.#routes.begin(this.#record?.session);
    this.#numbers.begin(reservedChanNo);
  }

  /** Takes where resources are from the answer to a sign-in. */
  signedIn(session: StoredSession, routes: CborFields): void {
    this.#takeRoutes(session, () => this.#routes.read(session, routes));
  }

  /** Tells every Proxy the app context of this moment. */
  announce(context: AppContext): void {
    for (const channel of this.#channels.standing) channel.announce(context);
    this.#channels.hurry();
  }

  /** Looks for a channel, if there is a session. */
  seek(): void {
    if (this.#record?.session) this.#channels.seek();
  }

  /** Closes the channels, or calls off the search for some; the session stays. */
  drop(reason?: DeviceError): void {
    this.#channels.drop(reason);
  }

  /** The network changed or the device woke up: finds out at once what still stands. */
  networkChanged(): void {
    this.#channels.networkChanged();
  }

  /** Ends the session: here at once, at Security within some seconds, or else at the next contact. */
  async end(): Promise<void> {
    await this.#host.kept.change((stored) => endingSession(this.#host.crypto, stored));
    this.#host.stands(this.restState);
    await Promise.race([this.#ends.tell(), new Promise((resolve) => setTimeout(resolve, END_PATIENCE_MS))]);
  }

  /** Tells Security no more of sessions that are to end. */
  stopEnds(): void {
    this.#ends.stop();
  }

  get #record(): DeviceRecord | undefined {
    return this.#host.kept.known;
  }

  get #pin(): LinkPin | undefined {
    return this.#host.pin ?? this.#record?.pin;
  }

  #places(): ProxyPlace[] {
    const places = this.#record ? proxyPlacesOf(this.#record, this.#pin) : [];
    // A pinned Proxy belongs to the site whose audience it took: it is asked for no other one any more.
    const [standing] = this.#pin?.origin === undefined ? [] : this.#channels.standing;
    return standing ? places.filter(({ site }) => site === standing.place.site) : places;
  }

  /** True where the realm has several sites, as far as this device knows. */
  get #isRouted(): boolean {
    return this.#routes.known || (this.#record?.sites?.length ?? 0) > 1;
  }

  #mapChanged(): void {
    if ((this.#record?.sites?.length ?? 0) < 2 && this.#routes.known) {
      this.#routes.forget();
      this.#sayResources();
    }
    this.#channels.placesChanged();
  }

  get #channelsHost(): SiteChannelsHost {
    const { crypto, webSocket, context, patienceMs, kept, pin } = this.#host;
    return {
      crypto,
      webSocket,
      context,
      patienceMs,
      numbers: this.#numbers,
      routes: this.#routes,
      measures: this.#measures,
      record: () => kept.known,
      places: () => this.#places(),
      isRouted: () => this.#isRouted,
      reached: (reach) => this.#host.stands(reach),
      siteReached: (name) => this.#host.emit('site', { name, reach: this.#channels.reachOf(name) ?? 'unused' }),
      lost: () => this.#map.lost(),
      opened: (channel) => this.#opened(channel),
      notice: (channel, notice) => this.#notice(channel, notice),
      standing: (session) => askStanding({ crypto, webSocket, pin }, this.#record!, session),
      over: (code, session, cause) => void this.#over(code, session, cause),
    };
  }

  #opened(channel: GatewayChannel): void {
    const { routes, siteMapSeq, resources, expiresInMs } = channel;
    const session = this.#record?.session;
    if (routes && session) this.#takeRoutes(session, () => this.#routes.open(session, routes));
    this.#serves(channel, resources);
    this.#host.emit('expiry', { expiresInMs });
    if (siteMapSeq !== undefined) this.#map.heardOf(siteMapSeq);
    if (this.#record?.ending) void this.#ends.tell();
  }

  #serves({ place }: GatewayChannel, resources: readonly Resource[]): void {
    this.#served.set(place.site, resources);
    this.#sayResources();
  }

  /** Answers a challenge on the channel that it came on. */
  async #prove(channel: GatewayChannel, challenge: Uint8Array): Promise<void> {
    const { context, prove } = this.#host;
    // A platform answers slowly, and its maker counts: who asks on and on is not heard.
    if (!this.#record || this.#proving.has(channel)) return;
    this.#proving.add(channel);
    const evidence = await prove(this.#record, challenge).catch(() => undefined);
    this.#proving.delete(channel);
    if (evidence) channel.prove(context(), evidence);
  }

  /** What Security says of all sites. Where it says nothing, or not all: what the Proxies of the channels that stand say, each of its own. */
  #sayResources(): void {
    const said = this.#routes.resources;
    if (this.#routes.known && !this.#routes.more) return this.#host.resources(said);
    // Where there are several sites, no Proxy says what there is.
    if (this.#isRouted && !this.#routes.known) return;
    const sites = new Set(this.#channels.standing.map(({ place }) => place.site));
    const all = [...[...sites].flatMap((site) => this.#served.get(site) ?? []), ...said];
    this.#host.resources([...new Map(all.map((one) => [one.name, one])).values()]);
  }

  #takeRoutes(session: StoredSession, take: () => boolean): void {
    try {
      if (!take()) return;
      this.#channels.routesChanged();
      const routes = this.#routes.markToKeep();
      // A Proxy that has kept older ones cannot send the next process back.
      if (routes)
        void this.#host.kept.changeSession(session, (stored) => ({ ...stored, routes })).catch(() => undefined);
    } catch (error) {
      this.#ignored('routes', error);
    }
  }

  #takeMap(notice: CborFields): void {
    try {
      void this.#map.take(notice.text('site_map', MAX_SITE_MAP_BYTES));
    } catch (error) {
      this.#ignored('site map', error);
    }
  }

  #ignored(what: DeviceEvents['ignored']['what'], error: unknown): void {
    this.#host.emit('ignored', { what, why: (error as Error).message });
  }

  #viewOf(name: string, title: string | undefined): SeenSite {
    const [nearest] = this.#measures.ranked(this.#places().filter(({ site }) => site === name));
    const channel = this.#channels.channelAt(name);
    const origin = channel?.place.origin;
    const { connectMs, pingMs } = this.#measures.of(origin ?? nearest?.origin ?? '') ?? {};
    return {
      name,
      title: title ?? name,
      reach: this.#channels.reachOf(name) ?? 'unused',
      ...(origin === undefined ? {} : { origin }),
      ...(connectMs === undefined ? {} : { connectMs }),
      ...(pingMs === undefined ? {} : { pingMs }),
      resources: this.#routes.servedAt(name),
    };
  }

  #signedOut(): DeviceError {
    const end = this.#record?.ended as DeviceEvents['ended'] | undefined;
    const why = end ? `: ${messageOf(end.code, end.cause)}` : '';
    return new DeviceError('SIGNED_OUT', `nobody is signed in${why}`);
  }

  /** Takes over what is stored. */
  async #adopt(): Promise<void> {
    await this.#host.kept.change((stored) => stored).catch(() => undefined);
    const session = this.#record?.session;
    if (session) this.begin(session.reservedChanNo);
  }

  #notice(channel: GatewayChannel, notice: CborFields): void {
    const session = this.#record?.session;
    if (notice.has('routes') && session)
      this.#takeRoutes(session, () => this.#routes.open(session, notice.bytes('routes')));
    if (notice.has('resources')) this.#serves(channel, readResources(notice));
    else if (notice.has('routes')) this.#sayResources();
    if (notice.has('site_map')) this.#takeMap(notice);
    if (notice.has('attest')) void this.#prove(channel, notice.map('attest').bytes('challenge'));
    const text = notice.optionalText('text', 1_024);
    if (text !== undefined) this.#host.emit('notice', { text });
  }

  /**
   * A session is over, in the word of Security: the device forgets it. Another process may have begun a new one: the device goes on
   * with that.
   */
  async #over(code: SignedCode, session: StoredSession, cause: EndCause): Promise<void> {
    if (sameSession(this.#ending, session)) return;
    this.#ending = session;
    const error = remoteError(code, { mayHaveRun: false, cause });
    const ended = { code, cause };
    this.#host.stands('connecting');
    await this.#host.kept
      .change((stored) => {
        if (!sameSession(stored.session, session)) return stored;
        return { ...withoutSession(stored), ended };
      })
      .catch(() => undefined);
    const now = this.#record?.session;
    if (now && !sameSession(now, session)) {
      this.begin(now.reservedChanNo);
      return this.#channels.retry();
    }
    this.drop(error);
    this.#host.stands(this.#record?.iid === undefined ? 'new' : 'signed-out');
    this.#host.emit('ended', ended);
  }
}

function withoutSession({ session: _, ...rest }: DeviceRecord): DeviceRecord {
  return rest;
}
