import type { SessionClaim } from './fair-queue.ts';
import type { BackendPool } from './pool.ts';
import type { PooledCall } from './pooled-call.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What one channel has of one pool. */
export interface Share {
  readonly tenant: Tenant;
  readonly claim: SessionClaim<PooledCall>;
  /** Connections that are signed in for this channel, or are about to be: nobody else's requests ever go over them. */
  readonly own: Set<PooledConnection>;
  /** Those of them that are idle. */
  readonly ownIdle: Set<PooledConnection>;
  /** Calls that wait for one of them. */
  readonly waiting: PooledCall[];
}

/** For whom requests are made: a channel, of a session, of a user. One per channel, ended with it. */
export class Tenant {
  readonly session: string;
  readonly user: string;
  readonly #shares = new Map<BackendPool, Share>();
  #ended = false;

  constructor({ session, user }: { readonly session: string; readonly user: string }) {
    this.session = session;
    this.user = user;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What it has of a pool, undefined when it never asked for anything there. */
  findShare(pool: BackendPool): Share | undefined {
    return this.#shares.get(pool);
  }

  share(pool: BackendPool): Share {
    const known = this.#shares.get(pool);
    if (known) return known;
    const share = pool.admit(this);
    this.#shares.set(pool, share);
    return share;
  }

  /** Leaves the pools in which nothing of its session is under way or waits. */
  leaveIdle(): void {
    for (const [pool, share] of this.#shares) {
      const { claim, own } = share;
      if (claim.held > 0 || claim.items.length > 0 || own.size > 0) continue;
      pool.leave(share);
      this.#shares.delete(pool);
    }
  }

  /** The channel is over: what was signed in for it ends. */
  end(): void {
    this.#ended = true;
    for (const [pool, share] of this.#shares) pool.leave(share);
    this.#shares.clear();
  }
}
