import { expect, test } from 'vitest';
import { changeSettings } from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

test("a realm's rule for app contexts is a right: open channels read theirs again when it changes", async () => {
  const { access } = await scene();
  const entries = async () =>
    (await access.store.transaction(({ tables }) => tables.revocations.list())).map(({ kind, subject }) => [
      kind,
      subject,
    ]);
  await changeSettings(access, { openBurst: 7 }, BY);
  expect(await entries()).toEqual([]);
  await changeSettings(access, { context: { posture: { rooted: false } } }, BY);
  expect(await entries()).toEqual([['rights', '*']]);
});
