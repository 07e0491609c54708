import { expect, test } from 'vitest';
import {
  type AccessContext,
  AuditWatch,
  auditRefusal,
  listGroups,
  listInstallations,
  putGroup,
  searchAudit,
  verifyAudit,
} from '../../src/index.ts';
import { withAda } from '../ada.ts';
import { BY, scene } from '../scene.ts';

async function events(access: AccessContext, count: number, over: object = {}): Promise<void> {
  for (let i = 0; i < count; i++)
    await auditRefusal(access, { actor: `a${i % 3}`, action: 'login', subject: `s${i % 5}`, reason: 'wrong', ...over });
}

const seqs = (rows: readonly { seq: number }[]): number[] => rows.map(({ seq }) => seq);

test('every event can be read, page by page, in both directions', async () => {
  const { access } = await scene();
  await events(access, 25);
  const back: number[] = [];
  for (let before: number | undefined; ; before = back.at(-1)) {
    const page = seqs(await searchAudit(access, { before, limit: 7 }, {}));
    back.push(...page);
    if (page.length < 7) break;
  }
  expect(back).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i));
  const forth: number[] = [];
  for (let after = 0; ; after = forth.at(-1)!) {
    const page = seqs(await searchAudit(access, { after, limit: 7 }, {}));
    forth.push(...page);
    if (page.length < 7) break;
  }
  expect(forth).toEqual([...back].reverse());
});

test('events are found by who, what, whom, outcome and time together', async () => {
  const { access, clock } = await scene();
  const begun = clock.now;
  for (let hour = 0; hour < 10; hour++) {
    await events(access, 6);
    clock.now += 3_600_000;
  }
  await putGroup(access, 'staff', BY);
  const all = await searchAudit(access, { limit: 1_000 }, {});
  const times = { since: begun + 3 * 3_600_000, until: begun + 5 * 3_600_000 };
  for (const filter of [
    { actor: 'a1' },
    { subject: 's2', actor: 'a2' },
    { outcome: 'done' },
    { action: 'group.create' },
    times,
    { ...times, actor: 'a0', outcome: 'refused' },
    { since: begun + 100 * 3_600_000 },
    { until: begun - 1 },
  ]) {
    const { since = 0, until = Number.MAX_SAFE_INTEGER, ...fields } = filter as typeof times & Record<string, string>;
    const wanted = all.filter(
      (row) =>
        row.at >= since &&
        row.at <= until &&
        Object.entries(fields).every(([name, value]) => row[name as 'actor'] === value),
    );
    expect(seqs(await searchAudit(access, { limit: 1_000 }, filter)), JSON.stringify(filter)).toEqual(seqs(wanted));
    const pages: number[] = [];
    for (let after = 0; ; after = pages.at(-1)!) {
      const page = seqs(await searchAudit(access, { after, limit: 4 }, filter));
      pages.push(...page);
      if (page.length < 4) break;
    }
    expect(pages).toEqual(seqs(wanted).reverse());
  }
});

test('a look checks what is new, once for all who look, and finds what was changed', async () => {
  const { access } = await scene();
  let read = 0;
  const { store } = access;
  const counting = {
    ...access,
    store: {
      ...store,
      transaction: ((work) =>
        store.transaction(({ tables, ...rest }) => {
          const list: typeof tables.audit.list = async (page, lock) => {
            const rows = await tables.audit.list(page, lock);
            read += rows.length;
            return rows;
          };
          return work({ tables: { ...tables, audit: { ...tables.audit, list } }, ...rest });
        })) as typeof store.transaction,
    },
  };
  const watch = new AuditWatch(counting);
  await events(access, 2_500);
  const looks = await Promise.all(Array.from({ length: 10 }, () => watch.look(60_000)));
  expect(looks).toEqual(Array(10).fill({ events: 2_500, verified: 2_500, intact: true }));
  expect(read).toBe(2_500);
  await events(access, 3);
  expect(await watch.look(60_000)).toEqual({ events: 2_503, verified: 2_503, intact: true });
  expect(read).toBe(2_503);
  await events(access, 1);
  await access.store.transaction(({ tables }) => tables.audit.update({ where: { seq: 2_504 } }, { reason: 'nothing' }));
  expect((await watch.look(60_000)).intact).toBe(false);
});

test('what was changed behind a look is found when everything is checked again', async () => {
  const { access } = await scene();
  const watch = new AuditWatch(access);
  await events(access, 10);
  expect((await watch.look(60_000)).intact).toBe(true);
  await access.store.transaction(({ tables }) =>
    tables.audit.update({ where: { seq: 4 } }, { actor: 'somebody else' }),
  );
  await watch.recheck();
  expect((await watch.look(60_000)).intact).toBe(false);
  await expect(
    access.store.transaction((transaction) => verifyAudit(transaction, access.crypto)),
  ).rejects.toMatchObject({ code: 'ERR_ACCESS_AUDIT_BROKEN' });
});

test('a cut tail, a moved head and a removed event are found', async () => {
  const cases: readonly ((access: AccessContext) => Promise<unknown>)[] = [
    (access) => access.store.transaction(({ tables }) => tables.audit.remove({ above: ['seq', 7] })),
    (access) => access.store.transaction(({ tables }) => tables.audit.remove({ where: { seq: 5 } })),
    (access) => access.store.transaction(({ tables }) => tables.auditHeads.update({}, { seq: 12 })),
    (access) => access.store.transaction(({ tables }) => tables.auditHeads.update({}, { hash: new Uint8Array(32) })),
  ];
  for (const change of cases) {
    const { access } = await scene();
    await events(access, 10);
    await change(access);
    expect((await new AuditWatch(access).look(60_000)).intact).toBe(false);
  }
});

test('lists come in pages after a cursor', async () => {
  const { access } = await scene();
  for (const name of ['c', 'a', 'b']) await putGroup(access, name, BY);
  const namesAfter = async (after: string): Promise<string[]> =>
    (await listGroups(access, { after, limit: 2 })).map(({ group }) => group.name);
  expect(await namesAfter('')).toEqual(['a', 'b']);
  expect(await namesAfter('b')).toEqual(['c']);
  expect(await listInstallations(access, { limit: 10 })).toEqual([]);
});

test('the audit chain notices a changed, a removed and a cut-off event', async () => {
  const { access } = await withAda();
  await putGroup(access, 'a', BY);
  await putGroup(access, 'b', BY);
  const verify = () => access.store.transaction((transaction) => verifyAudit(transaction, access.crypto));
  expect(await verify()).toBe(3);
  const original = await access.store.transaction(({ tables }) => tables.audit.find({ seq: 2 }));
  const tamper = (
    work: (tables: Parameters<Parameters<typeof access.store.transaction>[0]>[0]['tables']) => Promise<unknown>,
  ) => access.store.transaction(({ tables }) => work(tables));
  await tamper((tables) => tables.audit.update({ where: { seq: 2 } }, { subject: 'changed' }));
  await expect(verify()).rejects.toMatchObject({ code: 'ERR_ACCESS_AUDIT_BROKEN' });
  await tamper((tables) => tables.audit.remove({ where: { seq: 2 } }));
  await expect(verify()).rejects.toThrow('event 2');
  await tamper((tables) => tables.audit.insert(original!));
  await tamper((tables) => tables.audit.remove({ where: { seq: 3 } }));
  await expect(verify()).rejects.toThrow('ends after event 2');
});
