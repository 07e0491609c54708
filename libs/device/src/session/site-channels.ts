import { DeviceError, remoteError } from '../errors.ts';
import type { GatewayChannel } from '../gateway/channel.ts';
import type { ProxyPlace } from '../gateway/place.ts';
import { GatewaySocket } from '../gateway/socket.ts';
import type { Measures } from '../sites/measures.ts';
import { Survey } from '../sites/survey.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import type { Reach } from './events.ts';
import type { HeldRoutes, WantedResource } from './held-routes.ts';
import { SiteSearch, siteUnavailable } from './site-search.ts';

/** What channels to sites need of their device. */
export interface SiteChannelsHost
  extends Omit<
    ConnectionHost,
    'places' | 'isKept' | 'reached' | 'tried' | 'pinged' | 'failed' | 'calmedDown' | 'doubted'
  > {
  readonly routes: HeldRoutes;
  readonly measures: Measures;
  /** Everywhere that a channel may be opened. */
  places(): readonly ProxyPlace[];
  /** True where the realm has several sites: what is where is Security's word then, and no Proxy's. */
  isRouted(): boolean;
  reached(reach: Reach): void;
  /** How a site stands has changed. */
  siteReached(site: string): void;
  /** Nobody answered where Proxies should be: perhaps they are elsewhere by now. */
  lost(): void;
}

/** A channel that nobody used for so long is closed, unless it is the last one, ms; and how often that is looked at. */
const IDLE_MS = 60_000;
const IDLE_CHECK_MS = 10_000;
/** Another site that may serve is tried beside one that gives no channel for so long, ms. */
const STAGGER_MS = 600;
/** A site that gave no channel in this time is called unavailable, when others answer: as many pings, or at least so many ms. */
const PATIENCE_MS = 1_800;
const PATIENCE_PINGS = 8;

/** When a channel is full and nothing on it ends for so long, another one is opened beside it, ms. */
const FULL_MS = 1_000;
/** What Security says of sites stands in WELCOME, or comes right behind it. A Proxy that does not pass it on in this time gets nothing, ms. */
const TOLD_MS = 5_000;
/** A Proxy that takes connections and has much to do answers on a channel within this, ms. */
const GRACE_MS = 300;

const BEST_FIRST: readonly Reach[] = ['connected', 'suspended', 'silent', 'connecting', 'offline'];

/** A connection, and what it said last. */
interface Line {
  readonly connection: Connection;
  /** Beside the one to a site that was full: it is there for what has no room on that, and for nothing else. */
  readonly isSecond: boolean;
  reach: Reach | undefined;
  /** When somebody asked for it last. */
  askedAt: number;
}

/**
 * The channels of one session: one at each site that is needed, and a second one beside it while that is full (SPEC.md, section 5). Where
 * Security has said at which sites a resource is, a channel is opened there when somebody first needs it; everything else goes by
 * whichever channel stands. One per device.
 */
export class SiteChannels {
  readonly #host: SiteChannelsHost;
  /** Finds a channel at any site: what has no site of its own goes there, and it is there that a device is first. */
  readonly #any: Line;
  readonly #bySite = new Map<string, Line>();
  readonly #seconds = new Map<string, Line>();
  /** True once a Proxy has ended a channel for too much of something: there is no second one any more, it might be the one too many. */
  #isCalmed = false;
  readonly #searches = new Set<SiteSearch>();
  /** Who waits for Security's word of sites. */
  readonly #untold = new Set<() => void>();
  readonly #survey: Survey;
  /** Whose connection is being given up that led nowhere any more. */
  #stranded: ProxyPlace | undefined;
  #sweeping: ReturnType<typeof setInterval> | undefined;

  constructor(host: SiteChannelsHost) {
    this.#host = host;
    this.#any = this.#newLine(undefined);
    const { webSocket, measures } = host;
    this.#survey = new Survey({ webSocket, measures, places: () => (this.#isMany ? host.places() : []) });
  }

  /** Channels that stand. */
  get standing(): GatewayChannel[] {
    return this.#lines.flatMap(({ connection }) => connection.channel ?? []);
  }

  /** True while a channel stands or is sought. */
  get wanted(): boolean {
    return this.#lines.some(({ connection }) => connection.wanted);
  }

  /**
   * A channel for what is wanted, or for anything. Where the realm has several sites nothing is sent to a Proxy that Security does not
   * name for it: not even the name.
   * @throws DeviceError SITE_UNAVAILABLE, RESOURCE_UNKNOWN, CLOSED, OFFLINE, UNAVAILABLE, or why no Proxy opens one
   */
  async usable(wanted?: WantedResource): Promise<GatewayChannel> {
    if (wanted === undefined) return this.#askAny();
    return this.#withRoom(await this.#leadingTo(wanted));
  }

  async #leadingTo(wanted: WantedResource): Promise<GatewayChannel> {
    if (!this.#host.isRouted()) return this.#askAny();
    const ranks = this.#host.routes.sitesOf(wanted) ?? (await this.#told(wanted));
    return ranks ? this.#at(ranks) : this.#askAny();
  }

  /** A channel with room for one more stream: the one at hand, or a second one to its site. Of full ones the one at hand, to wait there. */
  async #withRoom(channel: GatewayChannel): Promise<GatewayChannel> {
    if (channel.claim()) return channel;
    const beside = this.standing.filter((other) => other !== channel && other.place.site === channel.place.site);
    const free = beside.find((other) => other.usable && other.claim());
    if (free) return free;
    if (this.#isCalmed || (await channel.claimWithin(FULL_MS))) return channel;
    const second = await this.#second(channel).catch(() => undefined);
    return second?.claim() ? second : channel;
  }

  #second(full: GatewayChannel): Promise<GatewayChannel> {
    const { site } = full.place;
    const known = this.#seconds.get(site);
    if (known && known.connection.channel !== full) return ask(known);
    // It has outlived the first one, which is looked for anew.
    if (known) return ask(this.#bySite.get(site) ?? this.#line(site));
    const line = this.#newLine(site, true);
    this.#seconds.set(site, line);
    return ask(line);
  }

  /**
   * Where something is that was not known before, in the word that came with a channel of this moment; undefined where any site may have it.
   * @throws DeviceError RESOURCE_UNKNOWN for what is at no site, UNAVAILABLE where no Proxy passes that word on
   */
  async #told(wanted: WantedResource): Promise<ReturnType<HeldRoutes['sitesOf']>> {
    const { routes } = this.#host;
    const knew = routes.known;
    const channel = await this.#askAny();
    // What its Proxy has sent before the answer was read by then: rights that changed just now are known.
    if (knew) await channel.ask().catch(() => undefined);
    else if (!routes.known) await this.#whenTold();
    if (!this.#host.isRouted()) return undefined;
    if (!routes.known)
      throw new DeviceError('UNAVAILABLE', 'no Proxy passes on at which sites resources are', { mayHaveRun: false });
    const ranks = routes.sitesOf(wanted);
    if (ranks || routes.more) return ranks;
    throw remoteError('RESOURCE_UNKNOWN', { mayHaveRun: false });
  }

  /** Waits until Security has said where resources are, or the realm has one site after all; not for long. */
  #whenTold(): Promise<void> {
    return new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#untold.delete(done);
        resolve();
      };
      const timer = setTimeout(done, TOLD_MS);
      this.#untold.add(done);
    });
  }

  /** Looks for a channel if there is none. */
  seek(): void {
    if (!this.#serving()) this.#any.connection.seek();
  }

  /** Begins anew with the session that is stored now. */
  retry(): void {
    const others = this.#lines.filter((line) => line !== this.#any);
    for (const { connection } of others) if (connection.wanted) connection.retry();
    this.#any.connection.retry();
  }

  /** Closes all channels, or calls off the search for some. */
  drop(reason?: unknown): void {
    this.#survey.stop();
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
    for (const line of this.#lines) {
      line.connection.drop(reason);
      line.reach = undefined;
    }
  }

  /** The network changed or the device woke up: finds out at once what still stands. */
  networkChanged(): void {
    this.#host.measures.moved();
    const now = performance.now();
    for (const { connection } of this.#lines) connection.networkChanged();
    if (this.#isMany) for (const channel of this.standing) void this.#compare(channel, now).catch(() => undefined);
    if (this.standing.length > 0) this.#survey.begin();
  }

  /** Proxies are elsewhere than before: whoever waits looks there. */
  placesChanged(): void {
    this.#tellUntold();
    this.hurry();
  }

  /** What kept channels from being opened may be over: who looks for one tries at once. */
  hurry(): void {
    for (const { connection } of this.#lines) if (!connection.channel && connection.wanted) connection.seek();
  }

  /** Where resources are has changed, or a channel stands: where there is another way, silence is noticed sooner. */
  routesChanged(): void {
    this.#tellUntold();
    for (const channel of this.standing)
      if (this.#host.routes.besides(channel.place.site).length > 0) channel.beAlert();
  }

  #tellUntold(): void {
    if (!this.#host.routes.known && this.#host.isRouted()) return;
    for (const done of [...this.#untold]) done();
  }

  /** How a site is reached, if a channel there stands or is sought. */
  reachOf(site: string): Reach | undefined {
    const own = this.#bySite.get(site)?.reach;
    const any = this.#any.connection.channel?.place.site === site ? this.#any.reach : undefined;
    return best([own, any]);
  }

  /** The channel at a site. */
  channelAt(site: string): GatewayChannel | undefined {
    return this.standing.find(({ place }) => place.site === site);
  }

  get #lines(): Line[] {
    return [this.#any, ...this.#bySite.values(), ...this.#seconds.values()];
  }

  /** True when there is more than one site to choose from. */
  get #isMany(): boolean {
    const [first, ...others] = this.#host.places();
    return others.some(({ site }) => site !== first!.site);
  }

  #askAny(): Promise<GatewayChannel> {
    this.#any.askedAt = performance.now();
    const serving = this.#any.connection.channel?.usable ? undefined : this.#serving();
    return serving ? Promise.resolve(serving) : this.#any.connection.usable();
  }

  /** A channel that takes streams, whichever. */
  #serving(): GatewayChannel | undefined {
    return this.#lines.find(({ connection }) => connection.serves)?.connection.channel;
  }

  /** Sites in the order in which they are tried: equal ones by measure, and those that fail behind those that do not. */
  #ordered(ranks: readonly (readonly string[])[]): string[] {
    const { measures } = this.#host;
    const places = this.#host.places();
    const rankOf = (site: string): number => measures.rankOf(places.filter((place) => place.site === site));
    const served = ranks.flatMap((rank) =>
      rank
        .filter((site) => places.some((place) => place.site === site))
        .map((site, index) => ({ site, index, rank: rankOf(site), stands: this.#servesAt(site) ? 0 : 1 }))
        .sort((a, b) => a.rank - b.rank || a.stands - b.stands || a.index - b.index)
        .map(({ site }) => site),
    );
    const fails = (site: string): boolean => !this.#servesAt(site) && this.#isDown(site);
    return [...served.filter((site) => !fails(site)), ...served.filter(fails)];
  }

  #servesAt(site: string): GatewayChannel | undefined {
    return this.#linesAt(site).find(({ connection }) => connection.serves)?.connection.channel;
  }

  #linesAt(site: string): Line[] {
    return this.#lines.filter(({ connection }) => connection.channel?.place.site === site);
  }

  /** True when a channel there does not serve, or no Proxy of the site gave one just now. */
  #isDown(site: string): boolean {
    if (this.#linesAt(site).length > 0) return true;
    const places = this.#host.places().filter((place) => place.site === site);
    return this.#host.measures.areShunned(places);
  }

  async #at(ranks: readonly (readonly string[])[]): Promise<GatewayChannel> {
    const [rank = []] = ranks;
    const only = rank.length === 1 ? this.#servesAt(rank[0]!) : undefined;
    if (only) return only;
    const sites = this.#ordered(ranks);
    const [first] = sites;
    if (first === undefined) throw this.#unmapped(ranks);
    for (const line of this.#linesAt(first)) line.askedAt = performance.now();
    const stands = this.#servesAt(first);
    if (stands) return stands;
    // The only one, and a channel stands: what it says of its lease or of silence is the answer.
    const [held] = sites.length === 1 ? this.#linesAt(first) : [];
    if (held?.connection.channel?.usable) return held.connection.channel;
    return this.#search(sites);
  }

  /** Security names a site of which the site map of this device knows no Proxy: there may be a newer map. */
  #unmapped(ranks: readonly (readonly string[])[]): DeviceError {
    this.#host.lost();
    return siteUnavailable(ranks[0]?.[0] ?? '');
  }

  async #search(sites: readonly string[]): Promise<GatewayChannel> {
    const begunAt = performance.now();
    const search = new SiteSearch(
      sites.map((site) => ({ site, usable: () => this.#ask(site) })),
      {
        staggerMs: STAGGER_MS,
        patienceMs: Math.max(PATIENCE_MS, PATIENCE_PINGS * this.#worstPingMs()),
        answersElsewhere: () =>
          this.standing.some((channel) => channel.heardAt > begunAt && !sites.includes(channel.place.site)),
      },
    );
    this.#searches.add(search);
    // Whether it is this site or the network shows in whether another one answers.
    const others = this.standing.filter(({ place }) => !sites.includes(place.site));
    for (const channel of others) void channel.ask().catch(() => undefined);
    try {
      return await search.run();
    } finally {
      this.#searches.delete(search);
    }
  }

  #ask(site: string): Promise<GatewayChannel> {
    const standing = this.#linesAt(site).find(({ connection }) => connection.channel?.usable);
    return ask(standing ?? this.#bySite.get(site) ?? this.#line(site));
  }

  #worstPingMs(): number {
    const { measures } = this.#host;
    return Math.max(0, ...this.standing.map(({ place }) => measures.of(place.origin)?.pingMs ?? 0));
  }

  #line(site: string): Line {
    const line = this.#newLine(site);
    this.#bySite.set(site, line);
    return line;
  }

  #newLine(site: string | undefined, isSecond = false): Line {
    const line: Line = {
      connection: new Connection(this.#connectionHost(site, () => line)),
      isSecond,
      reach: undefined,
      askedAt: 0,
    };
    return line;
  }

  #connectionHost(site: string | undefined, line: () => Line): ConnectionHost {
    const host = this.#host;
    return {
      ...host,
      places: () => host.measures.ranked(host.places().filter((place) => site === undefined || place.site === site)),
      isKept: () => this.#isKept(line()),
      reached: (reach) => this.#reached(line(), reach, site),
      opened: (channel) => this.#opened(channel),
      tried: (place, ms) => this.#tried(place, ms),
      pinged: (place, ms) => {
        if (this.#isChoice) host.measures.pinged(place.origin, ms);
      },
      failed: () => {
        // What it is beside of stands, or is looked for by itself.
        if (!line().isSecond) this.#failed(site);
      },
      calmedDown: () => {
        this.#isCalmed = true;
      },
      doubted: (channel) => this.#doubted(channel),
    };
  }

  /** A device stays reachable at one site at least; another one is kept while somebody uses it. */
  #isKept(line: Line): boolean {
    if (line.isSecond) return false;
    const others = this.#lines.filter((other) => other !== line && !other.isSecond);
    if (line === this.#any) return !others.some(({ connection }) => connection.channel);
    return performance.now() - line.askedAt < IDLE_MS || !others.some(({ connection }) => connection.wanted);
  }

  /** Measuring is for choosing. */
  get #isChoice(): boolean {
    return this.#host.places().length > 1;
  }

  #tried({ origin }: ProxyPlace, connectMs: number | undefined): void {
    const { measures } = this.#host;
    if (connectMs === undefined && origin !== this.#stranded?.origin) measures.failed(origin);
    else if (connectMs !== undefined && this.#isChoice) measures.connected(origin, connectMs);
  }

  #opened(channel: GatewayChannel): void {
    this.#host.measures.worked(channel.place.origin);
    this.#host.opened(channel);
    if (this.#isChoice) void channel.ask().catch(() => undefined);
    this.routesChanged();
    this.#survey.begin();
    if (this.standing.length > 1) this.#sweeping ??= unref(setInterval(() => this.#sweep(), IDLE_CHECK_MS));
  }

  #failed(site: string | undefined): void {
    this.#host.lost();
    if (site === undefined) return;
    for (const search of this.#searches) search.failed(site);
    // Whether it is the site or the network: another one says.
    if (!this.#serving()) this.#any.connection.seek();
  }

  /**
   * A channel says nothing while somebody waits. When the gateway answers at another site it is that site, and not the network; when the
   * same Proxy takes a new connection it is the connection that leads nowhere any more. The channel is given up then, and what may run
   * twice, or did not run, goes elsewhere.
   */
  #doubted(channel: GatewayChannel): void {
    const doubtedAt = performance.now();
    const serving = this.standing.find(({ place }) => place.site !== channel.place.site);
    const [first] = this.#ordered([this.#host.routes.besides(channel.place.site)]);
    if (!serving && first === undefined) return;
    const elsewhere: Promise<unknown> = serving ? serving.ask() : this.#ask(first!);
    elsewhere.then(
      () => channel.heardAt < doubtedAt && channel.close(),
      () => undefined,
    );
    void this.#compare(channel, doubtedAt).catch(() => undefined);
  }

  /**
   * Makes another connection to the Proxy of a channel. One that is taken, while the channel says nothing since a moment, tells that it
   * is the channel's connection that leads nowhere, and not the Proxy: the channel is given up, and the Proxy is no worse for it.
   */
  async #compare(channel: GatewayChannel, since: number): Promise<void> {
    const begunAt = performance.now();
    const socket = await GatewaySocket.connect(this.#host.webSocket, channel.place.origin);
    const tookMs = performance.now() - begunAt;
    socket.close();
    this.#tried(channel.place, tookMs);
    await new Promise((resolve) => setTimeout(resolve, GRACE_MS + 2 * tookMs));
    if (channel.heardAt >= since) return;
    this.#stranded = channel.place;
    channel.close();
    this.#stranded = undefined;
  }

  #reached(line: Line, reach: Reach | undefined, site: string | undefined): void {
    line.reach = reach;
    const at = site ?? line.connection.channel?.place.site;
    const merged = best(this.#lines.map((one) => one.reach));
    if (merged) this.#host.reached(merged);
    if (at !== undefined) this.#host.siteReached(at);
  }

  /** Closes what nobody uses, but for the channel that was used last. */
  #sweep(): void {
    const now = performance.now();
    const lines = this.#lines.filter(({ connection }) => connection.channel);
    const used = (line: Line): number => Math.max(line.askedAt, line.connection.channel!.usedAt(now));
    const [, ...others] = lines.toSorted((a, b) => Number(a.isSecond) - Number(b.isSecond) || used(b) - used(a));
    for (const line of others) if (now - used(line) >= IDLE_MS) line.connection.rest();
    if (this.standing.length > 1) return;
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
  }
}

function ask(line: Line): Promise<GatewayChannel> {
  line.askedAt = performance.now();
  return line.connection.usable();
}

function best(reaches: readonly (Reach | undefined)[]): Reach | undefined {
  return BEST_FIRST.find((reach) => reaches.includes(reach));
}

/** No process lives on for this. */
function unref(timer: ReturnType<typeof setInterval>): ReturnType<typeof setInterval> {
  (timer as { unref?: () => void }).unref?.();
  return timer;
}
