import type { Journal, JournalContent, JournalEntry } from '../journal/journal.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { appendAgain } from './again.ts';
import { endUser } from './revocation.ts';

/** Above every version that was given out since the backup: nobody makes a million changes between two backups. */
const VERSION_LEAP = 1_000_000;

/** How a restored database begins its new life. Its store is bare of any fence. */
export interface NewEpoch {
  readonly access: AccessContext;
  /** Absent: there never was one, or it is lost, and then `lost` says so. */
  readonly journal?: Journal | undefined;
  /** The journal, or a part of it, is lost: all users and installations stay out until somebody has looked at them. */
  readonly lost: boolean;
  /** Epochs that nodes name in their files. */
  readonly supersedes?: readonly string[];
  readonly by: Actor;
}

/** What a restore did, and what somebody should look at. */
export interface Restored {
  readonly epoch: string;
  /** Revocations that the backup did not know, in force again. */
  readonly appended: readonly JournalEntry[];
  /** Changes of rights since the backup: the journal says whose, the rights themselves are those of the backup. */
  readonly rights: readonly JournalEntry[];
  /** Names of users whose password or second factor was replaced since: what the backup has of a password opens nothing. */
  readonly credentials: readonly string[];
}

/** What restores do without a journal. */
const NOTHING: JournalContent = { epochs: [], entries: [], damaged: [] };

/**
 * Gives a restored database its new epoch (architecture, "A restore"). The claim comes first, so that the old database can
 * acknowledge nothing any more that is not read here; the database opens last, and only if the claim is still its own.
 * @throws AccessError ERR_ACCESS_CONFLICT when another restore is under way, ERR_ACCESS_INVALID for a damaged journal, or one that
 * never belonged to this database
 */
export async function beginNewEpoch(order: NewEpoch): Promise<Restored> {
  const { access, journal } = order;
  const epoch = randomId(access.crypto);
  if (journal && !order.lost) await checkBelongs(access, journal);
  const content = journal ? await claimAndRead(journal, epoch) : NOTHING;
  const restored = await change(access, order.by, async (begun) => {
    if (!order.lost) checkWhole(content, await getRealm(begun));
    return rebuild(begun, order, { epoch, content });
  });
  if (journal && (await journal.claimed()) !== epoch) throw anotherRestore();
  await access.store.transaction(({ tables }) =>
    tables.realms.update({ where: { id: 'realm', epoch } }, { closed: false }),
  );
  return restored;
}

/** A journal that never knew the life that the backup comes from is another one, or empty: nothing it holds can be relied on. */
async function checkBelongs({ store }: AccessContext, journal: Journal): Promise<void> {
  const { epochs } = await journal.read();
  const { epoch } = await store.transaction((transaction) => getRealm(transaction));
  if (epochs.includes(epoch)) return;
  throw new AccessError(
    'ERR_ACCESS_INVALID',
    `the journal (${journal.description}) never belonged to this database: if it is the right one, it counts as lost`,
  );
}

async function claimAndRead(journal: Journal, epoch: string): Promise<JournalContent> {
  if (!(await journal.claim(await journal.claimed(), epoch))) throw anotherRestore();
  return journal.read();
}

/** A journal that the backup's own epoch never claimed is another one, or a new one in the place of one that is lost. */
function checkWhole({ damaged, epochs }: JournalContent, { epoch }: RealmRow): void {
  if (!epochs.includes(epoch))
    throw new AccessError('ERR_ACCESS_INVALID', 'this journal never was the one of this database: it counts as lost');
  // What was revoked in an epoch before that of the backup is in the backup.
  const since = epochs.slice(epochs.indexOf(epoch)).filter((one) => damaged.includes(one));
  if (since.length > 0)
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      `entries of the journal are missing or cannot be read (of epoch ${since.join(', ')}): it counts as lost`,
    );
}

function anotherRestore(): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', 'another restore has claimed the journal; this database stays closed');
}

async function rebuild(
  begun: Change,
  { lost, supersedes = [], by }: NewEpoch,
  { epoch, content }: { readonly epoch: string; readonly content: JournalContent },
): Promise<Restored> {
  const realm = await getRealm(begun);
  const { tables, at } = begun;
  const past = [...realm.supersedes, realm.epoch, ...content.epochs, ...supersedes];
  await tables.realms.update({ where: { id: 'realm' } }, { ...versionsAfter(realm, at), closed: true });
  await voidOneTimeThings(begun);
  const missing = await missingEntries(begun, content);
  for (const entry of missing) await appendAgain(begun, entry);
  if (lost) await endEverybody(begun, { at, reason: by.reason });
  // Last: entries may have raised the generation themselves.
  const { generation } = await getRealm(begun);
  const life = { epoch, supersedes: [...new Set(past)].filter((one) => one !== epoch), held: false, journal: '' };
  await tables.realms.update({ where: { id: 'realm' } }, { ...life, generation: generation + 1 });
  begun.audit('realm.new-epoch', epoch);
  const rights = missing.filter(({ kind }) => kind === 'rights');
  return { epoch, appended: missing, rights, credentials: await namesOfReplaced(begun, missing) };
}

async function namesOfReplaced({ tables }: Transaction, missing: readonly JournalEntry[]): Promise<string[]> {
  const ids = missing.filter(({ kind }) => kind === 'credentials').map(({ subject }) => subject);
  return (await tables.users.list({ among: ['id', [...new Set(ids)]] })).map(({ name }) => name).sort();
}

/** Devices and caches keep what has the highest version. */
function versionsAfter({ policyVersion, mapVersion }: RealmRow, at: number): Partial<RealmRow> {
  return { policyVersion: policyVersion + VERSION_LEAP, mapVersion: Math.max(at, mapVersion) + VERSION_LEAP };
}

/** What was used once since the backup is unused again in it. Leases of the backup say nothing of those that live. */
async function voidOneTimeThings({ tables }: Transaction): Promise<void> {
  await tables.leases.remove({});
  await tables.codes.remove({});
  await tables.joinTokens.remove({});
  await tables.operatorTokens.remove({ where: { oneTime: true } });
}

async function missingEntries({ tables }: Transaction, { entries }: JournalContent): Promise<JournalEntry[]> {
  const missing = new Map(entries.map((entry) => [entry.requestId, entry]));
  for (const { requestId } of await tables.revocations.list()) missing.delete(requestId);
  return [...missing.values()];
}

async function endEverybody(transaction: Transaction, ending: { at: number; reason: string }): Promise<void> {
  for (const { id } of await transaction.tables.users.list()) await endUser(transaction, { ...ending, subject: id });
}

/** Closes a database: nothing is given from it any more, by whatever node. Its store is bare of any fence. */
export async function closeRealm(access: AccessContext, by: Actor): Promise<string> {
  return change(access, by, async (begun) => {
    const { epoch } = await getRealm(begun);
    await begun.tables.realms.update({ where: { id: 'realm' } }, { closed: true });
    begun.audit('realm.close', epoch);
    return epoch;
  });
}
