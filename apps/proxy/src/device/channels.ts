import type { SignedCode } from '@sallyport/channel';
import type { AnewReason, Judgement } from '@sallyport/lease';
import type { Grant, RevocationEntry, SiteMapAnswer } from '@sallyport/security-api';
import type { ControlConnection, ProxyIdentity, SecurityClient } from '@sallyport/security-client';
import { createRefusals, guardWith, type Log, type Metrics, type Refusals } from '@sallyport/telemetry';
import type { Backends } from '../backend/backends.ts';
import type { BackendError } from '../backend/errors.ts';
import { BackendTroubles } from '../backend/troubles.ts';
import { SharedResources } from '../serving/shared-resources.ts';
import { Turn } from '../serving/turn.ts';
import type { DeviceChannel } from './channel.ts';

const LEASE_CHECK_MS = 100;
/** How long sockets are kept after the lease is lost, ms. */
const LEASE_GRACE_MS = 60_000;
const SITE_MAP_KEEP_MS = 3_000;
/** How often channels are looked at whose time may be over, ms. */
const SWEEP_MS = 1_000;
/** New streams are refused in a turn of the event loop that takes longer, ms: better a quick no than a late yes. */
const MAX_TURN_MS = 100;
/** Rights that an entry changed are read again within this time, ms, or the channel ends: the entry is in force then. */
const MAX_READ_MS = 1_000;

/** What a Farm is made of. */
export interface FarmParts {
  readonly identity: ProxyIdentity;
  readonly security: SecurityClient;
  readonly backends: Backends;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Channels at this Proxy of one session, of one installation and of one user. */
export interface ChannelCounts {
  readonly session: number;
  readonly installation: number;
  readonly user: number;
}

/** Where Security is older than these limits. */
const DEFAULT_COUNTS: ChannelCounts = { session: 4, installation: 8, user: 64 };

/** All channels of this Proxy, and whether it may serve them. */
export class Farm {
  readonly security: SecurityClient;
  readonly backends: Backends;
  readonly log: Log;
  readonly #parts: FarmParts;
  readonly #channels = new Set<DeviceChannel>();
  /** Channels by whose they are, the oldest first. */
  readonly #byOwner = new Map<string, Set<DeviceChannel>>();
  /** What a limit refused or ended. */
  readonly limited: Refusals;
  /** Channels whose rights are being read while something waits for them. */
  readonly #reading = new Map<DeviceChannel, { readonly done: number; readonly since: number }>();
  readonly #streams;
  /** Counters by kind and outcome: looking labels up costs more than counting. */
  readonly #counters = new Map<string, Map<string, { inc(): void }>>();
  #control: ControlConnection | undefined;
  #draining = false;
  #lostAt: number | undefined = performance.now();
  #generation = 0;
  #siteMap: { readonly at: number; readonly answer: Promise<SiteMapAnswer> } | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #sweepTimer: NodeJS.Timeout;
  readonly #turn = new Turn();
  readonly #resources = new SharedResources();
  readonly #refused: Refusals;
  /** What is wrong with backends. */
  readonly troubles: BackendTroubles;

  constructor(parts: FarmParts) {
    this.#parts = parts;
    this.security = parts.security;
    this.backends = parts.backends;
    this.log = parts.log;
    this.#streams = parts.metrics.counter('sallyport_streams_total', 'finished streams', ['kind', 'outcome']);
    parts.metrics.gauge('sallyport_channels', 'open channels', () => this.#channels.size);
    parts.metrics.gauge('sallyport_lease_live', '1 while this Proxy may serve', () => (this.mayServe() ? 1 : 0));
    const of = { log: parts.log, metrics: parts.metrics, now: () => performance.now() };
    const limited = { metric: 'sallyport_limited_total', help: 'what a limit refused or ended', words: 'limit met' };
    this.limited = createRefusals(limited, of);
    const words = 'a message of a device was refused';
    this.#refused = createRefusals(
      { metric: 'sallyport_refused_total', help: 'refused messages of devices', words },
      of,
    );
    this.troubles = new BackendTroubles(of);
    const guard = guardWith((error) => this.log.error({ err: error }, 'a check of the channels failed'));
    this.#timer = setInterval(
      guard(() => this.#checkLease()),
      LEASE_CHECK_MS,
    );
    this.#sweepTimer = setInterval(
      guard(() => this.#sweep()),
      SWEEP_MS,
    );
  }

  /** The control connection, once it exists. */
  useControl(control: ControlConnection): void {
    this.#control = control;
  }

  get name(): string {
    return this.#parts.identity.name;
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** True while the lease runs. The last check before anything reaches a backend. */
  mayServe(): boolean {
    return this.#control?.lease.live ?? false;
  }

  /** The same grant in less memory. */
  shared(grant: Grant): Grant {
    return this.#resources.share(grant);
  }

  /** True when this turn of the event loop has lasted so long that what came in with it has waited too long already. */
  overloaded(): boolean {
    return this.#turn.ms() > MAX_TURN_MS;
  }

  /** Holds a grant against everything that was revoked since it was read. */
  judge(channel: Parameters<ControlConnection['follower']['judge']>[0]): Judgement {
    return this.#control?.follower.judge(channel) ?? 'stale';
  }

  /**
   * A channel reads its rights again, and something is open on it or waits. `index` is the entry that changed them, if one
   * did: it is in force only when the rights are there.
   */
  reads(channel: DeviceChannel, index: number | undefined): void {
    const known = this.#reading.get(channel);
    const before = index === undefined ? Number.POSITIVE_INFINITY : index - 1;
    const done = Math.min(known?.done ?? Number.POSITIVE_INFINITY, before);
    this.#reading.set(channel, { done, since: known?.since ?? performance.now() });
  }

  /** The rights of a channel are known again, or it is gone. */
  hasRead(channel: DeviceChannel): void {
    const read = this.#reading.get(channel);
    if (!read) return;
    this.#reading.delete(channel);
    if (read.done === Number.POSITIVE_INFINITY) return;
    for (const other of this.#reading.values()) if (other.done <= read.done) return;
    this.#control?.moved();
  }

  /** Last entry that is in force on all channels when everything up to `seen` was applied. */
  done(seen: number): number {
    let done = seen;
    for (const read of this.#reading.values()) done = Math.min(done, read.done);
    return done;
  }

  /** What was followed so far counts no more: no channel of it goes on. */
  beginAnew(reason: AnewReason): void {
    if (reason === 'two databases')
      this.log.error(
        'two databases: a Security node works with one that never took the place of ours; it gets no beats',
      );
    else this.log.warn({ reason }, 'the revocation log begins anew; all channels are dropped');
    this.#reading.clear();
    this.#each((channel) => channel.end('LEASE_LOST'));
    this.#checkLease();
  }

  /** Applies a log entry to every channel. */
  apply(entry: RevocationEntry): void {
    this.#each((channel) => channel.apply(entry));
  }

  /** How many channels the owners of a grant may have at this Proxy. */
  limitsOf({ limits }: Grant): ChannelCounts {
    return {
      session: limits.channelsPerSession ?? DEFAULT_COUNTS.session,
      installation: limits.channelsPerInstallation ?? DEFAULT_COUNTS.installation,
      user: limits.channelsPerUser ?? DEFAULT_COUNTS.user,
    };
  }

  /** Keeps a channel; of one session, installation and user only so many stay, the oldest goes. */
  keep(channel: DeviceChannel): void {
    const counts = this.limitsOf(channel.grant);
    for (const [limit, key] of ownersOf(channel)) {
      const same = this.#byOwner.get(key) ?? new Set();
      if (same.size >= counts[limit]) {
        const [oldest] = same;
        this.limited.met(`channels of one ${limit}`, { user: channel.grant.userName });
        oldest?.end('CALM_DOWN');
      }
      same.add(channel);
      this.#byOwner.set(key, same);
    }
    this.#channels.add(channel);
  }

  forget(channel: DeviceChannel): void {
    this.hasRead(channel);
    if (!this.#channels.delete(channel)) return;
    for (const [, key] of ownersOf(channel)) {
      const same = this.#byOwner.get(key);
      same?.delete(channel);
      if (same?.size === 0) this.#byOwner.delete(key);
    }
  }

  /** Security was out of reach or answered what cannot be: the device was told to come again. */
  unserved(error: unknown): void {
    this.log.warn({ err: error }, 'a device could not be served');
  }

  /** Does the same with every channel: what one of them throws ends it, and the others go on. */
  #each(work: (channel: DeviceChannel) => void): void {
    for (const channel of [...this.#channels]) guardWith((error) => channel.fail(error))(() => work(channel))();
  }

  count(kind: string, outcome: 'done' | SignedCode): void {
    this.#counter(kind, outcome).inc();
  }

  #counter(kind: string, outcome: 'done' | SignedCode): { inc(): void } {
    const known = this.#counters.get(kind)?.get(outcome);
    if (known) return known;
    const counter = this.#streams.labels({ kind, outcome });
    const ofKind = this.#counters.get(kind) ?? new Map();
    this.#counters.set(kind, ofKind.set(outcome, counter));
    return counter;
  }

  /** Says in the log, not too often, by which rule a message of a device was refused. */
  refused(session: string, rule: string): void {
    // Names of fields are the device's: they are said, but nothing is counted by them.
    this.#refused.met(rule.replace(/ \(.*\)/, ''), { session, rule });
  }

  /** Why the backend of a resource could not be reached or gave no good answer. */
  backendFailed(resource: string, error: BackendError): void {
    this.troubles.note(resource, error);
  }

  /** The realm's signed site map, asked for at most every three seconds. */
  siteMap(): Promise<SiteMapAnswer> {
    const now = performance.now();
    if (this.#siteMap && now - this.#siteMap.at < SITE_MAP_KEEP_MS) return this.#siteMap.answer;
    const answer = this.security.siteMap();
    this.#siteMap = { at: now, answer };
    answer.catch(() => {
      this.#siteMap = undefined;
    });
    return answer;
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
    clearInterval(this.#timer);
    clearInterval(this.#sweepTimer);
  }

  #sweep(): void {
    const now = performance.now();
    this.#each((channel) => channel.sweep(now));
  }

  #checkLease(): void {
    this.#checkReads();
    const lease = this.#control?.lease;
    if (!lease) return;
    if (lease.generation !== this.#generation) {
      // Wall and monotonic time drifted: a suspend or a snapshot. Keys of before must not be used again.
      this.#generation = lease.generation;
      this.log.warn('the clocks drifted apart; all channels are dropped');
      this.#each((channel) => channel.end('LEASE_LOST'));
    }
    if (lease.live) return this.#leaseLives();
    this.#leaseLost();
  }

  /** What cannot be read in time ends: devices come back and get a channel with the rights of that moment. */
  #checkReads(): void {
    const now = performance.now();
    for (const [channel, { since }] of [...this.#reading]) {
      if (now - since > MAX_READ_MS) channel.end('LEASE_LOST');
    }
  }

  #leaseLives(): void {
    if (this.#lostAt === undefined) return;
    this.#lostAt = undefined;
    this.#each((channel) => channel.resume());
  }

  #leaseLost(): void {
    if (this.#lostAt === undefined) {
      this.#lostAt = performance.now();
      this.log.error('the lease is lost: nothing is served until Security answers again');
      this.#each((channel) => channel.suspend());
    }
    if (performance.now() - this.#lostAt < LEASE_GRACE_MS) return;
    this.#each((channel) => channel.end('LEASE_LOST'));
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
