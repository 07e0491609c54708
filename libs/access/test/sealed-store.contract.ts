import { encodeText } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { expect, test } from 'vitest';
import { createKeyring, type ForgedRow, type Keyring, type RealmStore, sealedStore, sealRealm } from '../src/index.ts';
import type { SessionRow } from '../src/session/rows.ts';
import { type Rows, SEALED_TABLES, TABLES } from '../src/store/tables.ts';
import { sampleSession } from './sample-session.ts';
import { type StoreOf, storeContract, user } from './store.contract.ts';

const crypto = nodeCrypto();
const kek = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const keyring = createKeyring(crypto, new Map([[1, kek(1)]]), 1);

const ada = user('u1', 'ada');
const session = sampleSession('s1');

/** What a store must do when its rows are sealed: all that it does bare, and notice what others wrote. */
export function sealedStoreContract(storeOf: StoreOf, name: string): void {
  storeContract((realm) => sealedStore(storeOf(realm), keyring, failOn), `${name}, sealed`);

  let count = 0;
  const fresh = (keys: Keyring = keyring): { bare: RealmStore; sealed: RealmStore; forged: ForgedRow[] } => {
    const bare = storeOf(`sealed-${name}-${process.pid}-${Date.now()}-${count++}`);
    const forged: ForgedRow[] = [];
    return { bare, sealed: sealedStore(bare, keys, (row) => void forged.push(row)), forged };
  };
  const adaAndSession = async (store: RealmStore): Promise<void> =>
    store.transaction(async ({ tables }) => {
      await tables.users.insert(ada);
      await tables.sessions.insertEach([session, { ...session, id: 's2' }]);
    });

  test(`${name}: every column of a sealed row that was changed past the rules is noticed`, async () => {
    const { bare, sealed } = fresh();
    await adaAndSession(sealed);
    for (const column of TABLES.users.sealed!.filter((one) => one !== 'id')) {
      const value = typeof ada[column] === 'boolean' ? !ada[column] : 'operator';
      const read = (): Promise<unknown> => sealed.transaction(({ tables }) => tables.users.find({ id: 'u1' }));
      await bare.transaction(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { [column]: value }));
      await expect(read(), column).rejects.toMatchObject({ code: 'ERR_ACCESS_FORGED' });
      await bare.transaction(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { [column]: ada[column] }));
      await expect(read(), column).resolves.toEqual(ada);
    }
  });

  test(`${name}: a column that came later changes no MAC that was there, and is sealed as soon as it says something`, async () => {
    const { bare, sealed } = fresh();
    const backend = { url: 'http://x', networks: [] };
    const wiki = { name: 'wiki', kind: 'http', authority: 'wiki.corp', title: 'wiki', backend } as const;
    const before = [bare.realm, 'resources', 'wiki', 'http', 'wiki.corp', backend];
    const rowMac = keyring.mac(encodeText(JSON.stringify(before)));
    const old = { ...wiki, sites: null, region: null };
    await bare.transaction(({ tables }) => tables.resources.insert({ ...old, rowMac } as typeof old));
    const read = () => sealed.transaction(({ tables }) => tables.resources.find({ name: 'wiki' }));
    const where = { name: 'wiki' };
    const past = (change: Partial<Rows['resources']>) =>
      bare.transaction(({ tables }) => tables.resources.update({ where }, change));
    await expect(read()).resolves.toEqual(old);
    await past({ sites: ['a'] });
    await expect(read()).rejects.toMatchObject({ code: 'ERR_ACCESS_FORGED' });
    await past({ sites: null });
    await sealed.transaction(({ tables }) => tables.resources.update({ where }, { sites: ['b'], region: 'eu' }));
    await expect(read()).resolves.toEqual({ ...old, sites: ['b'], region: 'eu' });
    for (const change of [{ sites: null }, { region: null }, { sites: null, region: null }, { sites: ['a'] }]) {
      await past(change);
      await expect(read(), JSON.stringify(change)).rejects.toMatchObject({ code: 'ERR_ACCESS_FORGED' });
      await past({ sites: ['b'], region: 'eu' });
    }
    await expect(read()).resolves.toMatchObject({ sites: ['b'], region: 'eu' });
  });

  test(`${name}: a row that somebody else made, or a MAC from another row, is no row of ours`, async () => {
    const { bare, sealed, forged } = fresh();
    await adaAndSession(sealed);
    await bare.transaction(({ tables }) => tables.users.insert({ ...ada, id: 'u2', name: 'eve' }));
    const [row] = (await bare.transaction(({ tables }) => tables.sessions.list({ where: { id: 's1' } }))) as unknown[];
    const copied = { ...(row as SessionRow), id: 's3', userId: 'u2' };
    await bare.transaction(({ tables }) => tables.sessions.insert(copied));
    await expect(sealed.transaction(({ tables }) => tables.users.find({ name: 'eve' }))).rejects.toMatchObject({
      code: 'ERR_ACCESS_FORGED',
    });
    await expect(sealed.transaction(({ tables }) => tables.sessions.list())).rejects.toMatchObject({
      code: 'ERR_ACCESS_FORGED',
    });
    expect(forged).toEqual([
      { table: 'users', key: 'u2' },
      { table: 'sessions', key: 's3' },
    ]);
  });

  test(`${name}: one forged row costs the others of a lookup nothing`, async () => {
    const { bare, sealed, forged } = fresh();
    await adaAndSession(sealed);
    await bare.transaction(({ tables }) => tables.sessions.update({ where: { id: 's1' } }, { userId: 'u9' }));
    const found = await sealed.transaction(({ tables }) => tables.sessions.list({ among: ['id', ['s1', 's2']] }));
    expect(found.map(({ id }) => id)).toEqual(['s2']);
    expect(forged).toEqual([{ table: 'sessions', key: 's1' }]);
  });

  test(`${name}: a row that a transaction holds is sealed as it is at last, however often it was changed`, async () => {
    const { sealed } = fresh();
    await adaAndSession(sealed);
    const key = { id: 'u1' };
    await sealed.transaction(async ({ tables: { users } }) => {
      await users.find(key, 'update');
      expect(await users.update({ where: key }, { passwordHash: 'first' })).toBe(1);
      await users.updateEach([{ key, change: { enabled: false } }]);
      expect(await users.update({ where: key }, { passwordHash: 'second' })).toBe(1);
      await users.find({ name: 'ada' }, 'update');
      await users.remove({ where: key });
      expect(await users.update({ where: key }, { passwordHash: 'third' })).toBe(0);
      await users.insert({ ...ada, pastAccount: 'back' });
      await users.find(key, 'update');
      await users.update({ where: { name: 'ada' } }, { directory: 'corp' });
      await users.update({ where: key }, { name: 'eve' });
    });
    const read = await sealed.transaction(({ tables }) => tables.users.find(key));
    expect(read).toEqual({ ...ada, pastAccount: 'back', directory: 'corp', name: 'eve' });
  });

  test(`${name}: a change of ours never makes a forged row look like ours`, async () => {
    const { bare, sealed } = fresh();
    await adaAndSession(sealed);
    await bare.transaction(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { passwordHash: 'mine' }));
    const changes: ((store: RealmStore) => Promise<unknown>)[] = [
      (store) => store.transaction(({ tables }) => tables.users.update({ where: { id: 'u1' } }, { enabled: false })),
      (store) =>
        store.transaction(({ tables }) => tables.users.updateEach([{ key: { id: 'u1' }, change: { enabled: false } }])),
    ];
    for (const change of changes) await expect(change(sealed)).rejects.toMatchObject({ code: 'ERR_ACCESS_FORGED' });
  });

  test(`${name}: what is not sealed changes freely, what is sealed is sealed anew`, async () => {
    const { sealed } = fresh();
    await adaAndSession(sealed);
    await sealed.transaction(async ({ tables }) => {
      await tables.sessions.update({ where: { userId: 'u' } }, { endedAt: 5, endReason: 'over' });
      expect(await tables.sessions.update({ where: { userId: 'u' } }, { expiresAt: 9 })).toBe(2);
      await tables.sessions.updateEach([
        { key: { id: 's2' }, change: { expiresAt: 10, chanNo: 4 } },
        { key: { id: 'nobody' }, change: { expiresAt: 10, chanNo: 4 } },
      ]);
      await tables.members.insert({ groupName: 'g', userId: 'u1', source: '' });
      await tables.members.updateEach([
        { key: { groupName: 'g', userId: 'u1', source: '' }, change: { source: 'd/1' } },
      ]);
    });
    const rows = await sealed.transaction(({ tables }) => tables.sessions.list());
    expect(rows.map(({ expiresAt, chanNo, endedAt }) => [expiresAt, chanNo, endedAt])).toEqual([
      [9, 0, 5],
      [10, 4, 5],
    ]);
    const members = await sealed.transaction(({ tables }) => tables.members.list());
    expect(members).toEqual([{ groupName: 'g', userId: 'u1', source: 'd/1' }]);
  });

  test(`${name}: a realm of an earlier version is sealed once, with what it holds`, async () => {
    const { bare, sealed } = fresh();
    await adaAndSession(bare);
    expect(await sealRealm(bare, keyring)).toBe(3);
    expect(await sealRealm(bare, keyring)).toBe(0);
    expect(await sealed.transaction(({ tables }) => tables.users.find({ id: 'u1' }))).toEqual(ada);
  });

  test(`${name}: in a realm that was sealed once no row is sealed that has no MAC, whichever node is asked`, async () => {
    const { bare, sealed, forged } = fresh();
    await adaAndSession(sealed);
    await bare.transaction(({ tables }) => tables.users.insert({ ...ada, id: 'u2', name: 'eve' }));
    await bare.transaction(({ tables }) => tables.members.insert({ groupName: 'g', userId: 'u2', source: '' }));
    expect(await sealRealm(bare, keyring)).toBe(0);
    await expect(sealed.transaction(({ tables }) => tables.users.find({ name: 'eve' }))).rejects.toMatchObject({
      code: 'ERR_ACCESS_FORGED',
    });
    await expect(sealed.transaction(({ tables }) => tables.members.list())).rejects.toMatchObject({
      code: 'ERR_ACCESS_FORGED',
    });
    expect(forged).toHaveLength(2);
  });

  test(`${name}: rows of several keys are changed each in its own way, by few statements`, async () => {
    const { bare } = fresh();
    let lists = 0;
    const counting: RealmStore = {
      realm: bare.realm,
      transaction: (work) =>
        bare.transaction((transaction) => {
          const { identities } = transaction.tables;
          const list = identities.list.bind(identities);
          identities.list = (...of) => {
            lists += 1;
            return list(...of);
          };
          return work(transaction);
        }),
    };
    const sealed = sealedStore(counting, keyring, failOn);
    const ids = Array.from({ length: 40 }, (_, i) => [`d${i % 2}`, `s${i >> 1}`] as const);
    await sealed.transaction(({ tables }) => tables.identities.insertEach(ids.map((id) => identityOf(...id))));
    const changed = [...ids.slice(3), ['d0', 'nobody'], ['d7', 's1']].map(([directory, subject]) => ({
      key: { directory: directory!, subject: subject! },
      change: { login: `${directory}-${subject}` },
    }));
    await sealed.transaction(({ tables }) => tables.identities.updateEach(changed));
    expect(lists).toBe(3);
    const rows = await sealed.transaction(({ tables }) => tables.identities.list());
    expect(rows).toHaveLength(40);
    const untouched = new Set(ids.slice(0, 3).map((id) => id.join('-')));
    for (const { directory, subject, login } of rows) {
      const name = `${directory}-${subject}`;
      expect(login).toBe(untouched.has(name) ? 'x' : name);
    }
  });

  test(`${name}: a seal is of one realm and one key`, async () => {
    const { bare, sealed } = fresh();
    await adaAndSession(sealed);
    const others = createKeyring(crypto, new Map([[1, kek(2)]]), 1);
    const elsewhere = sealedStore(bare, others, () => undefined);
    const renamed = sealedStore({ ...bare, realm: 'other', transaction: bare.transaction }, keyring, () => undefined);
    for (const store of [elsewhere, renamed]) {
      await expect(store.transaction(({ tables }) => tables.users.find({ id: 'u1' }))).rejects.toMatchObject({
        code: 'ERR_ACCESS_FORGED',
      });
    }
  });

  test('the tables that decide who is in are sealed', () => {
    for (const table of ['operators', 'users', 'sessions', 'installations', 'factors', 'members', 'keys'] as const)
      expect(SEALED_TABLES).toContain(table);
  });
}

function identityOf(directory: string, subject: string): Rows['identities'] {
  return {
    ...{ directory, subject, externalId: '', userId: '', login: 'x', active: true, expiresAt: 9, dn: '' },
    ...{ onlyName: null, version: '', attributes: {}, createdAt: 1, changedAt: 1 },
  };
}

function failOn({ table, key }: ForgedRow): void {
  throw new Error(`a row of ${table} does not fit its seal: ${key}`);
}
