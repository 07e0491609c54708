import { expect, test } from 'vitest';
import { issueCode, putUser } from '../../src/index.ts';
import { keys, login, REQUEST, withAda } from '../ada.ts';
import { BY, enrolWithPassword } from '../scene.ts';

test('an activation code works once, for its user, and dies after five wrong passwords, never by wrong secrets', async () => {
  const { access } = await withAda();
  await putUser(access, 'eve', { password: 'pw' }, BY);
  const deviceStatic = new Uint8Array(32).fill(1);
  const { code } = await issueCode(access, 'ada', undefined, BY);
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic, user: 'eve' })).toMatchObject({
    status: 'refused',
  });
  expect(await enrolWithPassword(access, { ...REQUEST, code: code.toUpperCase(), deviceStatic })).toMatchObject({
    status: 'ok',
  });
  const other = { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(2), signingKey: { kty: 'EC', x: '2' } };
  expect(await enrolWithPassword(access, other)).toEqual({ status: 'refused', code: 'CODE_INVALID' });
  const second = await issueCode(access, 'ada', undefined, BY);
  const fresh = { ...REQUEST, deviceStatic: new Uint8Array(32).fill(2), signingKey: { kty: 'EC', x: '2' } };
  for (let i = 0; i < 9; i++)
    expect(await enrolWithPassword(access, { ...fresh, code: `${second.id}-wrongwrongwrong${i}` })).toMatchObject({
      status: 'refused',
    });
  const third = await issueCode(access, 'ada', undefined, BY);
  expect(await enrolWithPassword(access, { ...fresh, code: second.code })).toMatchObject({ status: 'ok' });
  for (let i = 0; i < 5; i++)
    expect(await enrolWithPassword(access, { ...fresh, code: third.code, password: 'guess' })).toMatchObject({
      code: 'CREDENTIALS_INVALID',
    });
  expect(await enrolWithPassword(access, { ...fresh, code: third.code })).toEqual({
    status: 'refused',
    code: 'CODE_INVALID',
  });
});

test('an expired code is refused', async () => {
  const { access, clock } = await withAda();
  const { code } = await issueCode(access, 'ada', 60_000, BY);
  clock.now += 60_000;
  expect(await enrolWithPassword(access, { ...REQUEST, code, deviceStatic: new Uint8Array(32) })).toMatchObject({
    code: 'CODE_INVALID',
  });
});

test('enrolling again with the same signing key replaces a pending row, never an active one', async () => {
  const { access } = await withAda();
  const { code } = await issueCode(access, 'ada', undefined, BY);
  const request = { ...REQUEST, code, deviceStatic: new Uint8Array(32).fill(1) };
  const first = await enrolWithPassword(access, request);
  const second = await enrolWithPassword(access, request);
  if (first.status !== 'ok' || second.status !== 'ok') throw new Error('refused');
  expect(second.installation.id).toBe(first.installation.id);
  await login(access, first.installation.id, (await keys(access, first.installation.id))[0]!);
  expect(await enrolWithPassword(access, request)).toMatchObject({ status: 'refused' });
});
