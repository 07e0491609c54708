import { expect, test } from 'vitest';
import {
  beginNewEpoch,
  enableUser,
  findUser,
  getRealm,
  type JournalCopy,
  listAudit,
  logAfter,
  memoryJournal,
  type NewEpoch,
  openCopy,
  putSite,
  putUser,
  type RealmRow,
  revoke,
  sealCopy,
} from '../../src/index.ts';
import { BY, KEYRING, scene } from '../scene.ts';

/** What rows of any table go back by. */
type RowsOf = { insertEach(rows: readonly unknown[]): Promise<void> };

/** A realm whose database is that of a backup, taken at entry 1, while its log went on to entry 5; and copies of that log. */
async function burnt() {
  const { access, clock } = await scene();
  const [ada, bob] = [await putUser(access, 'ada', {}, BY), await putUser(access, 'bob', {}, BY)];
  await revoke(access, { requestId: 'before', kind: 'app', subject: 'old@1' }, BY);
  const copied = ['realms', 'users', 'revocations', 'audit', 'auditHeads'] as const;
  const backup = await access.store.transaction(async ({ tables }) =>
    Promise.all(copied.map(async (name) => ({ name, rows: await tables[name].list() }))),
  );
  for (const [requestId, kind, subject] of [
    ['r2', 'user', ada.user.id],
    ['r3', 'app', 'app@1'],
    ['r4', 'lift', 'app@1'],
    ['r5', 'lift', 'old@1'],
  ] as const)
    await revoke(access, { requestId, kind, subject }, BY);
  const realm = () => access.store.transaction((transaction) => getRealm(transaction));
  const { epoch } = await realm();
  const { entries, supersedes } = await logAfter(access, 0, 99);
  const copyOf = (first: number, last: number): JournalCopy => {
    const part = entries.filter(({ index }) => index >= first && index <= last);
    return { epoch, supersedes, entries: part.map((entry) => ({ ...entry, epoch })) };
  };
  await access.store.transaction(async ({ tables }) => {
    for (const { name, rows } of backup) {
      await tables[name].remove({});
      await (tables[name] as RowsOf).insertEach(rows);
    }
  });
  const order: NewEpoch = { access, lost: true, journal: memoryJournal(), by: BY };
  const enabled = async (name: string) => (await findUser(access, name))!.user.enabled;
  const isOut = (app: string) =>
    access.store.transaction(async ({ tables }) => {
      const of = await tables.revocations.list({ where: { subject: app }, newestFirst: true, limit: 1 });
      return of[0]?.kind === 'app';
    });
  return { access, clock, ada, bob, realm, epoch, copyOf, order, enabled, isOut };
}

test('without its journal a realm hears of revocations by copies; all users stay out, and nothing is given back', async () => {
  const of = await burnt();
  const restored = await beginNewEpoch({ ...of.order, readCopies: async () => [of.copyOf(1, 3), of.copyOf(3, 5)] });
  expect(restored.appended.map(({ requestId }) => requestId)).toEqual(['r2', 'r3']);
  expect(restored.usersOut).toBe(2);
  expect([await of.enabled('ada'), await of.enabled('bob')]).toEqual([false, false]);
  expect([await of.isOut('app@1'), await of.isOut('old@1')]).toEqual([true, true]);
  expect((await of.realm()).supersedes).toContain(of.epoch);
});

test('copies that hold all up to where the log ended are as good as the journal', async () => {
  const of = await burnt();
  const readCopies = async () => [of.copyOf(3, 5), of.copyOf(1, 3)];
  const restored = await beginNewEpoch({ ...of.order, readCopies, logEndedAt: 5 });
  expect(restored.appended.map(({ requestId }) => requestId)).toEqual(['r2', 'r3', 'r4', 'r5']);
  expect(restored.usersOut).toBe(0);
  expect([await of.enabled('ada'), await of.enabled('bob')]).toEqual([false, true]);
  expect([await of.isOut('app@1'), await of.isOut('old@1')]).toEqual([false, false]);
});

test.each([
  [
    'a gap',
    [
      [1, 2],
      [4, 5],
    ],
    5,
    'entry 3 is missing',
  ],
  ['an end that is missing', [[1, 4]], 5, 'entry 5 is missing'],
  ['an end that was not the end', [[1, 5]], 4, 'they go on to entry 5'],
  ['an end before the backup', [[1, 1]], 0, 'they go on to entry 1'],
  ['no entry of the backup', [[2, 5]], 5, 'entry 1 is not that of the backup'],
  ['nothing', [], 5, 'entry 1 is not that of the backup'],
] as const)('copies with %s are not whole, and nothing is done', async (_, ranges, logEndedAt, why) => {
  const of = await burnt();
  const copies = (ranges as readonly (readonly [number, number])[]).map(([first, last]) => of.copyOf(first, last));
  const before = await of.realm();
  await expect(beginNewEpoch({ ...of.order, readCopies: async () => copies, logEndedAt })).rejects.toThrow(why);
  expect(await of.realm()).toEqual(before);
});

test('copies of a later life, or of another log, make an older backup nothing that is whole', async () => {
  const of = await burnt();
  const later = { epoch: 'f'.repeat(32), supersedes: [of.epoch], entries: [] };
  const attempt = (copies: readonly JournalCopy[]) =>
    beginNewEpoch({ ...of.order, readCopies: async () => copies, logEndedAt: 5 });
  await expect(attempt([of.copyOf(1, 5), later])).rejects.toThrow('restored since this backup');
  const other = of.copyOf(1, 5);
  const entries = other.entries.map((entry) => ({ ...entry, hash: 'f'.repeat(64) }));
  await expect(attempt([{ ...other, entries }])).rejects.toThrow('is not that of the backup');
  // It was not whole, so it is lost; what the later life is called is known now, and its Proxies follow.
  await beginNewEpoch({ ...of.order, readCopies: async () => [of.copyOf(1, 5), later] });
  expect((await of.realm()).supersedes).toContain(later.epoch);
});

test('a restore that stopped before it opened is done again, with the same word of where the log ended', async () => {
  const of = await burnt();
  const { epoch, head, headHash } = await of.realm();
  const whole = {
    ...of.order,
    readCopies: async () => [of.copyOf(1, 5)],
    logEndedAt: 5,
    backup: { epoch, head, headHash },
  };
  const stopped = { ...of.order.journal!, claimed: async () => undefined };
  await expect(beginNewEpoch({ ...whole, journal: stopped })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await of.realm()).toMatchObject({ closed: true });
  await beginNewEpoch({ ...whole, journal: memoryJournal() });
  expect(await of.realm()).toMatchObject({ closed: false, head: 5 });
  expect([await of.enabled('ada'), await of.enabled('bob')]).toEqual([false, true]);
});

test('who stays out because nobody knows is in again with the devices of before, once somebody has looked', async () => {
  const { access } = await scene();
  await putUser(access, 'ada', { password: 'a good password' }, BY);
  const { installation } = await enrolled(access);
  const restored = await beginNewEpoch({ access, lost: true, by: BY });
  expect(restored.usersOut).toBe(1);
  await enableUser(access, 'ada', BY);
  const after = await access.store.transaction(({ tables }) => tables.installations.find({ id: installation }));
  expect(after).toMatchObject({ status: 'pending', currentKey: expect.any(Uint8Array) });
});

async function enrolled(access: NewEpoch['access']): Promise<{ installation: string }> {
  await access.store.transaction(async ({ tables }) => {
    const [user] = await tables.users.list();
    await tables.installations.insert({
      ...{ id: 'i', userId: user!.id, deviceStatic: new Uint8Array(32), signingKey: {}, status: 'pending' },
      ...{ generation: 1, currentKey: new Uint8Array(60), nextKey: null, previousKey: null, rotatedAt: 0 },
      ...{ app: 'a@1', model: 'm', createdAt: 0, lastSeenAt: null, resumeId: null },
    });
  });
  return { installation: 'i' };
}

test('the first event of the new life says who restored it, from what, and why', async () => {
  const of = await burnt();
  const head = await of.access.store.transaction(({ tables }) => tables.auditHeads.find({ id: 'head' }));
  const by = { actor: 'olga', reason: 'the site burnt down' };
  const { epoch } = await beginNewEpoch({ ...of.order, by, from: 'main/20261126T141500Z-9f2c01ab' });
  const events = await of.access.store.transaction((transaction) => listAudit(transaction, 99));
  expect(events.find(({ seq }) => seq === head!.seq + 1)).toMatchObject({
    action: 'realm.new-epoch',
    ...by,
    subject: `${epoch} from main/20261126T141500Z-9f2c01ab`,
  });
});

test('operators of before come anew, or stay', async () => {
  for (const operators of ['out', 'stay'] as const) {
    const of = await burnt();
    await of.access.store.transaction(({ tables }) =>
      tables.operatorTokens.insert({
        ...{ id: 't', operatorId: 'o', tokenHash: new Uint8Array(32), oneTime: false, createdAt: 0, expiresAt: 9 },
        ...{ usedAt: null, requestId: null, replaces: null },
      }),
    );
    await beginNewEpoch({ ...of.order, operators });
    const left = await of.access.store.transaction(({ tables }) => tables.operatorTokens.list());
    expect(left).toHaveLength(operators === 'stay' ? 1 : 0);
  }
});

test('hosts get other names wherever rows name them, and the site map goes on', async () => {
  const of = await burnt();
  const { access } = of;
  const origins = [
    'wss://gate.old.example',
    'wss://gate.old.example:8443',
    'wss://other.example',
    'ws://xgate.old.example',
  ];
  await putSite(access, { name: 'here', origins }, BY);
  const backend = { url: 'http://GATE.old.example:8080/path', networks: ['10.0.0.0/8'] };
  const resource = { name: 'wiki', kind: 'http', authority: 'wiki.corp', title: '', backend } as const;
  await access.store.transaction(({ tables }) => tables.resources.insert(resource as never));
  const { mapVersion } = (await of.realm()) as RealmRow;
  const hosts = [
    { from: 'gate.old.example', to: 'gate.new.example' },
    { from: 'gate.new.example:8443', to: 'gate.new.example:443' },
  ];
  const { renamed } = await beginNewEpoch({ ...of.order, hosts });
  expect(renamed).toEqual(['site here', 'resource wiki']);
  const rows = await access.store.transaction(async ({ tables }) => ({
    site: await tables.sites.find({ name: 'here' }),
    resource: await tables.resources.find({ name: 'wiki' }),
  }));
  expect(rows.site!.origins).toEqual([
    'wss://gate.new.example',
    'wss://gate.new.example:443',
    'wss://other.example',
    'ws://xgate.old.example',
  ]);
  expect(rows.resource!.backend.url).toBe('http://gate.new.example:8080/path');
  expect((await of.realm()).mapVersion).toBeGreaterThan(mapVersion + 999_999);
});

test('a copy opens in its own place only', async () => {
  const of = await burnt();
  const copy = of.copyOf(1, 5);
  const place = { realm: 'main', epoch: of.epoch, first: 1, last: 5 };
  const bytes = sealCopy(KEYRING, 'main', copy);
  expect(openCopy(KEYRING, place, bytes)).toEqual(copy);
  for (const other of [
    { ...place, realm: 'other' },
    { ...place, epoch: 'f'.repeat(32) },
    { ...place, first: 2 },
    { ...place, last: 6 },
  ])
    expect(() => openCopy(KEYRING, other, bytes)).toThrow('does not open');
});
