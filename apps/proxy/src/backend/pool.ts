import { TokenBucket } from '@sallyport/channel';
import { guardWith } from '@sallyport/telemetry';
import { type BackendRequest, type BackendSink, type ConnectionOwner, SWEEP_MS } from './connection.ts';
import { BackendError } from './errors.ts';
import { FairQueue, mayDialMore, mayHaveMore, type SessionClaim, type UserClaim } from './fair-queue.ts';
import { Http1Connections } from './http1.ts';
import { Http2Connections } from './http2.ts';
import type { PoolSource } from './pool-source.ts';
import { type CallOwner, PooledCall } from './pooled-call.ts';
import type { ConnectionMaker, PooledConnection } from './pooled-connection.ts';
import type { BackendServer } from './server.ts';
import type { ServerHealth } from './server-health.ts';
import type { Share, Tenant } from './tenant.ts';
import { type TimeLimits, timeLimitsOf } from './time-limits.ts';

/** Connections to one backend at once. */
const MAX_CONNECTIONS = 256;
/** Requests that may wait for a connection: what more of them would wait for is not worth having any more. */
const MAX_WAITING = 2_048;
/** Those of one user among them. */
const MAX_WAITING_OF_USER = 1_024;
/** From so many on new streams that could only end here are refused before they are read. */
const CONGESTED = 1_024;
/** How long a request waits for a connection at least, ms; as long as making one may take, if that is longer. */
const WAIT_MS = 5_000;
/** How long a request waits for a connection that is signed in for its channel before it takes any other, ms. */
const OWN_WAIT_MS = 1_000;
/** Chunks below 256 bytes of one backend, at once and again each second: each costs the Proxy more than its bytes. */
const SMALL_CHUNKS = 131_072;

type Claim = SessionClaim<PooledCall>;

/** Who hears of defects, and how a server of several does. */
export interface PoolOptions {
  handlerFailed?(error: unknown): void;
  readonly health?: ServerHealth;
}

/**
 * Connections to one backend: kept, bounded, each with one exchange at a time. Whoever waits has turns by user and session.
 * A connection that was signed in by its requests (NTLM, Negotiate) is for the channel of that login alone and ends with it.
 */
export class BackendPool implements ConnectionOwner, CallOwner, PoolSource {
  readonly server: BackendServer;
  /** How the server does, when it is one of several. */
  readonly health: ServerHealth | undefined;
  readonly #limits: TimeLimits;
  readonly #maker: ConnectionMaker;
  readonly #connections = new Set<PooledConnection>();
  readonly #idle: PooledConnection[] = [];
  /** Idle connections that are signed in for somebody, the longest idle first. */
  readonly #ownIdle = new Set<PooledConnection>();
  readonly #queue = new FairQueue<PooledCall>();
  /** Calls that wait for a connection of their own channel. */
  readonly #ownWaiting = new Set<PooledCall>();
  readonly #users = new Map<string, UserClaim & { sessions: number }>();
  readonly #sessions = new Map<string, { readonly claim: Claim; channels: number }>();
  readonly #may = (claim: Claim): boolean => mayHaveMore(claim, MAX_CONNECTIONS - this.#busy);
  readonly #mayDial = (claim: Claim): boolean => mayDialMore(claim, MAX_CONNECTIONS - this.#busy - this.#connecting);
  readonly #smallChunks = new TokenBucket(SMALL_CHUNKS, SMALL_CHUNKS, performance.now());
  #busy = 0;
  #serving = false;
  readonly #serveNow: () => void;
  #connecting = 0;
  #closed = false;
  readonly #timer: NodeJS.Timeout;

  /** Hears of what a handler of ours threw: a defect, for the log. */
  readonly handlerFailed: (error: unknown) => void;

  constructor(server: BackendServer, { handlerFailed = () => undefined, health }: PoolOptions = {}) {
    this.server = server;
    this.health = health;
    this.#limits = timeLimitsOf(server);
    const old = server.http === undefined || server.http === '1.1';
    this.#maker = old ? new Http1Connections(server, this) : new Http2Connections(server, this);
    this.handlerFailed = handlerFailed;
    const guard = guardWith(handlerFailed);
    this.#serveNow = guard(() => {
      this.#serving = false;
      this.#serve();
    });
    this.#timer = setInterval(
      guard(() => this.#sweep()),
      SWEEP_MS,
    ).unref();
  }

  /** Nothing more is asked of it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True while no channel has asked for anything that it could get, and no connection is kept. */
  get unused(): boolean {
    return this.#sessions.size === 0 && this.#connections.size === 0 && this.#connecting === 0;
  }

  /** PoolSource */
  pool(): BackendPool {
    return this;
  }

  /** PoolSource */
  has(pool: BackendPool): boolean {
    return pool === this;
  }

  /** True while a user has a channel that has asked for something here. */
  serves(user: string): boolean {
    return this.#users.has(user);
  }

  /** True while so many requests wait that new ones of this tenant had better not come: its user has its part of them. */
  congested(tenant: Tenant): boolean {
    if (this.#queue.size < CONGESTED) return false;
    const waiting = tenant.findShare(this)?.claim.user.waiting ?? 0;
    return waiting * this.#queue.users >= this.#queue.size;
  }

  /** A request that is not sent yet. */
  call(request: BackendRequest, sink: BackendSink, tenant: Tenant): PooledCall {
    return new PooledCall(this, request, { sink, share: tenant.share(this) });
  }

  /** A share for a channel that asks for the first time. */
  admit(tenant: Tenant): Share {
    const user = this.#users.get(tenant.user) ?? { held: 0, dialling: 0, waiting: 0, waitingSessions: [], sessions: 0 };
    this.#users.set(tenant.user, user);
    const session = this.#sessions.get(tenant.session) ?? {
      claim: { held: 0, dialling: 0, inTurn: 0, user, items: [] },
      channels: 0,
    };
    if (session.channels === 0) user.sessions += 1;
    session.channels += 1;
    this.#sessions.set(tenant.session, session);
    return { tenant, claim: session.claim, own: new Set(), ownIdle: new Set(), waiting: [] };
  }

  /** The channel is over: its connections end, and its session's claim with its last channel. */
  leave({ tenant, own }: Share): void {
    for (const connection of [...own]) connection.retire();
    const session = this.#sessions.get(tenant.session);
    if (!session) return;
    session.channels -= 1;
    if (session.channels > 0) return;
    this.#sessions.delete(tenant.session);
    const user = this.#users.get(tenant.user);
    if (!user) return;
    user.sessions -= 1;
    if (user.sessions === 0) this.#users.delete(tenant.user);
  }

  /** CallOwner */
  assign(call: PooledCall): void {
    const { own, waiting } = call.share;
    if (own.size === 0) return this.#assignAny(call);
    const connection = takeOwn(call);
    if (!connection) {
      call.since = performance.now();
      waiting.push(call);
      this.#ownWaiting.add(call);
      return;
    }
    this.#ownIdle.delete(connection);
    if (!call.begin(connection)) this.released(connection);
  }

  /** CallOwner */
  busy({ share: { claim } }: PooledCall, connections: 1 | -1): void {
    claim.held += connections;
    claim.user.held += connections;
    this.#busy += connections;
  }

  /** CallOwner */
  forget(call: PooledCall): void {
    this.#queue.remove(call.share.claim, call);
    if (this.#ownWaiting.delete(call)) call.share.waiting.splice(call.share.waiting.indexOf(call), 1);
  }

  /** CallOwner */
  bind(connection: PooledConnection, share: Share): void {
    if (connection.share) return;
    connection.share = share;
    share.own.add(connection);
  }

  /** ConnectionOwner */
  released(connection: PooledConnection): void {
    const { share } = connection;
    if (share?.tenant.ended) return connection.retire();
    if (share) this.#releaseOwn(connection, share);
    else this.#idle.push(connection);
    this.#serveSoon();
  }

  /** ConnectionOwner */
  gone(connection: PooledConnection): void {
    if (!this.#connections.delete(connection)) return;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#ownIdle.delete(connection);
    const { share } = connection;
    share?.own.delete(connection);
    share?.ownIdle.delete(connection);
    // With the last connection that was signed in there is nothing left to wait for.
    if (share?.own.size === 0) for (const call of share.waiting.splice(0)) this.#waitForAny(call);
    this.#serve();
  }

  /** ConnectionOwner */
  spend(smallChunks: number): number {
    const now = performance.now();
    this.#smallChunks.spend(smallChunks, now);
    return this.#smallChunks.waitMs(now);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const connection of [...this.#connections]) connection.abort();
    this.#maker.close();
    for (const call of [...this.#queue, ...this.#ownWaiting]) {
      this.forget(call);
      call.fail(new BackendError('ERR_BACKEND_BUSY', 'the Proxy stops'));
    }
  }

  #assignAny(call: PooledCall): void {
    const { claim } = call.share;
    // What is about to be shared out is for whoever waits.
    const connection = !this.#serving && this.#may(claim) ? this.#idle.pop() : undefined;
    if (connection) {
      if (!call.begin(connection)) this.#idle.push(connection);
      return;
    }
    if (this.#queue.size >= MAX_WAITING || claim.user.waiting >= MAX_WAITING_OF_USER)
      return call.fail(new BackendError('ERR_BACKEND_BUSY', 'too many requests wait for the backend'));
    // What has waited for a connection of its own goes on waiting, with no new time.
    if (call.since === 0) call.since = performance.now();
    this.#queue.push(claim, call);
    this.#dialMore();
  }

  #waitForAny(call: PooledCall): void {
    this.#ownWaiting.delete(call);
    if (!call.over) this.#assignAny(call);
  }

  #releaseOwn(connection: PooledConnection, share: Share): void {
    share.ownIdle.add(connection);
    this.#ownIdle.add(connection);
    for (const call of [...share.waiting]) {
      const found = takeOwn(call);
      if (!found) continue;
      this.#ownIdle.delete(found);
      this.forget(call);
      if (call.begin(found)) return;
      share.ownIdle.add(found);
      this.#ownIdle.add(found);
    }
  }

  /**
   * At the end of the turn of the event loop: what came back in it is shared out together, so that whoever has a turn gets
   * several connections and is answered in few records.
   */
  #serveSoon(): void {
    if (this.#queue.size === 0 || this.#serving) return;
    this.#serving = true;
    setImmediate(this.#serveNow);
  }

  /** Gives idle connections to whose turn it is, and makes more for who still waits. */
  #serve(): void {
    for (let connection = this.#idle.at(-1); connection; connection = this.#idle.at(-1)) {
      const call = this.#queue.take(this.#may);
      if (!call) break;
      this.#idle.pop();
      if (!call.begin(connection)) this.#idle.push(connection);
    }
    this.#dialMore();
  }

  #dialMore(): void {
    if (this.#closed || this.#connecting >= this.#queue.size || this.#idle.length > 0) return;
    // All are busy, as under load they always are: nobody may have one, and nobody is asked.
    if (this.#busy >= MAX_CONNECTIONS) return;
    const claim = this.#queue.find(this.#mayDial);
    if (!claim) return;
    if (this.#connections.size + this.#connecting < MAX_CONNECTIONS) return this.#dial(claim);
    // Somebody waits: who is signed in and does nothing can sign in again. Its end comes back here.
    const [idlest] = this.#ownIdle;
    idlest?.retire();
  }

  #dial(claim: Claim): void {
    this.#dialling(claim, 1);
    const guard = guardWith(this.handlerFailed);
    const connected = guard((connection: PooledConnection) => {
      this.#dialling(claim, -1);
      if (this.#closed) return connection.retire();
      this.#connections.add(connection);
      this.released(connection);
    });
    const failed = guard((error: BackendError) => {
      this.#dialling(claim, -1);
      this.health?.failed(error.code, performance.now());
      const call = this.#queue.take(this.#may) ?? this.#queue.take(() => true);
      call?.fail(error);
      this.#dialMore();
    });
    this.#maker.make({ connected, failed });
  }

  #dialling(claim: Claim, connections: 1 | -1): void {
    claim.dialling += connections;
    claim.user.dialling += connections;
    this.#connecting += connections;
  }

  #sweep(): void {
    const now = performance.now();
    const pressed = this.#queue.size > 0 && this.#connections.size >= MAX_CONNECTIONS;
    this.#maker.sweep(now);
    for (const connection of [...this.#connections]) connection.sweep(now, pressed);
    for (const call of [...this.#ownWaiting]) if (now - call.since > OWN_WAIT_MS) this.#loseOwnPatience(call);
    const waitMs = Math.max(WAIT_MS, this.#limits.connectMs);
    for (const call of [...this.#queue]) {
      if (now - call.since <= waitMs) continue;
      this.forget(call);
      call.fail(new BackendError('ERR_BACKEND_BUSY', 'no connection to the backend was free'));
    }
  }

  #loseOwnPatience(call: PooledCall): void {
    this.forget(call);
    this.#assignAny(call);
  }
}

/** An idle connection of the call's own channel that it may use: while a login goes on, only for the login. */
function takeOwn({ share: { ownIdle }, step }: PooledCall): PooledConnection | undefined {
  const goesOn = step === 'later' || step === 'either';
  const idle = [...ownIdle];
  const found = (goesOn ? idle.find(({ login }) => login) : undefined) ?? idle.findLast(({ login }) => !login);
  if (found) ownIdle.delete(found);
  return found;
}
