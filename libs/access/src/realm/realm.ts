import { formatHex } from '@sallyport/channel';
import type { RealmSettings } from '@sallyport/security-api';
import { AccessError, type StoreError } from '../store/errors.ts';
import type { RealmStore, RowLock, Transaction } from '../store/store.ts';
import { beginAudit } from './audit.ts';
import type { AccessContext } from './context.ts';
import { randomId } from './ids.ts';
import { DEFAULT_LEASE_MS } from './lease-time.ts';
import type { RealmRow } from './rows.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Settings of a new realm. */
export const DEFAULT_SETTINGS: RealmSettings = {
  sessionTtlMs: 12 * HOUR,
  rotateAfterMs: DAY,
  previousKeyGraceMs: HOUR,
  codeTtlMs: DAY,
  openBurst: 200,
  openRate: 50,
  channelsPerSession: 4,
  channelsPerInstallation: 8,
  channelsPerUser: 64,
  webSocketMessageBytes: 16_777_216,
  loginNeedsPassword: true,
  secondFactor: 'whenEnrolled',
  endedKeepMs: 90 * DAY,
  auditKeepMs: 730 * DAY,
  production: false,
  context: {},
  enrolPage: 'https://localhost/enroll',
};

/**
 * Creates the realm once; true when it was not there. Several nodes may do so together. `leaseMs` is the longest lease that
 * is given in it so far.
 */
export async function ensureRealm(access: AccessContext, leaseMs: number = DEFAULT_LEASE_MS): Promise<boolean> {
  try {
    return await createRealm(access, leaseMs);
  } catch (error) {
    if ((error as StoreError).code === 'ERR_STORE_CONFLICT') return false;
    throw error;
  }
}

function createRealm(access: AccessContext, longestLeaseMs: number): Promise<boolean> {
  return access.store.transaction(async (transaction) => {
    if (await transaction.tables.realms.find({ id: 'realm' })) return false;
    const log = {
      epoch: randomId(access.crypto),
      supersedes: [],
      closed: false,
      held: true,
      // Nobody has a lease yet.
      heldRun: transaction.serverRun,
      head: 0,
      headHash: '',
      journal: '',
    };
    const counters = { generation: 0, longestLeaseMs, policyVersion: 0, notBefore: 0, mapVersion: 0 };
    await transaction.tables.realms.insert({ id: 'realm', ...log, ...counters, settings: DEFAULT_SETTINGS });
    await beginAudit(transaction);
    return true;
  });
}

/**
 * The site map changes: devices keep the map with the highest version. It follows the clock where that is ahead, so that a
 * realm that was restored from a backup goes on above every version that devices have seen; call it with each new epoch.
 * Locks the realm's row.
 */
export async function bumpMapVersion(transaction: Transaction): Promise<void> {
  const { mapVersion } = await getRealm(transaction, 'update');
  await transaction.tables.realms.update(
    { where: { id: 'realm' } },
    { mapVersion: Math.max(mapVersion + 1, transaction.now()) },
  );
}

/** Rights change: nodes read resources, policies and sites again. */
export async function bumpPolicyVersion(transaction: Transaction): Promise<void> {
  const { policyVersion } = await getRealm(transaction);
  await transaction.tables.realms.update({ where: { id: 'realm' } }, { policyVersion: policyVersion + 1 });
}

/** The realm's row. @throws AccessError ERR_ACCESS_NOT_FOUND before ensureRealm. */
export async function getRealm(transaction: Transaction, lock?: RowLock): Promise<RealmRow> {
  const row = await transaction.tables.realms.find({ id: 'realm' }, lock);
  if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', 'the realm does not exist');
  return row;
}

/** True once the realm was created. */
export async function hasRealm(store: RealmStore): Promise<boolean> {
  return (await store.transaction(({ tables }) => tables.realms.count())) > 0;
}

/** The realm's row as it is now. @throws AccessError ERR_ACCESS_NOT_FOUND before ensureRealm. */
export function readRealm(store: RealmStore): Promise<RealmRow> {
  return store.transaction((transaction) => getRealm(transaction));
}

/** Places in the two logs of a realm where somebody left off. */
export interface LogPlaces {
  /** Index in the revocation log. */
  readonly head: number;
  /** Number of an event of the audit log. */
  readonly auditSeq: number;
}

/** The row of a realm, and what its logs have at given places. */
export interface SeenRealm {
  readonly realm: RealmRow;
  /** Hash of the entry of the revocation log; undefined when there is none. */
  readonly hashThere: string | undefined;
  /** Hash of the audit event, hex; undefined when there is none, perhaps because it was old. */
  readonly auditThere: string | undefined;
  /** Head of the audit log. */
  readonly audit: { readonly seq: number; readonly hash: string };
}

/**
 * Reads the realm with its logs at these places, and writes: the commit makes everything before it durable, also what was under
 * way when it was asked for.
 */
export function settleRealm(store: RealmStore, { head, auditSeq }: LogPlaces): Promise<SeenRealm> {
  const look = async (transaction: Transaction): Promise<SeenRealm> => {
    const { revocations, audit, auditHeads, realms } = transaction.tables;
    const found = await revocations.find({ index: head });
    const event = await audit.find({ seq: auditSeq });
    const end = await auditHeads.find({ id: 'head' });
    const realm = await getRealm(transaction, 'update');
    await realms.update({ where: { id: 'realm' } }, { held: realm.held });
    return {
      realm,
      hashThere: found?.hash,
      auditThere: event && formatHex(event.hash),
      audit: { seq: end?.seq ?? 0, hash: formatHex(end?.hash ?? new Uint8Array()) },
    };
  };
  return store.transaction(look, { urgent: true });
}

/** The clock that all nodes share, epoch ms. */
export function readTime(store: RealmStore): Promise<number> {
  return store.transaction(async (transaction) => transaction.now());
}

/** Settings of a realm row, with defaults for what a later version added. */
export function settingsOf(row: RealmRow): RealmSettings {
  return { ...DEFAULT_SETTINGS, ...row.settings };
}

/** Notes a lease, ms, before it can be given: a restore waits for the longest that ever was. */
export async function noteLongestLease({ tables }: Transaction, leaseMs: number): Promise<void> {
  const shorter = { where: { id: 'realm' }, below: ['longestLeaseMs', leaseMs] } as const;
  await tables.realms.update(shorter, { longestLeaseMs: leaseMs });
}
