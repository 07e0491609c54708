import type { SignedCode } from '@sallyport/channel';
import type { Judgement, ReadChannel } from '@sallyport/lease';
import type { Grant } from '@sallyport/security-api';
import type { ControlConnection, ProxyIdentity, SecurityClient } from '@sallyport/security-client';
import { createRefusals, type Log, type Metrics, type Refusals, type Tally } from '@sallyport/telemetry';
import type { Backends } from '../backend/backends.ts';
import type { BackendError } from '../backend/errors.ts';
import { BackendTroubles } from '../backend/troubles.ts';
import { SharedResources } from './shared-resources.ts';
import { Turn } from './turn.ts';

/** How long sockets are kept after the lease is lost, ms. */
const LEASE_GRACE_MS = 60_000;
/** New streams are refused in a turn of the event loop that takes longer, ms: better a quick no than a late yes. */
const MAX_TURN_MS = 100;

/** What serving is made of. */
export interface ServingParts {
  readonly identity: Pick<ProxyIdentity, 'name'>;
  readonly security: SecurityClient;
  readonly backends: Backends;
  readonly log: Log;
  readonly metrics: Metrics;
  /** ISO 3166-1 code of the country of an address; absent: no country is known. */
  readonly countryOf?: (address: string) => string | undefined;
}

/** What hears when serving stops, and when it goes on. */
export interface LeaseListener {
  /** The lease is lost: what is open stops, and waits. */
  lost(): void;
  /** It was lost for too long: nobody waits any more. */
  lostForLong(): void;
  back(): void;
  /** The clocks drifted apart, which is a suspend or a snapshot: keys of before must not be used again. */
  drifted(): void;
}

/** Whether this Proxy may serve, and what all that it serves is counted by and told to. Knows no channel. One per process. */
export class Serving {
  readonly security: SecurityClient;
  readonly backends: Backends;
  readonly log: Log;
  /** This Proxy's name. */
  readonly name: string;
  readonly countryOf: (address: string) => string | undefined;
  /** What a limit refused or ended. */
  readonly limited: Refusals;
  /** What is wrong with backends. */
  readonly troubles: BackendTroubles;
  /** What was served since the process began: streams that have ended, and bytes of records, both ways. Security is told with beats. */
  readonly traffic = { requests: 0, bytes: 0 };
  readonly #refused: Refusals;
  readonly #streams;
  /** By kind and outcome. */
  readonly #tallies = new Map<string, Map<string, Tally>>();
  readonly #turn = new Turn();
  readonly #resources = new SharedResources();
  #control: ControlConnection | undefined;
  #listener: LeaseListener | undefined;
  #lostAt: number | undefined = performance.now();
  #generation = 0;

  constructor({ identity, security, backends, log, metrics, countryOf = () => undefined }: ServingParts) {
    this.countryOf = countryOf;
    this.name = identity.name;
    this.security = security;
    this.backends = backends;
    this.log = log;
    this.#streams = metrics.tally('sallyport_streams_total', 'finished streams', ['kind', 'outcome']);
    metrics.gauge('sallyport_lease_live', '1 while this Proxy may serve', () => (this.mayServe() ? 1 : 0));
    const of = { log, metrics, now: () => performance.now() };
    const limited = { metric: 'sallyport_limited_total', help: 'what a limit refused or ended', words: 'limit met' };
    this.limited = createRefusals(limited, of);
    const words = 'a message of a device was refused';
    this.#refused = createRefusals(
      { metric: 'sallyport_refused_total', help: 'refused messages of devices', words },
      of,
    );
    this.troubles = new BackendTroubles(of);
  }

  /** The control connection, once it exists. */
  useControl(control: ControlConnection): void {
    this.#control = control;
  }

  /** Who is told by `check`. */
  listen(listener: LeaseListener): void {
    this.#listener = listener;
  }

  /** True while the lease runs. The last check before anything reaches a backend. */
  mayServe(): boolean {
    return this.#control?.lease.live ?? false;
  }

  /** Looks at the lease and tells what has changed since. To be called many times a second. */
  check(): void {
    const lease = this.#control?.lease;
    if (!lease) return;
    if (lease.generation !== this.#generation) {
      this.#generation = lease.generation;
      this.log.warn('the clocks drifted apart; all channels are dropped');
      this.#listener?.drifted();
    }
    if (lease.live) return this.#live();
    this.#lost();
  }

  /** Holds a grant against everything that was revoked since it was read. */
  judge(channel: ReadChannel): Judgement {
    if (!this.#control) return 'stale';
    const { follower } = this.#control;
    // The entries that it was read behind are on their way, or a beat brings them: one at a time, however many channels wait.
    if (channel.grant.asOf > follower.seen && follower.unansweredSince === undefined) this.#control.moved();
    return follower.judge(channel);
  }

  /** What is in force has moved: the next beat says so, at once. */
  moved(): void {
    this.#control?.moved();
  }

  /** True when this turn of the event loop has lasted so long that what came in with it has waited too long already. */
  overloaded(): boolean {
    return this.#turn.ms() > MAX_TURN_MS;
  }

  /** The same grant in less memory. */
  shared(grant: Grant): Grant {
    return this.#resources.share(grant);
  }

  count(kind: string, outcome: 'done' | SignedCode): void {
    this.traffic.requests += 1;
    this.#tally(kind, outcome).count += 1;
  }

  /** Says in the log, not too often, by which rule a message of a device was refused. */
  refused(session: string, rule: string): void {
    // Names of fields are the device's: they are said, but nothing is counted by them.
    this.#refused.met(rule.replace(/ \(.*\)/, ''), { session, rule });
  }

  /** Security was out of reach or answered what cannot be: the device was told to come again. */
  unserved(error: unknown): void {
    this.log.warn({ err: error }, 'a device could not be served');
  }

  /** Why the backend of a resource could not be reached or gave no good answer. */
  backendFailed(resource: string, error: BackendError): void {
    this.troubles.note(resource, error);
  }

  #tally(kind: string, outcome: 'done' | SignedCode): Tally {
    const known = this.#tallies.get(kind)?.get(outcome);
    if (known) return known;
    const tally = this.#streams.labelled({ kind, outcome });
    const ofKind = this.#tallies.get(kind) ?? new Map();
    this.#tallies.set(kind, ofKind.set(outcome, tally));
    return tally;
  }

  #live(): void {
    if (this.#lostAt === undefined) return;
    this.#lostAt = undefined;
    this.#listener?.back();
  }

  #lost(): void {
    if (this.#lostAt === undefined) {
      this.#lostAt = performance.now();
      this.log.error('the lease is lost: nothing is served until Security answers again');
      this.#listener?.lost();
    }
    if (performance.now() - this.#lostAt >= LEASE_GRACE_MS) this.#listener?.lostForLong();
  }
}
