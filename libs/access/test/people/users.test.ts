import { expect, test } from 'vitest';
import { disableUser, enableUser, findUser, issueCode, listSessions, verifyPassword } from '../../src/index.ts';
import { enrolled, keys, login, REQUEST, withAda } from '../ada.ts';
import { BY, enrolWithPassword } from '../scene.ts';

test('disabling a user ends everything of theirs, and enabling again revives nothing', async () => {
  const { access } = await withAda();
  const installation = await enrolled(access);
  const [key] = await keys(access, installation.id);
  await login(access, installation.id, key!);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  expect(await listSessions(access, { all: false, limit: 100 })).toHaveLength(1);
  const { index } = await disableUser(access, 'ada', 'request-1', BY);
  expect(await disableUser(access, 'ada', 'request-1', BY)).toMatchObject({ index });
  await enableUser(access, 'ada', BY);
  expect(await listSessions(access, { all: false, limit: 100 })).toHaveLength(0);
  expect(await login(access, installation.id, key!)).toBeUndefined();
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(5) })).toMatchObject(
    {
      status: 'refused',
    },
  );
});

test('passwords: wrong, empty, of nobody and of a disabled user never fit', async () => {
  const { access } = await withAda();
  const { user } = (await findUser(access, 'ada'))!;
  expect(await verifyPassword(access, user, 'pw')).toBe(true);
  for (const [who, password] of [
    [user, 'x'],
    [user, ''],
    [undefined, 'pw'],
    [{ ...user, enabled: false }, 'pw'],
    [{ ...user, passwordHash: null }, ''],
  ] as const) {
    expect(await verifyPassword(access, who, password)).toBe(false);
  }
});
