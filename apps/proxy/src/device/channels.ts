import { encodeCbor } from '@sallyport/channel';
import type { AnewReason } from '@sallyport/lease';
import type { Grant, RevocationEntry } from '@sallyport/security-api';
import { guardWith, type Metrics } from '@sallyport/telemetry';
import type { LeaseListener, Serving } from '../serving/serving.ts';
import type { KnownSiteMap } from '../serving/site-map.ts';
import { Spread } from '../serving/spread.ts';
import type { ChannelOwner, DeviceChannel, SiteMapNews } from './channel.ts';

/** How often the lease is looked at, and who waits for rights, ms. */
const CHECK_MS = 100;
/** How often channels are looked at whose time may be over, ms. */
const SWEEP_MS = 1_000;
/** All devices are told of a new site map within this time, ms. */
const MAP_SPREAD_MS = 2_000;
/** Rights that an entry changed are read again within this time, ms, or the channel ends: the entry is in force then. */
const MAX_READ_MS = 1_000;
/** Requests that merely wait for rights hold up no entry: they wait so long for them, ms, before the channel ends. */
const MAX_WAIT_MS = 5_000;

/** Devices of a site that is being emptied are told after this, when they know other sites, and not all at once, ms. */
const FIRST_MOVE_MS = 1_000;
const SPREAD_MS = 2_000;

/** Channels at this Proxy of one session, of one installation and of one user. */
export interface ChannelCounts {
  readonly session: number;
  readonly installation: number;
  readonly user: number;
}

/** Where Security is older than these limits. */
const DEFAULT_COUNTS: ChannelCounts = { session: 4, installation: 8, user: 64 };

/** How many channels the owners of a grant may have at this Proxy. */
export function channelCountsOf({ limits }: Grant): ChannelCounts {
  return {
    session: limits.channelsPerSession ?? DEFAULT_COUNTS.session,
    installation: limits.channelsPerInstallation ?? DEFAULT_COUNTS.installation,
    user: limits.channelsPerUser ?? DEFAULT_COUNTS.user,
  };
}

/** All channels of this Proxy: what is revoked, lost or over reaches each of them. One per process. */
export class Channels implements ChannelOwner, LeaseListener {
  readonly #serving: Serving;
  readonly #channels = new Set<DeviceChannel>();
  /** Channels by whose they are, the oldest first. */
  readonly #byOwner = new Map<string, Set<DeviceChannel>>();
  /** Channels whose rights are being read while something waits for them. */
  readonly #reading = new Map<DeviceChannel, { readonly done: number; readonly until: number }>();
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #siteMaps: Spread<DeviceChannel, SiteMapNews>;
  #draining = false;
  /** True while the site is being emptied. */
  #drained = false;
  #movingOn: NodeJS.Timeout[] = [];

  constructor(serving: Serving, metrics: Metrics) {
    this.#serving = serving;
    serving.listen(this);
    this.#siteMaps = new Spread({
      withinMs: MAP_SPREAD_MS,
      all: () => this.#channels,
      tell: (channel, news) => guardWith((error) => channel.fail(error))(() => channel.tellSiteMap(news))(),
    });
    metrics.gauge('sallyport_channels', 'open channels', () => this.#channels.size);
    const guard = guardWith((error) => serving.log.error({ err: error }, 'a check of the channels failed'));
    this.#timers = [
      setInterval(
        guard(() => this.#check()),
        CHECK_MS,
      ),
      setInterval(
        guard(() => this.#sweep()),
        SWEEP_MS,
      ),
    ];
  }

  get size(): number {
    return this.#channels.size;
  }

  /** True once this Proxy is about to stop. */
  get stopping(): boolean {
    return this.#draining;
  }

  /** True once this Proxy is about to stop, and while its site is being emptied: no new channels then. */
  get draining(): boolean {
    return this.#draining || this.#drained;
  }

  /**
   * The site is being emptied, or open again: devices are told to move on, not all at once. What they are told of other sites is on
   * its way to them, because rights were read again with the same change.
   */
  siteDrained(drained: boolean): void {
    if (drained === this.#drained) return;
    this.#drained = drained;
    for (const timer of this.#movingOn.splice(0)) clearTimeout(timer);
    if (!drained) return;
    this.#serving.log.warn({ channels: this.size }, 'the site is being emptied: no new channels, devices move on');
    for (const channel of this.#channels) this.#moveOn(channel);
  }

  #moveOn(channel: DeviceChannel): void {
    const guard = guardWith((error) => channel.fail(error));
    this.#movingOn.push(
      setTimeout(
        guard(() => channel.drain()),
        FIRST_MOVE_MS + Math.random() * SPREAD_MS,
      ),
    );
  }

  /** Keeps a channel; of one session, installation and user only so many stay, the oldest goes. */
  keep(channel: DeviceChannel): void {
    const counts = channelCountsOf(channel.grant);
    for (const [limit, key] of ownersOf(channel)) {
      const same = this.#byOwner.get(key) ?? new Set();
      if (same.size >= counts[limit]) {
        const [oldest] = same;
        this.#serving.limited.met(`channels of one ${limit}`, { user: channel.grant.userName });
        oldest?.end('CALM_DOWN');
      }
      same.add(channel);
      this.#byOwner.set(key, same);
    }
    this.#channels.add(channel);
    // Its HELLO was under way when the site began to be emptied.
    if (this.#drained) this.#moveOn(channel);
  }

  /** ChannelOwner */
  forget(channel: DeviceChannel): void {
    this.hasRead(channel);
    if (!this.#channels.delete(channel)) return;
    for (const [, key] of ownersOf(channel)) {
      const same = this.#byOwner.get(key);
      same?.delete(channel);
      if (same?.size === 0) this.#byOwner.delete(key);
    }
  }

  /** ChannelOwner */
  reads(channel: DeviceChannel, index: number | undefined): void {
    const known = this.#reading.get(channel) ?? { done: Number.POSITIVE_INFINITY, until: Number.POSITIVE_INFINITY };
    const now = performance.now();
    const [before, until] = index === undefined ? [known.done, now + MAX_WAIT_MS] : [index - 1, now + MAX_READ_MS];
    this.#reading.set(channel, { done: Math.min(known.done, before), until: Math.min(known.until, until) });
  }

  /** ChannelOwner */
  hasRead(channel: DeviceChannel): void {
    const read = this.#reading.get(channel);
    if (!read) return;
    this.#reading.delete(channel);
    if (read.done === Number.POSITIVE_INFINITY) return;
    for (const other of this.#reading.values()) if (other.done <= read.done) return;
    this.#serving.moved();
  }

  /** Last entry that is in force on all channels when everything up to `seen` was applied. */
  done(seen: number): number {
    let done = seen;
    for (const read of this.#reading.values()) done = Math.min(done, read.done);
    return done;
  }

  /** Applies a log entry to every channel. */
  apply(entry: RevocationEntry): void {
    this.#each((channel) => channel.apply(entry));
  }

  /** What was followed so far counts no more: no channel of it goes on. */
  beginAnew(reason: AnewReason): void {
    const { log } = this.#serving;
    if (reason === 'two databases')
      log.error('two databases: a Security node works with one that never took the place of ours; it gets no beats');
    else log.warn({ reason }, 'the revocation log begins anew; all channels are dropped');
    this.#reading.clear();
    this.#endAll();
    this.#check();
  }

  /** The realm's site map is another one: every device is told within some seconds, not all at one moment. */
  siteMapChanged({ seq, answer }: KnownSiteMap): void {
    this.#siteMaps.spread({ seq, notice: encodeCbor({ site_map: answer.siteMap }) });
  }

  /** LeaseListener */
  lost(): void {
    this.#each((channel) => channel.suspend());
  }

  /** LeaseListener */
  lostForLong(): void {
    this.#endAll();
  }

  /** LeaseListener */
  back(): void {
    this.#each((channel) => channel.resume());
  }

  /** LeaseListener */
  drifted(): void {
    this.#endAll();
  }

  /** Takes no new streams, lets the open ones finish, then ends all channels. */
  async drain(maxMs: number): Promise<void> {
    this.#draining = true;
    this.#each((channel) => channel.drain());
    const deadline = performance.now() + maxMs;
    while (performance.now() < deadline && [...this.#channels].some(({ streamCount }) => streamCount > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#each((channel) => channel.end('DRAINING'));
    for (const timer of this.#timers) clearInterval(timer);
    for (const timer of this.#movingOn) clearTimeout(timer);
    this.#siteMaps.stop();
  }

  /** Does the same with every channel: what one of them throws ends it, and the others go on. */
  #each(work: (channel: DeviceChannel) => void): void {
    for (const channel of [...this.#channels]) guardWith((error) => channel.fail(error))(() => work(channel))();
  }

  #endAll(): void {
    this.#each((channel) => channel.end('LEASE_LOST'));
  }

  #sweep(): void {
    const now = performance.now();
    this.#each((channel) => channel.sweep(now));
  }

  /** What cannot be read in time ends: devices come back and get a channel with the rights of that moment. */
  #check(): void {
    const now = performance.now();
    for (const [channel, { until }] of [...this.#reading]) if (now > until) channel.end('LEASE_LOST');
    this.#serving.check();
  }
}

/** Names under which a channel counts, by limit. */
function ownersOf({ owner }: DeviceChannel): readonly (readonly [limit: keyof ChannelCounts, key: string])[] {
  return [
    ['session', `session ${owner.sid}`],
    ['installation', `installation ${owner.installationId}`],
    ['user', `user ${owner.userId}`],
  ];
}
