import { type EnrolmentLink, parseLink } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { adminScene } from '../admin-scene.ts';

const PASSWORD = 'correct horse battery';

test('a user is created, changed one field at a time, listed, and told with groups', async () => {
  const { call } = await adminScene();
  expect((await call('PUT', '/v1/groups/staff')).json).toEqual({ done: true });
  const body = { password: PASSWORD, displayName: 'Ada', groups: ['staff'] };
  const created = await call('PUT', '/v1/users/ada', { body });
  const shown = { name: 'ada', displayName: 'Ada', enabled: true, groups: ['staff'] };
  expect(created).toMatchObject({ status: 200, json: shown });
  const changed = await call('PUT', '/v1/users/ada', { body: { displayName: 'Ada L' } });
  expect(changed.json).toMatchObject({ ...shown, displayName: 'Ada L' });
  expect(await call('GET', '/v1/users/ada')).toEqual(changed);
  expect((await call('GET', '/v1/users')).json).toMatchObject([{ name: 'ada' }]);
  expect((await call('GET', '/v1/groups')).json).toMatchObject([{ name: 'staff', count: 1, members: ['ada'] }]);
  expect(JSON.stringify(changed.json)).not.toMatch(/password|hash/i);
});

test.each([
  ['a name with a space', 'PUT', '/v1/users/a%20b', { body: {} }, 400],
  ['a name in capitals', 'PUT', '/v1/users/ADA', { body: {} }, 400],
  ['a field that there is not', 'PUT', '/v1/users/ada', { body: { colour: 'red' } }, 400],
  ['a body that is a list', 'PUT', '/v1/users/ada', { body: [] }, 400],
  ['a change without a reason', 'PUT', '/v1/users/ada', { body: {}, reason: '' }, 400],
  ['an account without its directory', 'PUT', '/v1/users/ada', { body: { account: 'a' } }, 422],
  ['a group that there is not', 'PUT', '/v1/users/ada', { body: { groups: ['none'] } }, 404],
  ['a directory that there is not', 'PUT', '/v1/users/ada', { body: { directory: 'none' } }, 404],
  ['a user that there is not', 'GET', '/v1/users/nobody', {}, 404],
  ['disabling nobody', 'POST', '/v1/users/nobody/disable', {}, 404],
  ['removing nobody', 'DELETE', '/v1/users/nobody', {}, 404],
  ['another name for nobody', 'POST', '/v1/users/nobody/rename', { body: { name: 'somebody' } }, 404],
  ['a code for nobody', 'POST', '/v1/codes', { body: { user: 'nobody', pinOrigin: 'wss://gate.corp' } }, 404],
  ['a wrong credential', 'GET', '/v1/users', { bearer: 'spo_none' }, 401],
] as const)('%s is refused', async (_, method, url, asked, status) => {
  const { call } = await adminScene();
  const answer = await call(method, url, asked);
  expect(answer, JSON.stringify(answer.json)).toMatchObject({
    status,
    json: { status, code: expect.stringMatching(/^ERR_/) },
  });
});

test('a user is disabled and let in again, each on record with its reason', async () => {
  const { call } = await adminScene();
  await call('PUT', '/v1/users/ada', { body: { password: PASSWORD } });
  const isEnabled = async () => (await call('GET', '/v1/users/ada')).json.enabled;
  const disabled = await call('POST', '/v1/users/ada/disable', { reason: 'left the company' });
  expect(disabled).toMatchObject({ status: 200, json: { kind: 'user', inForce: true, reason: 'left the company' } });
  expect(await isEnabled()).toBe(false);
  expect((await call('POST', '/v1/users/ada/enable', { reason: 'came back' })).json).toEqual({ done: true });
  expect(await isEnabled()).toBe(true);
  const { json: audit } = await call('GET', '/v1/audit?limit=2');
  expect(audit).toMatchObject([
    { action: 'user.enable', subject: 'ada', actor: 'olga', reason: 'came back' },
    { action: 'user.disable', subject: 'ada', actor: 'olga', reason: 'left the company' },
  ]);
});

test('a name can be changed, is free after a removal, and never two people’s', async () => {
  const { call } = await adminScene();
  for (const name of ['ada', 'bob']) await call('PUT', `/v1/users/${name}`, { body: {} });
  expect((await call('POST', '/v1/users/bob/rename', { body: { name: 'ada' } })).status).toBe(409);
  expect((await call('POST', '/v1/users/bob/rename', { body: { name: 'ben' } })).json).toMatchObject({ name: 'ben' });
  expect((await call('DELETE', '/v1/users/ada')).json).toMatchObject({ kind: 'user', inForce: true });
  expect((await call('POST', '/v1/users/ben/rename', { body: { name: 'ada' } })).json).toMatchObject({ name: 'ada' });
});

test('a code needs a site that devices can come to, and says whose it is and until when', async () => {
  const { call, clock } = await adminScene();
  await call('PUT', '/v1/users/ada', { body: { password: PASSWORD } });
  expect(await call('POST', '/v1/codes', { body: { user: 'ada' } })).toMatchObject({
    status: 409,
    json: { code: 'ERR_SECURITY_NO_SITE' },
  });
  await call('PUT', '/v1/sites/here', { body: { origins: ['wss://proxy.example'] } });
  const { json: code } = await call('POST', '/v1/codes', { body: { user: 'ada', ttlMs: 60_000 } });
  expect(code).toMatchObject({ user: 'ada', expiresAt: clock.now + 60_000, link: expect.stringContaining('#') });
});

test('a link names the first Proxies of every site, or what its device is pinned to and nothing else', async () => {
  const { call } = await adminScene();
  await call('PUT', '/v1/users/ada', { body: { password: PASSWORD } });
  const many = (site: string): string[] => Array.from({ length: 12 }, (_, i) => `wss://${site}${i}.example`);
  for (const site of ['a', 'b']) await call('PUT', `/v1/sites/${site}`, { body: { origins: many(site) } });
  const link = async (pin: object): Promise<Pick<EnrolmentLink, 'origins' | 'pin'>> => {
    const { json } = await call('POST', '/v1/codes', { body: { user: 'ada', ...pin } });
    const { origins, pin: pinned } = parseLink((json as { link: string }).link);
    return { origins, ...(pinned ? { pin: pinned } : {}) };
  };
  const { origins, pin } = await link({});
  expect([origins.length, origins[0], origins[1], pin]).toEqual([
    16,
    'wss://a0.example',
    'wss://b0.example',
    undefined,
  ]);
  expect(await link({ pinSite: 'b' })).toEqual({ origins: many('b'), pin: { site: 'b' } });
  const origin = 'wss://gate.example:444';
  expect(await link({ pinOrigin: origin })).toEqual({ origins: [origin], pin: { origin } });
  expect(await link({ pinSite: 'b', pinOrigin: origin })).toEqual({ origins: [origin], pin: { site: 'b', origin } });
  for (const wrong of [{ pinSite: 'nowhere' }, { pinOrigin: 'https://gate.example' }])
    expect((await call('POST', '/v1/codes', { body: { user: 'ada', ...wrong } })).status).toBeGreaterThanOrEqual(400);
});
