import type { Socket } from 'node:net';
import { TokenBucket, wildcardPart } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { checkLiteral, type Dialling, type DialOptions, dial } from './dial.ts';
import { BackendError } from './errors.ts';
import { BackendPool } from './pool.ts';
import type { BackendAsker, PoolSource } from './pool-source.ts';
import type { BackendServer } from './server.ts';
import { ServerGroup } from './server-group.ts';
import type { ServerHealth } from './server-health.ts';
import type { Tenant } from './tenant.ts';

/** Servers that one request, or one connection, is tried at. */
const MAX_TRIED = 3;
/** Hosts that devices have chosen under wildcards, while somebody has asked for them; and those of one user. */
const MAX_CHOSEN = 4_096;
const MAX_CHOSEN_OF_USER = 256;
/** Frames of WebSockets below 256 bytes of one backend, at once and again each second: each costs the Proxy more than its bytes. */
const SMALL_FRAMES = 65_536;

/** What hears of what nobody asked for. */
export interface BackendsListener {
  /** A handler of ours threw: a defect, for the log. */
  handlerFailed(error: unknown): void;
  /** A server of several rests after failures, or is well again. */
  serverChanged(url: string, well: boolean): void;
}

const NOBODY: BackendsListener = { handlerFailed: () => undefined, serverChanged: () => undefined };

/** Connections to backends: a pool of its own for each server, so that none can take up another's. One per process. */
export class Backends {
  readonly #pools = new Map<string, BackendPool>();
  readonly #groups = new Map<string, ServerGroup>();
  /** Pools of hosts that devices chose, by server. */
  readonly #chosen = new Map<string, BackendPool>();
  /** The same by the objects that grants hold, which are asked for with every request. */
  readonly #known = new WeakMap<Backend, PoolSource>();
  readonly #smallFrames = new WeakMap<Backend, TokenBucket>();
  readonly #listener: BackendsListener;

  constructor(listener: Partial<BackendsListener> = {}) {
    this.#listener = { ...NOBODY, ...listener };
  }

  /**
   * The pool in which a request waits for its connection.
   * @throws BackendError ERR_BACKEND_ADDRESS when its address is not allowed, ERR_BACKEND_BUSY
   */
  pool(backend: Backend, asker: BackendAsker): BackendPool {
    return this.#source(backend).pool(asker);
  }

  /** True while a pool is one that the backend is reached by. @throws BackendError ERR_BACKEND_ADDRESS */
  serves(backend: Backend, pool: BackendPool, asker: BackendAsker): boolean {
    return !pool.closed && this.#source(backend).has(pool, asker);
  }

  /** True when a request of which nothing was sent may go to another server, after one could not be reached. */
  hasOther(backend: Backend, tried: ReadonlySet<BackendPool>): boolean {
    const source = this.#known.get(backend);
    return source instanceof ServerGroup && tried.size < MAX_TRIED && source.hasOther(tried);
  }

  /**
   * Makes a connection of its own to a backend, to another server when one cannot be reached; nothing but what TLS needs was sent
   * when it stands. Destroying what it gives ends the try in silence.
   */
  dial(backend: Backend, asker: BackendAsker, tell: Dialling, options: DialOptions = {}): { destroy(): void } {
    const tried = new Set<BackendPool>();
    let socket: Socket | undefined;
    const next = (): void => {
      const pool = this.pool(backend, { ...asker, tried });
      tried.add(pool);
      const failed = (error: BackendError): void => {
        pool.health?.failed(error.code, performance.now());
        if (!this.hasOther(backend, tried)) return tell.failed(error);
        next();
      };
      socket = dial(pool.server, { connected: tell.connected, failed }, options);
    };
    next();
    return { destroy: () => socket?.destroy() };
  }

  /** Charges small frames of WebSockets to their backend; gives the ms until they are paid for. */
  spend(backend: Backend, smallFrames: number): number {
    const now = performance.now();
    const budget = this.#smallFrames.get(backend) ?? new TokenBucket(SMALL_FRAMES, SMALL_FRAMES, now);
    this.#smallFrames.set(backend, budget);
    budget.spend(smallFrames, now);
    return budget.waitMs(now);
  }

  /** True when every one of the backends is congested for a tenant: whatever it asks for would only wait. */
  congested(backends: readonly Backend[], tenant: Tenant): boolean {
    for (const backend of backends) if (this.#known.get(backend)?.congested(tenant) !== true) return false;
    return backends.length > 0;
  }

  /** Servers of several that rest after failures. */
  get resting(): number {
    return [...this.#groups.values()].reduce((sum, group) => sum + group.resting, 0);
  }

  close(): void {
    for (const one of [...this.#pools.values(), ...this.#groups.values(), ...this.#chosen.values()]) one.close();
  }

  #source(backend: Backend): PoolSource {
    const known = this.#known.get(backend);
    if (known && !known.closed) return known;
    const source = this.#find(backend);
    this.#known.set(backend, source);
    return source;
  }

  #find(backend: Backend): PoolSource {
    const key = JSON.stringify(backend);
    if (isTemplate(backend)) return this.#template(backend);
    const known = backend.servers ? this.#groups.get(key) : this.#pools.get(key);
    return known ?? (backend.servers ? this.#newGroup(key, backend) : this.#newPool(key, backend));
  }

  /** Resources change and go: what nobody uses any more is not kept for ever. */
  #closeUnused(): void {
    for (const kept of [this.#pools, this.#groups, this.#chosen] as Map<string, BackendPool | ServerGroup>[]) {
      for (const [key, one] of kept) {
        if (!one.unused) continue;
        one.close();
        kept.delete(key);
      }
    }
  }

  #newPool(key: string, backend: Backend): BackendPool {
    checkLiteral(backend);
    this.#closeUnused();
    const pool = new BackendPool(backend, this.#listener);
    this.#pools.set(key, pool);
    return pool;
  }

  #newGroup(key: string, backend: Backend): ServerGroup {
    this.#closeUnused();
    const group = new ServerGroup(backend, {
      newPool: (server: BackendServer, health: ServerHealth) => new BackendPool(server, { ...this.#listener, health }),
      changed: this.#listener.serverChanged,
      handlerFailed: this.#listener.handlerFailed,
    });
    this.#groups.set(key, group);
    return group;
  }

  /** A backend whose host devices choose by the name that they ask for: a pool for each name. */
  #template(backend: Backend): PoolSource {
    const find = (asker: BackendAsker): BackendPool | undefined => {
      const pool = this.#chosen.get(JSON.stringify(chosenServer(backend, asker)));
      return pool?.closed ? undefined : pool;
    };
    return {
      closed: false,
      pool: (asker) => find(asker) ?? this.#choose(chosenServer(backend, asker), asker),
      has: (pool, asker) => find(asker) === pool,
      congested: () => false,
    };
  }

  #choose(server: BackendServer, { tenant }: BackendAsker): BackendPool {
    if (!this.#hasRoomFor(tenant)) {
      tenant.leaveIdle();
      this.#closeUnused();
    }
    if (!this.#hasRoomFor(tenant))
      throw new BackendError('ERR_BACKEND_BUSY', 'too many hosts under wildcards are in use');
    const pool = new BackendPool(server, this.#listener);
    this.#chosen.set(JSON.stringify(server), pool);
    return pool;
  }

  #hasRoomFor({ user }: Tenant): boolean {
    const own = [...this.#chosen.values()].filter((pool) => pool.serves(user));
    return this.#chosen.size < MAX_CHOSEN && own.length < MAX_CHOSEN_OF_USER;
  }
}

/** True for two that say the same: what was dialled for one of them is right for the other one. */
export function isSameBackend(one: Backend, other: Backend): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

function isTemplate({ url }: Backend): boolean {
  return url.includes('*');
}

/** The server that a name under a wildcard leads to. @throws BackendError ERR_BACKEND_ADDRESS when it leads nowhere */
function chosenServer({ url, ...rest }: Backend, { under, authority }: BackendAsker): BackendServer {
  const part = wildcardPart(under, authority);
  if (part === undefined) throw new BackendError('ERR_BACKEND_ADDRESS', 'the name is not under the wildcard');
  return { ...rest, url: url.replace('*', part), chosen: true };
}
