import { NEVER } from '../src/index.ts';
import type { RealmStore } from '../src/store/store.ts';
import type { Rows } from '../src/store/tables.ts';

/** Accounts that are written at once. */
const BATCH = 5_000;

/** People whom a SCIM client has pushed before, with the rows that this makes. */
export async function addPushedPeople(store: RealmStore, directory: string, ids: readonly string[]): Promise<void> {
  const standing = { enabled: true, outByOperator: false, outByDirectory: false };
  const user = (id: string): Rows['users'] => ({
    ...{ id, name: id, displayName: id, passwordHash: null, ...standing, directory },
    ...{ pastAccount: '', createdAt: 1 },
  });
  const identity = (id: string): Rows['identities'] => ({
    ...{ directory, subject: id, externalId: id, userId: id, login: id, active: true, expiresAt: NEVER },
    ...{ dn: '', onlyName: `${directory}/${id}`, version: '', attributes: { userName: id } },
    ...{ createdAt: 1, changedAt: 1 },
  });
  for (let at = 0; at < ids.length; at += BATCH) {
    const part = ids.slice(at, at + BATCH);
    await store.transaction(async ({ tables }) => {
      await tables.users.insertEach(part.map(user));
      await tables.identities.insertEach(part.map(identity));
    });
  }
}
