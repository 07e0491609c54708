import type { LdapSettings } from '@sallyport/security-api';
import { selfSigned } from '@sallyport/support';
import { expect, test } from 'vitest';
import { findDirectoryByToken, issueDirectoryToken, putDirectory, secretsOf } from '../../src/index.ts';
import { directory } from '../corp.ts';
import { BY, directoryOf, scene } from '../scene.ts';

test('secrets of a directory are wrapped in its row, and stay when they are not given again', async () => {
  const { access } = await directory();
  const { settings } = directoryOf('ldap');
  const changed = { ...directoryOf('ldap'), settings: { ...settings, userFilter: '(cn=*)' } };
  const row = await putDirectory(access, 'corp', changed, BY);
  expect(Buffer.from(row.secret!).includes('canary')).toBe(false);
  expect(secretsOf(access, row)).toEqual({ bindPassword: 'canary' });
  const other = { ...row, name: 'other' };
  expect(() => secretsOf(access, other)).toThrow(expect.objectContaining({ code: 'ERR_ACCESS_UNWRAP' }));
  await expect(putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY)).rejects.toMatchObject(
    { code: 'ERR_ACCESS_CONFLICT' },
  );
});

test('a stored secret goes nowhere but where it was given for', async () => {
  const { access } = await scene();
  const put = (settings: LdapSettings, secrets?: Readonly<Record<string, string>>) =>
    putDirectory(access, 'corp', { ...directoryOf('ldap'), settings, ...(secrets ? { secrets } : {}) }, BY);
  const pair = selfSigned('corp');
  const corp = { ...directoryOf('ldap').settings, ca: pair.certificate };
  await put(corp, { bindPassword: 'canary' });
  for (const elsewhere of [
    { ...corp, servers: ['ldaps://corp', 'ldaps://evil'] },
    { ...corp, servers: ['ldaps://evil'] },
    { ...corp, ca: selfSigned('corp').certificate },
    directoryOf('ldap').settings,
  ])
    await expect(put(elsewhere), JSON.stringify(elsewhere)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  expect(secretsOf(access, await put({ ...corp, base: 'dc=other' }))).toEqual({ bindPassword: 'canary' });
  // A key that stands in the file of the CA is kept and shown with nothing.
  expect((await put({ ...corp, ca: pair.key + pair.certificate })).settings).toMatchObject({ ca: pair.certificate });
  await expect(put({ ...corp, ca: 'x' })).rejects.toThrow('the CA of corp: the certificate is no PEM of one');
  const moved = await put({ ...corp, servers: ['ldaps://new'] }, { bindPassword: 'new' });
  expect(secretsOf(access, moved)).toEqual({ bindPassword: 'new' });
});

test('tokens end with their time, after a rotation, or at once', async () => {
  const { access, clock } = await directory('scim');
  const issue = (endOthers: boolean) => issueDirectoryToken(access, 'corp', { ttlMs: 30 * 86_400_000, endOthers }, BY);
  const good = async ({ token }: { token: string }) => (await findDirectoryByToken(access, token)) !== undefined;
  const first = await issue(false);
  const second = await issue(false);
  expect([await good(first), await good(second)]).toEqual([true, true]);
  clock.now += 8 * 86_400_000;
  expect([await good(first), await good(second)]).toEqual([false, true]);
  const third = await issue(true);
  expect([await good(second), await good(third)]).toEqual([false, true]);
  clock.now += 31 * 86_400_000;
  expect(await good(third)).toBe(false);
});
