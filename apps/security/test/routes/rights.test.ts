import { expect, test } from 'vitest';
import { adminScene } from '../admin-scene.ts';

const BACKEND = { url: 'http://10.0.0.1', networks: ['10.0.0.0/8'] };
const WIKI = { kind: 'http', authority: 'wiki.corp', backend: BACKEND };
const OPEN = { groups: ['staff'], resources: ['wiki'], context: {} };

async function withWiki() {
  const made = await adminScene();
  await made.call('PUT', '/v1/groups/staff');
  expect((await made.call('PUT', '/v1/resources/wiki', { body: WIKI })).status).toBe(200);
  return made;
}

test('a resource and a policy are put, changed in part, listed and removed', async () => {
  const { call } = await withWiki();
  expect((await call('PUT', '/v1/policies/open', { body: OPEN })).status).toBe(200);
  expect((await call('PATCH', '/v1/resources/wiki', { body: { title: 'Wiki' } })).status).toBe(200);
  expect((await call('GET', '/v1/resources')).json).toMatchObject([
    { name: 'wiki', title: 'Wiki', authority: 'wiki.corp', backend: BACKEND },
  ]);
  expect((await call('PATCH', '/v1/policies/open', { body: { methods: ['GET'] } })).status).toBe(200);
  expect((await call('GET', '/v1/policies')).json).toMatchObject([{ ...OPEN, name: 'open', methods: ['GET'] }]);
  expect((await call('DELETE', '/v1/policies/open')).status).toBe(200);
  expect((await call('GET', '/v1/policies')).json).toEqual([]);
});

test.each([
  ['an authority in capitals', 'PUT', '/v1/resources/news', { body: { ...WIKI, authority: 'NEWS' } }, 400],
  [
    'a network that is none',
    'PUT',
    '/v1/resources/n',
    { body: { ...WIKI, backend: { url: 'http://x', networks: ['x'] } } },
    422,
  ],
  ['a kind that there is not', 'PUT', '/v1/resources/news', { body: { ...WIKI, kind: 'carrier pigeon' } }, 400],
  [
    'a resource without a backend',
    'PUT',
    '/v1/resources/news',
    { body: { kind: 'http', authority: 'news.corp' } },
    400,
  ],
  ['a resource without a reason', 'PUT', '/v1/resources/news', { body: WIKI, reason: '' }, 400],
  ['a change of no resource', 'PATCH', '/v1/resources/news', { body: { title: 'News' } }, 404],
  ['a policy of no group', 'PUT', '/v1/policies/p', { body: { ...OPEN, groups: ['none'] } }, 404],
  ['a policy of no resource', 'PUT', '/v1/policies/p', { body: { ...OPEN, resources: ['none'] } }, 404],
  ['a change of no policy', 'PATCH', '/v1/policies/p', { body: { methods: ['GET'] } }, 404],
  ['a method that is no token', 'PUT', '/v1/policies/p', { body: { ...OPEN, methods: ['GE T'] } }, 400],
] as const)('%s is refused', async (_, method, url, asked, status) => {
  const { call } = await withWiki();
  const answer = await call(method, url, asked);
  expect(answer.status, JSON.stringify(answer.json)).toBe(status);
  expect((await call('GET', '/v1/resources')).json).toHaveLength(1);
  expect((await call('GET', '/v1/policies')).json).toEqual([]);
});

test('the realm takes settings that there are, within their limits', async () => {
  const { call } = await adminScene();
  expect((await call('PATCH', '/v1/realm', { body: { openBurst: 7 } })).json).toMatchObject({ openBurst: 7 });
  expect((await call('GET', '/v1/realm')).json).toMatchObject({ openBurst: 7 });
  for (const body of [{ openBurst: -1 }, { openBurst: 'many' }, { colour: 'red' }])
    expect((await call('PATCH', '/v1/realm', { body })).status, JSON.stringify(body)).toBe(400);
});

test('a Proxy is invited for a site, and revoking one that there is not does nothing', async () => {
  const { call } = await adminScene();
  await call('PUT', '/v1/sites/here', { body: { origins: ['wss://proxy.example'] } });
  expect((await call('GET', '/v1/sites')).json).toMatchObject([{ name: 'here', origins: ['wss://proxy.example'] }]);
  const invited = await call('POST', '/v1/join-tokens', { body: { name: 'p1', site: 'here' } });
  expect(invited).toMatchObject({ status: 200, json: { token: expect.stringMatching(/^[\w-]+$/) } });
  expect((await call('POST', '/v1/proxies/p9/revoke')).json).toMatchObject({ done: false });
});
