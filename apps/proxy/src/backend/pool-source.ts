import type { BackendPool } from './pool.ts';
import type { Tenant } from './tenant.ts';

/** Who asks a backend for something, and where it was tried already. */
export interface BackendAsker {
  /** What was asked for, and the resource's own authority, which may be a wildcard. */
  readonly authority: string;
  readonly under: string;
  readonly tenant: Tenant;
  readonly tried?: ReadonlySet<BackendPool> | undefined;
}

/** Where connections to a backend come from: one pool, or one of several by what is asked for and by whom. */
export interface PoolSource {
  readonly closed: boolean;
  /** @throws BackendError ERR_BACKEND_ADDRESS, ERR_BACKEND_BUSY */
  pool(asker: BackendAsker): BackendPool;
  has(pool: BackendPool, asker: BackendAsker): boolean;
  congested(tenant: Tenant): boolean;
}
