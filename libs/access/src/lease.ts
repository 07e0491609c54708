import type { RevocationEntry } from '@sallyport/security-api';
import type { AccessContext } from './context.ts';
import { getRealm } from './realm.ts';
import { entriesAfter } from './revocation.ts';

/** How long a Proxy may serve after its last beat, in ms, counted from the beat's send time. Bounds revocation. */
export const DEFAULT_LEASE_MS = 15_000;

/** A beat as a node records it. */
export interface BeatRecord {
  readonly proxy: string;
  readonly applied: number;
  readonly channels: number;
  readonly leaseMs: number;
  /** The node that records it. */
  readonly node: string;
  /** A Proxy without channels needs no entries, only the head. */
  readonly fresh?: boolean;
}

/** What a beat gets. */
export interface BeatResult {
  readonly head: number;
  readonly entries: readonly RevocationEntry[];
}

/**
 * Records a Proxy's lease and reads the log in one durable transaction; undefined for a Proxy that is unknown or revoked.
 * The share lock on the realm's row makes a revocation wait for this commit, so whoever revokes sees every lease that was
 * given without its entry. A database that lost its standbys cannot commit it, so it can never extend a lease.
 */
export async function recordBeat(access: AccessContext, beat: BeatRecord): Promise<BeatResult | undefined> {
  return access.store.transaction(async (transaction) => {
    const realm = await getRealm(transaction, 'share');
    const { leases, proxies } = transaction.tables;
    if ((await proxies.find({ name: beat.proxy }))?.revokedAt !== null) return undefined;
    const { proxy, applied, channels, leaseMs, node } = beat;
    const before = await leases.find({ proxy }, 'update');
    const expiresAt = transaction.now() + leaseMs;
    const lease = { applied, channels, expiresAt, leaseMs, node, beat: (before?.beat ?? 0) + 1 };
    if (before) await leases.update({ where: { proxy } }, lease);
    else await leases.insert({ proxy, ...lease });
    const entries = !beat.fresh && applied < realm.head ? await entriesAfter(transaction, applied) : [];
    return { head: realm.head, entries };
  });
}
