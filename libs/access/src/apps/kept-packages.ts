import type { PackageView } from '@sallyport/security-api';
import { change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

const DAY_MS = 86_400_000;
/**
 * How long a package is kept that no release names any more, ms: so long a backup of the database that is put back names none that is gone.
 */
const UNNAMED_KEPT_DAYS = 30;
const BY = { actor: 'retention', reason: `no release has named it for ${UNNAMED_KEPT_DAYS} days` };
/** Packages that are looked at in one transaction, and go in one sweep. */
const BATCH = 500;

/** What packages are removed from. */
export interface KeptPackages {
  /** SHA-256 of all that are there, hex. */
  names(): Promise<readonly string[]>;
  /** Afterwards it is not there, whether it was or not. */
  drop(sha256: string): Promise<void>;
}

/**
 * Keeps a package from being removed, for as long as one lasts that no release names: whoever is about to name it looks at it then.
 * @throws AccessError ERR_ACCESS_CONFLICT for one that goes at this moment
 */
export async function holdPackage({ store }: AccessContext, hash: string): Promise<void> {
  await store.transaction(async ({ tables: { unnamedPackages }, now }) => {
    const since = now();
    const row = await unnamedPackages.find({ hash }, 'update');
    if (row?.removing) throw goes();
    if (row) await unnamedPackages.update({ where: { hash } }, { since });
    else await unnamedPackages.insert({ hash, since, removing: false });
  });
}

/** A release names a package from now on, which was held before. @throws AccessError ERR_ACCESS_CONFLICT when it went meanwhile */
export async function nameHeld({ tables }: Transaction, hash: string): Promise<void> {
  const row = await tables.unnamedPackages.find({ hash });
  if (!row || row.removing) throw goes();
  await tables.unnamedPackages.remove({ where: { hash } });
}

function goes(): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', 'the package is just being removed: publish it again in a minute');
}

/**
 * Removes packages that no release has named for 30 days, each with an event of the audit log before it goes. Nobody can name one that goes;
 * what a sweep did not come to is done by the next one. Gives how many went. Safe on several nodes.
 */
export async function sweepPackages(access: AccessContext, kept: KeptPackages): Promise<number> {
  const names = await kept.names();
  for (let at = 0; at < names.length; at += BATCH) await judge(access, names.slice(at, at + BATCH));
  const removing = { where: { removing: true }, limit: BATCH } as const;
  const going = await access.store.transaction(({ tables }) => tables.unnamedPackages.list(removing));
  for (const { hash } of going) await removePackage(access, kept, hash);
  return going.length;
}

/** Packages that devices may be given: those of live releases, each once. */
export function livePackages({ store }: AccessContext): Promise<readonly PackageView[]> {
  return store.transaction(async ({ tables }) => {
    const live = await tables.releases.list({ where: { state: 'live' } });
    return [...new Map(live.map(({ package: content }) => [content.sha256, content])).values()];
  });
}

/** Under the lock of its row: whoever wants to name it waits, and finds that it is gone. */
async function removePackage({ store }: AccessContext, kept: KeptPackages, hash: string): Promise<void> {
  await store.transaction(async ({ tables: { unnamedPackages } }) => {
    const row = await unnamedPackages.find({ hash }, 'update');
    if (!row?.removing) return;
    await kept.drop(hash);
    await unnamedPackages.remove({ where: { hash } });
  });
}

/** Notes since when packages have no name, and which of them go. */
async function judge(access: AccessContext, hashes: readonly string[]): Promise<void> {
  await change(access, BY, async (begun) => {
    await findable(begun.notes);
    const { releases, unnamedPackages } = begun.tables;
    const naming = { among: ['packageHash', hashes], within: ['state', ['proposed', 'live']] } as const;
    const named = new Set((await releases.list(naming)).map(({ package: { sha256 } }) => sha256));
    const seen = await unnamedPackages.list({ among: ['hash', hashes] });
    const known = new Set(seen.map(({ hash }) => hash));
    const fresh = hashes.filter((one) => !named.has(one) && !known.has(one));
    const noted = begun.notes.tables.unnamedPackages;
    await noted.insertEach(fresh.map((hash) => ({ hash, since: begun.at, removing: false })));
    if (named.size > 0) await noted.remove({ among: ['hash', [...named]] });
    const over = { where: { removing: false }, below: ['since', begun.at - UNNAMED_KEPT_DAYS * DAY_MS] } as const;
    const unnamed = ['hash', hashes.filter((one) => !named.has(one))] as const;
    const due = (await unnamedPackages.list({ ...over, among: unnamed }, 'update')).map(({ hash }) => hash);
    if (due.length === 0) return begun.unchanged();
    await unnamedPackages.update({ among: ['hash', due] }, { removing: true });
    for (const hash of due) begun.audit('package.remove', hash);
  });
}

/** Rows that a node of the version before wrote are found by their packages from now on. */
async function findable({ tables }: Transaction): Promise<void> {
  const rows = await tables.releases.list({ where: { packageHash: null }, limit: BATCH });
  for (const { id, package: content } of rows)
    await tables.releases.update({ where: { id } }, { packageHash: content.sha256 });
}
