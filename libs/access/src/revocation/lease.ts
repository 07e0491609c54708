import type { Beat } from '@sallyport/security-api';
import { proxyOfBeat } from '../farm/proxies.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import type { Transaction } from '../store/store.ts';
import { rowsAfter, type SealedEntries, sealedEntries } from './revocation.ts';
import type { LeaseRow, RevocationRow } from './rows.ts';

/** A beat as a node records it. */
export interface BeatRecord {
  readonly proxy: string;
  /** The key that the Proxy showed. */
  readonly keyHash: string;
  readonly beat: Omit<Beat, 'type' | 'id'>;
  readonly leaseMs: number;
  /** The node that records it. */
  readonly node: string;
}

/** What a beat gets. Nothing at all for a Proxy that is unknown or revoked. */
export type BeatResult =
  | { readonly type: 'revoked' }
  /** The Proxy follows another log than this one. */
  | { readonly type: 'anew'; readonly epoch: string; readonly supersedes: boolean }
  | ({
      readonly type: 'lease';
      readonly epoch: string;
      readonly head: number;
      readonly headHash: string;
      readonly leaseMs: number;
      /** Version of the site map. */
      readonly siteMapSeq: number;
      /** True while the site of the Proxy is being emptied. */
      readonly drained: boolean;
    } & SealedEntries);

/** The key of a lease row: one for each process of a Proxy. */
export function leaseKeyOf(proxy: string, instance: string): string {
  return `${proxy}/${instance}`;
}

/** Whose lease a row is. Rows of the version before name no instance. */
export function leaseHolderOf({ proxy }: Pick<LeaseRow, 'proxy'>): {
  readonly name: string;
  readonly instance: string;
} {
  const [name = '', instance = ''] = proxy.split('/');
  return { name, instance };
}

/**
 * Records a Proxy's lease and reads the log in one durable transaction. The share lock on the realm's row makes a revocation
 * wait for this commit, so whoever revokes sees every lease that was given without its entry. A database that lost its
 * standbys cannot commit it, so it can never extend a lease.
 * @throws StoreError ERR_STORE_FENCED on a database that gives nothing any more.
 */
export async function recordBeat(access: AccessContext, record: BeatRecord): Promise<BeatResult> {
  const { proxy, keyHash, beat, node } = record;
  return access.store.transaction(
    async (transaction): Promise<BeatResult> => {
      const realm = await getRealm(transaction, 'share');
      const holder = await proxyOfBeat(transaction, { name: proxy, keyHash });
      if (!holder) return { type: 'revoked' };
      const { epoch, head, headHash } = realm;
      const known = isPastOf(realm, beat.epoch ?? beat.after);
      if (!known || (beat.epoch ?? epoch) !== epoch) return { type: 'anew', epoch, supersedes: known };
      const rows = beat.epoch === undefined ? [] : await rowsBehind(transaction, realm, beat);
      if (!rows) return { type: 'anew', epoch, supersedes: true };
      const key = leaseKeyOf(proxy, beat.instance);
      const { leases, sites } = transaction.tables;
      const [before, site] = await Promise.all([
        leases.find({ proxy: key }, 'update'),
        sites.find({ name: holder.site }),
      ]);
      // No lease is longer than what a restore waits for.
      const leaseMs = Math.min(site?.leaseMs ?? record.leaseMs, realm.longestLeaseMs);
      const { channels } = beat;
      const applied = beat.epoch === undefined ? 0 : beat.done;
      // A longer lease that it was given before, by this node or one with another setting, may live: who waits counts with it.
      const longestMs = Math.max(leaseMs, before?.leaseMs ?? 0);
      const expiresAt = transaction.now() + longestMs;
      const { requests = 0, bytes = 0, rttMs = null } = beat;
      const served = { channels, requests, bytes, rttMs };
      const lease = { applied, ...served, expiresAt, leaseMs: longestMs, node, beat: (before?.beat ?? 0) + 1 };
      if (before) await leases.update({ where: { proxy: key } }, lease);
      else await leases.insert({ proxy: key, ...lease });
      const more = { siteMapSeq: realm.mapVersion, drained: site?.drainedAt !== undefined && site.drainedAt !== null };
      return { type: 'lease', epoch, head, headHash, leaseMs, ...more, ...sealedEntries(access, epoch, rows) };
    },
    { urgent: true },
  );
}

/** True for this epoch, and for one that it takes the place of. */
function isPastOf({ epoch, supersedes }: RealmRow, other: string = epoch): boolean {
  return other === epoch || supersedes.includes(other);
}

/** The entries behind what a Proxy has seen; undefined when this log does not hold that. */
async function rowsBehind(
  transaction: Transaction,
  { head, headHash }: RealmRow,
  { seen, hash }: BeatRecord['beat'],
): Promise<readonly RevocationRow[] | undefined> {
  if (seen > head) return undefined;
  if (seen === head) return hash === headHash ? [] : undefined;
  if (seen === 0) return hash === '' ? rowsAfter(transaction, 0) : undefined;
  const [last, ...rows] = await rowsAfter(transaction, seen - 1);
  return last?.index === seen && last.hash === hash ? rows : undefined;
}
