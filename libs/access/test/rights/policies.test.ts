import { selfSigned } from '@sallyport/support';
import { expect, test } from 'vitest';
import {
  changePolicy,
  changeResource,
  getRealm,
  grantedResources,
  PolicyCache,
  putGroup,
  putPolicy,
  putResource,
  putUser,
  readPolicySet,
  removeRight,
} from '../../src/index.ts';
import { withAda } from '../ada.ts';
import { BY, scene } from '../scene.ts';

const CA = selfSigned('wiki.internal').certificate;
const BACKEND = { url: 'https://wiki.internal', networks: ['10.0.0.0/8'], ca: CA, xForwarded: true };

async function begun() {
  const { access } = await scene();
  for (const group of ['staff', 'guests']) await putGroup(access, group, BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  await putResource(access, 'wiki', { kind: 'http', authority: 'wiki.corp', title: 'Wiki', backend: BACKEND }, BY);
  await putResource(access, 'news', { kind: 'http', authority: 'news.corp', backend: BACKEND }, BY);
  const rule = { context: { os: ['ios'] }, methods: ['GET'], paths: ['/a'] };
  await putPolicy(access, 'open', { groups: ['staff'], resources: ['wiki', 'news'], ...rule }, BY);
  const policy = () => access.store.transaction(({ tables }) => tables.policies.find({ name: 'open' }));
  const resource = (name: string) => access.store.transaction(({ tables }) => tables.resources.find({ name }));
  return { access, policy, resource };
}

test('what a change of a resource does not name stays, and null takes a setting away', async () => {
  const { access, resource } = await begun();
  await changeResource(access, 'wiki', { backend: { url: 'https://new.internal' } }, BY);
  expect(await resource('wiki')).toMatchObject({ title: 'Wiki', authority: 'wiki.corp' });
  expect((await resource('wiki'))!.backend).toEqual({ ...BACKEND, url: 'https://new.internal' });
  await changeResource(access, 'wiki', { title: 'New', backend: { ca: null, networks: [] } }, BY);
  expect((await resource('wiki'))!.backend).toEqual({ url: 'https://new.internal', networks: [], xForwarded: true });
  expect((await resource('wiki'))!.title).toBe('New');
});

test('what evidence a policy demands is changed and taken away without the rest of its rule', async () => {
  const { access, policy } = await begun();
  const attested = { withinMs: 900_000, level: 'hardware' } as const;
  const context = async (): Promise<unknown> => (await policy())!.rule.context;
  await changePolicy(access, 'open', { attested }, BY);
  expect(await context()).toEqual({ os: ['ios'], attested });
  await changePolicy(access, 'open', { context: { os: ['android'] }, attested }, BY);
  expect(await context()).toEqual({ os: ['android'], attested });
  await changePolicy(access, 'open', { methods: ['POST'] }, BY);
  expect(await context()).toEqual({ os: ['android'], attested });
  await changePolicy(access, 'open', { attested: null }, BY);
  expect(await context()).toEqual({ os: ['android'] });
});

test('time limits of a resource change one by one', async () => {
  const { access, resource } = await begun();
  const timeouts = async (change: object | null): Promise<unknown> => {
    await changeResource(access, 'wiki', { backend: { timeouts: change } }, BY);
    return ((await resource('wiki'))!.backend as { timeouts?: unknown }).timeouts;
  };
  expect(await timeouts({ answerMs: 75_000 })).toEqual({ answerMs: 75_000 });
  expect(await timeouts({ idleMs: 900_000 })).toEqual({ answerMs: 75_000, idleMs: 900_000 });
  expect(await timeouts({ answerMs: null })).toEqual({ idleMs: 900_000 });
  expect(await timeouts({ idleMs: null })).toBeUndefined();
  expect(await timeouts({ connectMs: 1_000, idleMs: 2_000 })).toEqual({ connectMs: 1_000, idleMs: 2_000 });
  expect(await timeouts(null)).toBeUndefined();
  expect((await resource('wiki'))!.backend).toEqual(BACKEND);
});

test('what a change makes of a resource is checked as a whole, and nothing is left of one that is refused', async () => {
  const { access, resource } = await begun();
  const before = await resource('wiki');
  for (const change of [
    { backend: { url: 'tcp://x:1' } },
    { kind: 'tcp' },
    { backend: { networks: ['10/8'] } },
    { backend: { passFields: ['host'] } },
  ] as const)
    await expect(changeResource(access, 'wiki', change as object, BY)).rejects.toMatchObject({
      code: 'ERR_ACCESS_INVALID',
    });
  const taken = changeResource(access, 'wiki', { authority: 'news.corp' }, BY);
  await expect(taken).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT', message: expect.stringContaining('news') });
  await expect(changeResource(access, 'nothing', {}, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
  expect(await resource('wiki')).toEqual(before);
});

test('a resource or policy that is to be new never replaces one', async () => {
  const { access, policy, resource } = await begun();
  const [before, rule] = [await resource('wiki'), await policy()];
  const again = putResource(access, 'wiki', { kind: 'http', authority: 'w.corp', backend: BACKEND }, BY, {
    onlyNew: true,
  });
  await expect(again).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const other = putPolicy(access, 'open', { groups: [], resources: [], context: {} }, BY, { onlyNew: true });
  await expect(other).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect([await resource('wiki'), await policy()]).toEqual([before, rule]);
});

test('a policy changes by what is named: lists are replaced, added to and taken from', async () => {
  const { access, policy } = await begun();
  await changePolicy(access, 'open', { addGroups: ['guests', 'staff'] }, BY);
  expect(await policy()).toMatchObject({ groups: ['staff', 'guests'], resources: ['wiki', 'news'] });
  await changePolicy(access, 'open', { removeResources: ['wiki'], methods: null }, BY);
  expect(await policy()).toMatchObject({ groups: ['staff', 'guests'], resources: ['news'] });
  expect((await policy())!.rule).toEqual({ context: { os: ['ios'] }, paths: ['/a'] });
  await expect(changePolicy(access, 'open', { addResources: ['x'] }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_NOT_FOUND',
  });
  await expect(changePolicy(access, 'x', {}, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});

test('a resource that is removed leaves its policies: another one of its name is open to nobody', async () => {
  const { access, policy } = await begun();
  expect(await removeRight(access, 'resources', 'wiki', BY)).toBe(true);
  expect((await policy())!.resources).toEqual(['news']);
  await putResource(access, 'wiki', { kind: 'http', authority: 'wiki.corp', backend: BACKEND }, BY);
  expect((await policy())!.resources).toEqual(['news']);
});

test.each<[what: string, rule: { methods?: string[]; paths?: string[] }, why: string]>([
  ['a method that never passes', { methods: ['GET', 'TRACE'] }, 'the method TRACE never passes'],
  ['a known method in other letters', { methods: ['propfind'] }, 'PROPFIND is not written in capitals'],
  ['a path with a query', { paths: ['/a?b'] }, 'not queries'],
  ['a path with a broken escape', { paths: ['/a%'] }, 'broken escape'],
  ['a path in raw letters', { paths: ['/Straße'] }, 'percent-encoded'],
])('a policy is refused that names %s', async (_what, rule, why) => {
  const { access } = await begun();
  const input = { groups: ['staff'], resources: ['wiki'], context: {}, ...rule };
  await expect(putPolicy(access, 'odd', input, BY)).rejects.toThrow(why);
  await expect(changePolicy(access, 'open', rule, BY)).rejects.toThrow(why);
});

test('any other method and path may be named, and a resource may take paths exactly', async () => {
  const { access, policy } = await begun();
  const rule = { methods: ['PROPFIND', 'VERSION-CONTROL', 'Sync'], paths: ['/api/%2F', '/a;v=1'] };
  await changePolicy(access, 'open', rule, BY);
  expect((await policy())!.rule).toMatchObject(rule);
  const row = await changeResource(access, 'wiki', { backend: { paths: 'exact' } }, BY);
  expect(row.backend).toMatchObject({ paths: 'exact' });
  expect((await changeResource(access, 'wiki', { backend: { paths: null } }, BY)).backend).not.toHaveProperty('paths');
});

test('groups decide which resources a grant holds; a change of rights is an entry of the log', async () => {
  const { access } = await withAda();
  await putGroup(access, 'staff', BY);
  await putResource(
    access,
    'wiki',
    { kind: 'http', authority: 'wiki.corp', backend: { url: 'http://127.0.0.1:1', networks: [] } },
    BY,
  );
  await putPolicy(access, 'p', { groups: ['staff'], resources: ['wiki'], context: {}, paths: ['/a'] }, BY);
  const granted = (groups: string[]) =>
    access.store.transaction(async (transaction) =>
      grantedResources(await readPolicySet(transaction), groups).map(({ name }) => name),
    );
  expect(await granted(['staff'])).toEqual(['wiki']);
  expect(await granted(['guests'])).toEqual([]);
  const head = async () => (await access.store.transaction((transaction) => getRealm(transaction))).head;
  const before = await head();
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  expect(await head()).toBe(before + 1);
  expect(await removeRight(access, 'policies', 'p', BY)).toBe(true);
  expect(await granted(['staff'])).toEqual([]);
  await expect(putPolicy(access, 'q', { groups: ['none'], resources: [], context: {} }, BY)).rejects.toMatchObject({
    code: 'ERR_ACCESS_NOT_FOUND',
  });
});

test('rights that a node keeps are those of one run of the database server: a version comes again with other contents', async () => {
  const { access } = await begun();
  const cache = new PolicyCache();
  const { policyVersion, mapVersion, epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const names = (serverRun: string) =>
    access.store.transaction(async ({ tables, now }) => {
      const set = await cache.get({ tables, now, serverRun }, { epoch, policyVersion, mapVersion });
      return set.policies.map(({ name }) => name);
    });
  expect(await names('first')).toEqual(['open']);
  await access.store.transaction(({ tables }) => tables.policies.remove({}));
  expect(await names('first')).toEqual(['open']);
  expect(await names('second')).toEqual([]);
});
