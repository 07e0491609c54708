import type { KeptRevocation } from '@sallyport/security-api';
import { isSealed, isWorthKeeping } from '../journal/seal.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import type { Transaction } from '../store/store.ts';
import { appendAgain } from './again.ts';
import type { RevocationRow } from './rows.ts';

/** What became of entries that a Proxy has brought back. */
export interface BroughtBack {
  /** Entries that this database did not know: in its log, with their effects, from now on. */
  readonly appended: readonly RevocationRow[];
  /** Once the journal has everything up to here, the Proxy may forget what is not foreign. */
  readonly index: number;
  /** How many Security never wrote, or wrote otherwise. */
  readonly refused: number;
  /** Epochs that this one never took the place of: what is of them stays with the Proxy. */
  readonly foreign: readonly string[];
}

/**
 * Takes what a Proxy has kept of the epochs before this one. What this log does not know is appended to it once, by the id of
 * its request: as a revocation of this epoch. A Proxy can hold entries back, and make none.
 */
export async function takeBack(
  access: AccessContext,
  proxy: string,
  kept: readonly KeptRevocation[],
): Promise<BroughtBack> {
  const sealer = { keyring: access.keyring, realm: access.store.realm };
  const sound = kept.filter((entry) => isWorthKeeping(entry) && isSealed(sealer, entry));
  const refused = kept.length - sound.length;
  const { missing, foreign, head } = await access.store.transaction((transaction) => missingOf(transaction, sound));
  if (missing.length === 0) return { appended: [], index: head, refused, foreign };
  const by = { actor: `Proxy ${proxy}`, reason: 'kept by a Proxy from before a restore' };
  const appended = await change(access, by, (begun) => appendMissing(begun, sound), { urgent: true });
  return { appended, index: appended.at(-1)?.index ?? head, refused, foreign };
}

interface Missing {
  readonly missing: readonly KeptRevocation[];
  readonly foreign: readonly string[];
  readonly head: number;
}

/** What the log lacks, each once, in the order of their commits. */
async function missingOf(transaction: Transaction, sound: readonly KeptRevocation[]): Promise<Missing> {
  const { supersedes, head } = await getRealm(transaction);
  const past = sound.filter(({ epoch }) => supersedes.includes(epoch));
  const missing = new Map(past.map((entry) => [entry.requestId, entry]));
  const ids = [...missing.keys()];
  for (const { requestId } of await transaction.tables.revocations.list({ among: ['requestId', ids] }))
    missing.delete(requestId);
  const others = sound.filter(({ epoch }) => !supersedes.includes(epoch)).map(({ epoch }) => epoch);
  const inOrder = [...missing.values()].sort(
    (a, b) => supersedes.indexOf(a.epoch) - supersedes.indexOf(b.epoch) || a.index - b.index,
  );
  return { missing: inOrder, foreign: [...new Set(others)], head };
}

async function appendMissing(begun: Change, sound: readonly KeptRevocation[]): Promise<readonly RevocationRow[]> {
  const { missing } = await missingOf(begun, sound);
  const appended: RevocationRow[] = [];
  for (const entry of missing) {
    if (await isOvertaken(begun, entry)) continue;
    appended.push(await appendAgain(begun, { ...entry, ...begun.by }));
    begun.audit('revoke.again', `${entry.kind} ${entry.subject}`);
  }
  if (appended.length === 0) begun.unchanged();
  return appended;
}

/** True when what the entry ended was replaced since: a password that was set anew, a Proxy that has joined anew. */
async function isOvertaken({ tables }: Change, { kind, subject, at }: KeptRevocation): Promise<boolean> {
  if (kind === 'proxy') return ((await tables.proxies.find({ name: subject }))?.joinedAt ?? 0) > at;
  if (kind !== 'credentials') return false;
  const [newest] = await tables.revocations.list({ where: { kind, subject }, newestFirst: true, limit: 1 });
  return newest !== undefined && newest.at > at;
}
