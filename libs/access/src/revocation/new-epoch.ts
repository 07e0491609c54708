import type { JournalCopy } from '../journal/copies.ts';
import type { Journal, JournalContent, JournalEntry } from '../journal/journal.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { randomId } from '../realm/ids.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';
import { appendAgain } from './again.ts';
import { copiesAre } from './copied-log.ts';
import { type HostChange, renameHosts } from './renamed-hosts.ts';

/** Above every version that was given out since the backup: nobody makes a million changes between two backups. */
const VERSION_LEAP = 1_000_000;

/** A place in the log of an epoch. */
export interface SeenLog {
  readonly epoch: string;
  readonly head: number;
  readonly headHash: string;
  /** Up to here the journal must have it; absent where nobody says so. */
  readonly journaled?: number;
  /** The longest lease that was ever given in it, ms; absent where nobody says so. */
  readonly longestLeaseMs?: number;
}

/** How a restored database begins its new life. Its store is bare of any fence. */
export interface NewEpoch {
  readonly access: AccessContext;
  /** Absent: there never was one, or it is lost, and then `lost` says so. */
  readonly journal?: Journal | undefined;
  /** The journal, or a part of it, is lost: all users stay out until somebody has looked at them. */
  readonly lost: boolean;
  /** Reads copies of the journal; after the claim, so that nothing is written behind them any more. */
  readonly readCopies?: () => Promise<readonly JournalCopy[]>;
  /** Where the log was in the backup; absent: as the database has it, which a try before this one may have moved. */
  readonly backup?: Pick<RealmRow, 'epoch' | 'head' | 'headHash'>;
  /** Last entry of the log that is lost, by whoever knows: where copies hold all up to it, nothing is lost. */
  readonly logEndedAt?: number | undefined;
  /** Epochs that nodes name in their files. */
  readonly supersedes?: readonly string[];
  /** What the database was restored from, in words for the audit log. */
  readonly from?: string;
  /** Who was ended as an operator since the backup is one again in it: all come anew by a one-time token, or all stay. */
  readonly operators?: 'out' | 'stay';
  /** Hosts that have another name from now on, by the one that they had. */
  readonly hosts?: readonly HostChange[];
  /** How far somebody saw the log of an epoch, with proof: the journal must hold all of it. */
  readonly seen?: SeenLog | undefined;
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
  /** How many users stay out because what is lost may have been about them. */
  readonly usersOut: number;
  /** Where a host was named that has another name now. */
  readonly renamed: readonly string[];
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
  const copies = (await order.readCopies?.()) ?? [];
  const restored = await change(access, order.by, async (begun) => {
    const realm = await getRealm(begun);
    if (!order.lost) checkWhole(content, realm);
    const known = copiesAre(copies, order.backup ?? realm, order.logEndedAt);
    const lost = order.lost && !known.whole;
    const all = { ...content, ...merged(content, known) };
    if (!lost) await checkSeen(begun, all, order.seen);
    return rebuild(begun, { ...order, lost }, { epoch, content: all });
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
    `the journal (${journal.description}) never belonged to this database: if that of before is gone, say so (--journal-is-lost)`,
  );
}

async function claimAndRead(journal: Journal, epoch: string): Promise<JournalContent> {
  if (!(await journal.claim(await journal.claimed(), epoch))) throw anotherRestore();
  return journal.read();
}

/** A journal that the backup's own epoch never claimed is another one, or a new one in the place of one that is lost. */
function checkWhole({ damaged, epochs }: JournalContent, { epoch }: RealmRow): void {
  if (!epochs.includes(epoch))
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      'this journal never was the one of this database: if that is gone, say so (--journal-is-lost)',
    );
  // What was revoked in an epoch before that of the backup is in the backup.
  const since = epochs.slice(epochs.indexOf(epoch)).filter((one) => damaged.includes(one));
  if (since.length > 0)
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      `entries of the journal are missing or cannot be read (of epoch ${since.join(', ')}): it counts as lost (--journal-is-lost)`,
    );
}

/** The journal's own entries come first: they are the truth, and copies add what it has lost. */
function merged(
  content: JournalContent,
  copied: { readonly epochs: readonly string[]; readonly entries: readonly JournalEntry[] },
): Pick<JournalContent, 'epochs' | 'entries'> {
  const known = new Set(content.entries.map(({ requestId }) => requestId));
  const more = copied.entries.filter(({ requestId }) => !known.has(requestId));
  return { epochs: [...content.epochs, ...copied.epochs], entries: [...content.entries, ...more] };
}

/** A journal that went back together with the database lacks its tail, and nothing of itself says so. */
async function checkSeen(begun: Transaction, { entries }: JournalContent, seen: SeenLog | undefined): Promise<void> {
  if (!seen?.journaled) return;
  const { epoch, head, headHash, journaled } = seen;
  // Whoever took the place of that epoch has brought back what there was of it.
  if ((await getRealm(begun)).supersedes.includes(epoch)) return;
  const isIt = (entry: { readonly index: number; readonly hash: string }): boolean =>
    entry.index === journaled && (journaled < head || entry.hash === headHash);
  if (entries.some((entry) => entry.epoch === epoch && isIt(entry))) return;
  const row = await begun.tables.revocations.find({ index: journaled });
  if (row && isIt(row)) return;
  throw new AccessError(
    'ERR_ACCESS_INVALID',
    `the journal lacks revocations up to entry ${journaled} of epoch ${epoch}, which were seen: it went back, too, and counts as lost`,
  );
}

function anotherRestore(): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', 'another restore has claimed the journal; this database stays closed');
}

async function rebuild(
  begun: Change,
  { lost, supersedes = [], from, hosts = [], operators = 'stay', seen }: NewEpoch,
  { epoch, content }: { readonly epoch: string; readonly content: JournalContent },
): Promise<Restored> {
  const realm = await getRealm(begun);
  const { tables, at } = begun;
  const past = [...realm.supersedes, realm.epoch, ...content.epochs, ...supersedes];
  // The first event of the new life: who has restored it, from what, when and why.
  begun.audit('realm.new-epoch', from === undefined ? epoch : `${epoch} from ${from}`);
  await tables.realms.update({ where: { id: 'realm' } }, { ...versionsAfter(realm, at), closed: true });
  await voidOneTimeThings(begun);
  if (operators === 'out') await tables.operatorTokens.remove({});
  // Nodes of before may be gone with their site; those that are not tell of themselves again.
  await tables.nodes.remove({});
  const missing = await missingEntries(begun, content);
  for (const entry of missing) await appendAgain(begun, entry);
  const usersOut = lost ? await putEverybodyOut(begun) : 0;
  const renamed = await renameHosts(begun, hosts);
  // Last: entries may have raised the generation themselves.
  const { generation } = await getRealm(begun);
  const life = { epoch, supersedes: [...new Set(past)].filter((one) => one !== epoch), held: false, journal: '' };
  // A lease that was made longer since the backup may live.
  const longestLeaseMs = Math.max(realm.longestLeaseMs, seen?.longestLeaseMs ?? 0);
  await tables.realms.update({ where: { id: 'realm' } }, { ...life, longestLeaseMs, generation: generation + 1 });
  const rights = missing.filter(({ kind }) => kind === 'rights');
  const credentials = await namesOfReplaced(begun, missing);
  return { epoch, appended: missing, rights, credentials, usersOut, renamed };
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
  // What stood by the database of before stands by another one, if at all.
  await tables.safeguards.remove({});
  // Releases since the backup may name them: from now on they have all their time again.
  await tables.unnamedPackages.remove({});
  await tables.codes.remove({});
  await tables.installLinks.remove({});
  await tables.joinTokens.remove({});
  await tables.operatorTokens.remove({ where: { oneTime: true } });
}

async function missingEntries({ tables }: Transaction, { entries }: JournalContent): Promise<JournalEntry[]> {
  const missing = new Map(entries.map((entry) => [entry.requestId, entry]));
  for (const { requestId } of await tables.revocations.list()) missing.delete(requestId);
  return [...missing.values()];
}

/**
 * Nobody knows who of them was put out since the backup. Their installations stay as they are: whoever is let in again, because
 * somebody has looked at them, need not enrol anew. Their sessions are over as everybody's.
 */
async function putEverybodyOut(begun: Change): Promise<number> {
  const { users } = begun.tables;
  const out = await users.update({ where: { enabled: true } }, { outByOperator: true, enabled: false });
  begun.audit('user.disable', `all ${out} users, because the journal is lost`);
  // Also those whom a try before this one has put out.
  return users.count({ where: { outByOperator: true } });
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
