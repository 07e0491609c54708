import type { CryptoProvider } from '@sallyport/channel';
import { entryHash } from '@sallyport/lease';
import type { RevocationKind } from '@sallyport/security-api';
import type { RevocationRow } from '../revocation/rows.ts';
import type { Transaction } from '../store/store.ts';
import type { Actor } from './context.ts';
import { randomId } from './ids.ts';
import { getRealm } from './realm.ts';
import type { RealmRow } from './rows.ts';

/** What an operator revokes. `requestId` is the client's: the same one gives the same entry. */
export interface Revocation {
  readonly requestId: string;
  readonly kind: RevocationKind;
  readonly subject: string;
}

/** The same with who did it. */
interface AuthoredRevocation extends Revocation {
  readonly actor: string;
}

/**
 * Appends an entry inside the transaction of the change that causes it. Locks the realm's row, so that index order is
 * commit order and no lease is extended between the entry and its commit: call it before other locks.
 */
export async function appendRevocation(
  { crypto }: { readonly crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'> },
  transaction: Transaction,
  revocation: Revocation,
  by: Actor & { readonly at: number },
): Promise<RevocationRow> {
  const { head, headHash } = await getRealm(transaction, 'update');
  const { reason, actor, at } = by;
  const unhashed = { ...revocation, index: head + 1, reason, actor, at, salt: randomId(crypto) };
  const row = { ...unhashed, hash: entryHash(crypto, headHash, unhashed) };
  await Promise.all([
    transaction.tables.revocations.insert(row),
    transaction.tables.realms.update({ where: { id: 'realm' } }, { head: row.index, headHash: row.hash }),
  ]);
  return row;
}

/**
 * Appends an entry for each installation of a user who is put out, behind the user's own: the user may be let in again, these
 * may not, and the log says so of a row that somebody brings back. Gives the last index, 0 for none.
 */
export async function appendInstallations(
  { crypto }: { readonly crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'> },
  transaction: Transaction,
  userId: string,
  by: Actor & { readonly at: number },
): Promise<number> {
  const rows = await transaction.tables.installations.list({ where: { userId } });
  const owned = rows.filter(({ status }) => status !== 'revoked');
  const realm = await getRealm(transaction, 'update');
  const entries = owned.map(
    ({ id: subject }) => ({ requestId: randomId(crypto), kind: 'installation', subject, actor: by.actor }) as const,
  );
  return (await appendEach({ crypto }, transaction, { realm, entries }, by)).at(-1)?.index ?? 0;
}

/** Appends several entries at once behind the head of the realm's row, which the caller has locked for a change. */
export async function appendEach(
  { crypto }: { readonly crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'> },
  { tables }: Transaction,
  { realm, entries }: { readonly realm: RealmRow; readonly entries: readonly AuthoredRevocation[] },
  { reason, at }: { readonly reason: string; readonly at: number },
): Promise<readonly RevocationRow[]> {
  if (entries.length === 0) return [];
  let { head: index, headHash: hash } = realm;
  const rows = entries.map((entry): RevocationRow => {
    index += 1;
    const unhashed = { ...entry, salt: randomId(crypto), index, reason, at };
    hash = entryHash(crypto, hash, unhashed);
    return { ...unhashed, hash };
  });
  await Promise.all([
    tables.revocations.insertEach(rows),
    tables.realms.update({ where: { id: 'realm' } }, { head: index, headHash: hash }),
  ]);
  return rows;
}

/** Versions of apps, `id@version`, that entries about them revoke in the end: in the order of the log, which the entries have. */
export function stillRevoked(entries: Iterable<Pick<RevocationRow, 'kind' | 'subject'>>): ReadonlySet<string> {
  const out = new Set<string>();
  for (const { kind, subject } of entries) {
    out.delete(subject);
    if (kind === 'app') out.add(subject);
  }
  return out;
}

/** Versions of an app that the log revokes, oldest first. All entries about apps are read: for who registers one. */
export async function revokedVersions({ tables }: Transaction, appId: string): Promise<readonly string[]> {
  const out = stillRevoked(await tables.revocations.list({ among: ['kind', ['app', 'lift']] }));
  return [...out].filter((app) => app.startsWith(`${appId}@`)).map((app) => app.slice(appId.length + 1));
}
