import { expect, test } from 'vitest';
import { changeSettings, listAudit } from '../../src/index.ts';
import { enrolled, keys, login, withAda } from '../ada.ts';
import { BY } from '../scene.ts';

test('rotation: next is written before the answer, promoted when used, and the old key works for its grace time', async () => {
  const { access, clock } = await withAda();
  const { id } = await enrolled(access);
  const [first] = await keys(access, id);
  expect((await login(access, id, first!))!.rotation.rotate).toBe(false);
  clock.now += 25 * 3_600_000;
  expect((await login(access, id, first!))!.rotation).toMatchObject({ rotate: true, generation: 1 });
  // The answer was lost: the device still has the first key, and a new next replaces the one it never got.
  expect((await login(access, id, first!, 2))!.rotation).toMatchObject({ rotate: true, generation: 1 });
  const next = (await keys(access, id)).find(({ slot }) => slot === 'next')!;
  expect((await login(access, id, next))!.rotation).toMatchObject({ rotate: false, generation: 1 });
  expect((await keys(access, id)).map(({ slot }) => slot)).toEqual(['current', 'previous']);
  const old = (await login(access, id, { ...first!, slot: 'previous' }, 3))!;
  expect(old.rotation).toMatchObject({ rotate: true, suspicious: true });
  const actions = (await access.store.transaction((transaction) => listAudit(transaction, 5))).map(
    ({ action }) => action,
  );
  expect(actions).toContain('key.previous-used');
  clock.now += 3_600_001;
  expect(await login(access, id, { ...first!, slot: 'previous' })).toBeUndefined();
  // A longer grace time that an older version has stored counts for a day at most.
  await changeSettings(access, { previousKeyGraceMs: 30 * 24 * 3_600_000 }, BY);
  expect((await login(access, id, { ...first!, slot: 'previous' }))!.rotation).toMatchObject({ suspicious: true });
  clock.now += 24 * 3_600_000;
  expect(await login(access, id, { ...first!, slot: 'previous' })).toBeUndefined();
  // With the next login it is erased, too.
  const [current] = await keys(access, id);
  await login(access, id, current!);
  expect((await keys(access, id)).map(({ slot }) => slot)).not.toContain('previous');
});
