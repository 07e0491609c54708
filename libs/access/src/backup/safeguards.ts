import { formatHex } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import type { SafeguardKind, SafeguardRow } from './rows.ts';

/** A standby that is seen all the time is noted so often only, ms. */
const NOTE_MS = 30_000;
/** A standby that nobody has seen for so long is missed, ms. */
const STANDBY_DUE_MS = 120_000;
/** An archive that nobody has restored to look at it for longer is missed, ms: a week, and a day to do it. */
const ARCHIVE_DUE_MS = 8 * 86_400_000;
/** More names are nobody's standbys. */
const MAX_OF_A_KIND = 64;
const ARCHIVE = 'archive';
/** As `sallyport standby follow` calls a site, unless somebody says otherwise. */
const SITE_STANDBY = 'standby-site';

/** A database that follows this one, as the primary sees it. */
export interface SeenStandby {
  readonly name: string;
  /** Empty where the primary does not say. */
  readonly address: string;
}

/** All that is known of them, in the order of kinds and names, and the store's clock. */
export function listSafeguards({
  store,
}: AccessContext): Promise<{ readonly rows: readonly SafeguardRow[]; readonly now: number }> {
  return store.transaction(async (transaction) => ({
    rows: await transaction.tables.safeguards.list(),
    now: transaction.now(),
  }));
}

/** Notes which standbys follow at this moment. */
export async function noteStandbys({ store }: AccessContext, seen: readonly SeenStandby[]): Promise<void> {
  if (seen.length === 0) return;
  await store.transaction(async (transaction) => {
    const known = await transaction.tables.safeguards.list({ where: { kind: 'standby' } });
    const now = transaction.now();
    for (const { name, address } of seen.slice(0, MAX_OF_A_KIND)) {
      const before = known.find((row) => row.name === name);
      const isFresh = before && before.goodAt <= now && now - before.goodAt < NOTE_MS && before.address === address;
      if (!isFresh) await put(transaction, { kind: 'standby', name, address, dueMs: STANDBY_DUE_MS, upTo: now });
    }
  });
}

/** Notes that the realm was copied, as it was at a moment; `everyMs`: until the next one. */
export async function noteCopy(
  { store }: AccessContext,
  { name, takenAt, everyMs }: { readonly name: string; readonly takenAt: number; readonly everyMs: number },
): Promise<void> {
  await store.transaction((transaction) =>
    put(transaction, { kind: 'copy', name, address: '', dueMs: 2 * everyMs, upTo: takenAt }),
  );
}

/** Where the logs of a realm ended in what was restored from an archive: only who has read them knows the hashes. */
export interface ArchiveProof {
  readonly epoch: string;
  readonly log: { readonly head: number; readonly hash: string };
  /** The hash in hex. */
  readonly audit: { readonly seq: number; readonly hash: string };
}

/**
 * Notes that somebody has restored the archive, and how far it came. @throws AccessError ERR_ACCESS_INVALID for what is not in the
 * logs of this realm, or came less far than before
 */
export function noteArchiveProof(access: AccessContext, proof: ArchiveProof, by: Actor): Promise<SafeguardRow> {
  return change(access, by, async (begun) => {
    const upTo = await endOf(begun, proof);
    const before = await begun.tables.safeguards.find({ kind: 'archive', name: ARCHIVE }, 'update');
    if (before && before.upTo > upTo)
      throw new AccessError('ERR_ACCESS_INVALID', 'what was restored is older than what was restored before');
    const row = await put(begun, { kind: 'archive', name: ARCHIVE, address: '', dueMs: ARCHIVE_DUE_MS, upTo });
    begun.audit('archive.verified', `up to event ${proof.audit.seq} of ${new Date(upTo).toISOString()}`);
    return row;
  });
}

/** When the last event that came along was written. */
async function endOf(transaction: Transaction, { epoch, log, audit }: ArchiveProof): Promise<number> {
  const realm = await getRealm(transaction);
  const entry = await transaction.tables.revocations.find({ index: log.head });
  const event = await transaction.tables.audit.find({ seq: audit.seq });
  const isOfLog = log.head === 0 ? log.hash === '' : entry?.hash === log.hash;
  const isOfUs = realm.epoch === epoch && isOfLog && event && formatHex(event.hash) === audit.hash;
  if (!isOfUs)
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      'what was restored is not of this realm, or of a life before a restore',
    );
  return event.at;
}

/** Forgets one that is not to come back: nobody misses it any more. False when there is none. */
export function forgetSafeguard(
  access: AccessContext,
  key: { readonly kind: SafeguardKind; readonly name: string },
  by: Actor,
): Promise<boolean> {
  return change(access, by, async (begun) => {
    const gone = await begun.tables.safeguards.remove({ where: key });
    if (gone === 0) {
      begun.unchanged();
      return false;
    }
    begun.audit(`${key.kind}.forget`, key.name);
    return true;
  });
}

async function put(transaction: Transaction, what: Omit<SafeguardRow, 'goodAt'>): Promise<SafeguardRow> {
  const { kind, name } = what;
  const { tables } = transaction;
  const row: SafeguardRow = { ...what, goodAt: transaction.now() };
  // A row that somebody else wrote gives way.
  await tables.safeguards.remove({ where: { kind, name } });
  await tables.safeguards.insert(row);
  return row;
}

/** What else is known at the moment. */
export interface SafeguardMoment {
  readonly now: number;
  /** The database has an archive. */
  readonly archived: boolean;
  /** Where the primary itself is: a standby that has become it is not missed. Empty where it does not say. */
  readonly primary: string;
}

/** Which of them are missed. A standby of which nobody knows where it was is missed only where it is of another site by its name. */
export function missedSafeguards(
  rows: readonly SafeguardRow[],
  { now, primary }: Pick<SafeguardMoment, 'now' | 'primary'>,
): readonly SafeguardRow[] {
  return rows.filter(({ kind, name, address, goodAt, dueMs }) => {
    if (goodAt <= now && now - goodAt <= dueMs) return false;
    if (kind !== 'standby') return true;
    return address === '' ? name.startsWith(SITE_STANDBY) : address !== primary;
  });
}

/** What is missed, in words. */
export function safeguardWords(rows: readonly SafeguardRow[], moment: SafeguardMoment): string[] {
  const archive = rows.find(({ kind }) => kind === 'archive');
  const unproven =
    moment.archived && !archive
      ? ['nobody has ever restored the archive: nobody knows whether it can be (sallyport backup continuous verify)']
      : [];
  return [...missedSafeguards(rows, moment).flatMap((row) => wordsOf(row, moment)), ...unproven];
}

function wordsOf({ kind, name, goodAt, upTo }: SafeguardRow, { archived }: SafeguardMoment): string[] {
  const [good, end] = [goodAt, upTo].map((at) => new Date(at).toISOString());
  if (kind === 'standby')
    return [
      `standby ${name} follows no more since ${good}: it lacks what came later (it will not come back? sallyport standby forget ${name})`,
    ];
  if (kind === 'copy')
    return [
      `the copy at ${name} is of ${end}: none was made since (there will be none? sallyport standby forget --copy ${name})`,
    ];
  return archived ? [`nobody has restored the archive since ${good} (sallyport backup continuous verify)`] : [];
}
