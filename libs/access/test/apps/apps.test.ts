import { expect, test } from 'vitest';
import {
  adoptApps,
  changeSettings,
  getApp,
  listApps,
  putApp,
  putGroup,
  putPolicy,
  putResource,
  removeApp,
  removeRight,
} from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY, scene } from '../scene.ts';

const OPEN = { groups: null };
const BACKEND = { url: 'http://127.0.0.1:1', networks: [] };

test('an app is put, listed, replaced and removed', async () => {
  const { access } = await scene();
  await putApp(access, 'b', { groups: null, title: 'B' }, BY);
  await putApp(access, 'a', OPEN, BY);
  expect((await listApps(access, { after: '', limit: 9 })).map(({ id }) => id)).toEqual(['a', 'b']);
  await expect(putApp(access, 'a', OPEN, BY, { onlyNew: true })).rejects.toThrow('registered already');
  await putApp(access, 'a', { groups: null, title: 'A' }, BY);
  expect(await getApp(access, 'a')).toMatchObject({ title: 'A' });
  expect(await removeApp(access, 'a', BY)).toBe(true);
  expect(await removeApp(access, 'a', BY)).toBe(false);
  await expect(getApp(access, 'a')).rejects.toThrow('no app a: "sallyport app list" shows them all');
  expect(await listApps(access, { after: '', limit: 9 })).toHaveLength(1);
  await putApp(access, 'a', OPEN, BY, { onlyNew: true });
});

test('an app for a group that there is not is refused', async () => {
  const { access } = await scene();
  await expect(putApp(access, 'a', { groups: ['none'] }, BY)).rejects.toThrow('no group none');
});

test('rules name registered apps only, and an app that a rule names stays', async () => {
  const { access } = await scene();
  await putGroup(access, 'staff', BY);
  await putResource(access, 'wiki', { kind: 'http', authority: 'wiki.corp', backend: BACKEND }, BY);
  const context = { apps: [{ id: 'a' }] };
  const policy = { groups: ['staff'], resources: ['wiki'], context };
  await expect(putPolicy(access, 'p', policy, BY)).rejects.toThrow('no app a: "sallyport app list" shows them all');
  await expect(changeSettings(access, { context }, BY)).rejects.toThrow(
    'no app a: "sallyport app list" shows them all',
  );
  await putApp(access, 'a', OPEN, BY);
  await putPolicy(access, 'p', policy, BY);
  await expect(removeApp(access, 'a', BY)).rejects.toThrow('policies name a: p');
  await removeRight(access, 'policies', 'p', BY);
  await changeSettings(access, { context }, BY);
  await expect(removeApp(access, 'a', BY)).rejects.toThrow("the realm's rule");
  await changeSettings(access, { context: {} }, BY);
  expect(await removeApp(access, 'a', BY)).toBe(true);
});

test('a realm of before registers the apps of its devices once, and none again', async () => {
  const { access } = await withAda();
  await enrolled(access);
  await access.store.transaction(async ({ tables }) => {
    const [sample] = await tables.installations.list();
    const apps = ['z.app@1', 'z.app@2', 'm@1.0', 'z.app@1'];
    for (const [i, app] of apps.entries())
      await tables.installations.insert({ ...sample!, id: `copy${i}`, deviceStatic: Uint8Array.of(i), app });
  });
  expect(await adoptApps(access)).toEqual(['a', 'm', 'z.app']);
  expect(await adoptApps(access)).toEqual([]);
  for (const id of ['a', 'm', 'z.app']) await removeApp(access, id, BY);
  expect(await adoptApps(access)).toEqual([]);
});
