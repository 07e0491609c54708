import { expect, test } from 'vitest';
import { openRealmKeys } from '../src/keys.ts';
import { scene } from './scene.ts';

const DAY_MS = 86_400_000;

test('handshake keys overlap: a new one after 45 days, the old one good until its 90th', async () => {
  const { context, clock } = await scene();
  const first = context.keys.newestKid;
  expect((await openRealmKeys(context.access)).newestKid).toBe(first);
  clock.now += 46 * DAY_MS;
  const renewed = await openRealmKeys(context.access);
  expect(renewed.newestKid).not.toBe(first);
  expect([...renewed.handshake.keys()]).toEqual([renewed.newestKid, first]);
  clock.now += 45 * DAY_MS;
  expect([...(await openRealmKeys(context.access)).handshake.keys()]).not.toContain(first);
});

test('root, assertion key and CA stay the same', async () => {
  const { context } = await scene();
  const again = await openRealmKeys(context.access);
  expect(again.rootThumbprint).toEqual(context.keys.rootThumbprint);
  expect(again.assertion.id).toBe(context.keys.assertion.id);
  expect(again.ca.fingerprint).toBe(context.keys.ca.fingerprint);
});
