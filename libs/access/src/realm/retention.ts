import { encodeCbor, equalBytes } from '@sallyport/channel';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { appendAudit, auditStart, fitsAfter } from './audit.ts';
import type { AccessContext } from './context.ts';
import { getRealm, settingsOf } from './realm.ts';
import type { AuditHeadRow } from './rows.ts';

/** Rows of a kind that one batch removes at most: none may hold many for long. */
const BATCH = 500;
/** Releases of one batch: each has a list of its pieces. */
const RELEASES = 50;

/** A pod whose certificate was given longer ago holds none that is good, ms: none lasts longer than a week. */
const POD_KEPT_MS = 8 * 86_400_000;

/** What a batch removed, and whether there is more to remove. */
export interface Swept {
  readonly removed: number;
  readonly more: boolean;
}

/**
 * Removes a batch of what has ended longer ago than the realm keeps it: ended sessions, revoked installations and those
 * that were never used, tokens, accounts that nobody confirmed, withdrawn releases; and Proxies in pods that are gone for good. The revocation log stays whole. Safe on several nodes.
 */
export async function sweepEnded(access: AccessContext): Promise<Swept> {
  return access.store.transaction(async (transaction) => {
    const { endedKeepMs } = settingsOf(await getRealm(transaction));
    const before = transaction.now() - endedKeepMs;
    const { sessions, joinTokens, directoryTokens, operatorTokens, bindings, installLinks } = transaction.tables;
    const over = { below: ['expiresAt', before], limit: BATCH } as const;
    const counts = [
      await removeEach(sessions, await sessions.list({ below: ['endedAt', before], limit: BATCH })),
      await removeInstallations(transaction, await endedInstallations(transaction, before)),
      await removeEach(joinTokens, await joinTokens.list(over)),
      await removeEach(directoryTokens, await directoryTokens.list(over)),
      await removeEach(operatorTokens, await operatorTokens.list(over)),
      await removeEach(installLinks, await installLinks.list(over)),
      await removeEach(
        bindings,
        await bindings.list({ where: { state: 'waits' }, below: ['createdAt', before], limit: BATCH }),
      ),
      await forgetPods(transaction),
      await removeReleases(transaction, before),
    ];
    return { removed: counts.reduce((sum, count) => sum + count, 0), more: counts.some((count) => count === BATCH) };
  });
}

/** Releases that were withdrawn, after all that devices said of them. */
async function removeReleases({ tables }: Transaction, before: number): Promise<number> {
  const { releases, releaseReports } = tables;
  const over = await releases.list({ where: { state: 'withdrawn' }, below: ['withdrawnAt', before], limit: RELEASES });
  let removed = 0;
  for (const { id } of over) {
    const said = await releaseReports.list({ where: { releaseId: id }, limit: BATCH - removed });
    const of = ['installationId', said.map(({ installationId }) => installationId)] as const;
    if (said.length > 0) await releaseReports.remove({ where: { releaseId: id }, among: of });
    removed += said.length;
    if (removed === BATCH) return removed;
    await releases.remove({ where: { id } });
    removed += 1;
  }
  return Math.min(removed, BATCH);
}

/**
 * Proxies that were pods and whose last certificate is over: nobody has their key, and their name never comes again. One that was revoked
 * stays as a row, because its pod may live on, and its cluster go on vouching for it.
 */
async function forgetPods(transaction: Transaction): Promise<number> {
  const { pods, proxies } = transaction.tables;
  const gone = await pods.list({ below: ['certificateAt', transaction.now() - POD_KEPT_MS], limit: BATCH });
  if (gone.length === 0) return 0;
  const names = ['name', gone.map(({ name }) => name)] as const;
  await proxies.remove({ where: { revokedAt: null }, among: names });
  return pods.remove({ among: names });
}

async function removeEach(table: Removing, rows: readonly { readonly id: string }[]): Promise<number> {
  if (rows.length === 0) return 0;
  return table.remove({ among: ['id', rows.map(({ id }) => id)] });
}

/** Installations with what was proved of them, and the channels that they are on. */
async function removeInstallations({ tables }: Transaction, rows: readonly { readonly id: string }[]): Promise<number> {
  if (rows.length === 0) return 0;
  const of = { among: ['installationId', rows.map(({ id }) => id)] } as const;
  await tables.evidence.remove(of);
  await tables.channelDevices.remove(of);
  return removeEach(tables.installations, rows);
}

interface Removing {
  remove(selection: { readonly among: readonly ['id', readonly string[]] }): Promise<number>;
}

/** Revoked installations of which no session is kept any more, and those that enrolled and never signed in. */
async function endedInstallations({ tables }: Transaction, before: number) {
  const { installations, sessions } = tables;
  const old = { below: ['createdAt', before], limit: BATCH } as const;
  const unused = await installations.list({ ...old, where: { status: 'pending' } });
  const revoked = await installations.list({ ...old, where: { status: 'revoked' } });
  const unseen = revoked.filter(({ lastSeenAt }) => lastSeenAt === null || lastSeenAt < before);
  const kept = await sessions.list({ among: ['installationId', unseen.map(({ id }) => id)] });
  const named = new Set(kept.map(({ installationId }) => installationId));
  return [...unused, ...unseen.filter(({ id }) => !named.has(id))].slice(0, BATCH);
}

/**
 * Removes a batch of the oldest audit events, when the realm keeps them for a time only. The chain then begins at a
 * checkpoint, which only who holds the key-encryption key can make: the removed part was checked before.
 * @throws AccessError ERR_ACCESS_AUDIT_BROKEN when the events do not fit each other: nothing is removed then
 */
export async function trimAudit(access: AccessContext): Promise<Swept> {
  return access.store.transaction(async (transaction) => {
    const { audit, auditHeads } = transaction.tables;
    const { auditKeepMs } = settingsOf(await getRealm(transaction));
    if (auditKeepMs === 0) return { removed: 0, more: false };
    const before = transaction.now() - auditKeepMs;
    const head = await auditHeads.find({ id: 'head' }, 'update');
    const start = await auditStart(transaction);
    checkAuditStart(access, start);
    const rows = await audit.list({ above: ['seq', start.seq], limit: BATCH });
    let [mark, removed] = [{ seq: start.seq, hash: start.hash }, 0];
    for (const row of rows) {
      if (row.at >= before || row.seq === head?.seq) break;
      if (!fitsAfter(access.crypto, row, mark))
        throw new AccessError('ERR_ACCESS_AUDIT_BROKEN', `audit event ${mark.seq + 1} is missing or was changed`);
      mark = { seq: row.seq, hash: row.hash };
      removed += 1;
    }
    if (removed === 0) return { removed, more: false };
    const row: AuditHeadRow = { id: 'start', ...mark, seal: sealOf(access, mark) };
    await auditHeads.remove({ where: { id: 'start' } });
    await auditHeads.insert(row);
    await audit.remove({ below: ['seq', mark.seq + 1] });
    const more = removed === BATCH;
    const days = Math.round(auditKeepMs / 86_400_000);
    const by = { actor: 'retention', reason: `events are kept for ${days} days` };
    const event = { action: 'audit.trim', subject: `up to event ${mark.seq}`, outcome: 'done' } as const;
    if (!more) await appendAudit(transaction, access.crypto, { ...by, ...event, at: transaction.now() });
    return { removed, more };
  });
}

function contentOf({ seq, hash }: Pick<AuditHeadRow, 'seq' | 'hash'>): Uint8Array {
  return encodeCbor([seq, hash]);
}

function sealOf({ keyring, store }: AccessContext, mark: Pick<AuditHeadRow, 'seq' | 'hash'>): Uint8Array {
  return keyring.wrap(contentOf(mark), PURPOSES.auditStart(store.realm));
}

/** Checks that a Security server put the beginning of the chain where it is. @throws AccessError ERR_ACCESS_AUDIT_BROKEN */
export function checkAuditStart(
  { keyring, store }: AccessContext,
  start: Pick<AuditHeadRow, 'seq' | 'hash' | 'seal'>,
): void {
  if (start.seq === 0 && start.seal === null) return;
  const opened = start.seal && openedOr(() => keyring.unwrap(start.seal!, PURPOSES.auditStart(store.realm)));
  if (!opened || !equalBytes(opened, contentOf(start)))
    throw new AccessError(
      'ERR_ACCESS_AUDIT_BROKEN',
      `the audit log begins after event ${start.seq}, which nobody sealed`,
    );
}

function openedOr(open: () => Uint8Array): Uint8Array | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}
