import { expect, test } from 'vitest';
import { createAdminService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

const BACKEND = { url: 'http://127.0.0.1:1', networks: ['127.0.0.0/8'] };
const WIKI = { kind: 'http', authority: 'wiki.corp', title: 'Wiki', backend: BACKEND };

/** A Security server with a Proxy that holds a lease and hears of nothing; each look at the clock is seconds later. */
async function withDeafProxy() {
  const { context, token } = await scene(undefined, { monotonicMs: (clock) => (clock.now += 20_000) });
  const lease = {
    proxy: `p1/${'1'.repeat(32)}`,
    applied: 0,
    channels: 0,
    expiresAt: 0,
    leaseMs: 1e9,
    node: 'n',
    beat: 1,
    requests: 0,
    bytes: 0,
    rttMs: null,
  };
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const shared = { kind: 'in-process', server: () => '' } as const;
  const service = await createAdminService({ ...context, version: '0', database: DATABASE, shared }, certificate);
  const headers = { authorization: `bearer ${token}`, 'sallyport-reason': 'unit test' };
  const call = async (method: 'PUT' | 'PATCH' | 'POST' | 'DELETE', url: string, payload?: object) => {
    const answer = await service.inject({ method, url, headers, ...(payload ? { payload } : {}) });
    return { status: answer.statusCode, json: answer.json() };
  };
  const leases = (work: 'insert' | 'remove') =>
    context.access.store.transaction<unknown>(({ tables }) =>
      work === 'insert' ? tables.leases.insert(lease) : tables.leases.remove({}),
    );
  return { call, leases };
}

test("no change of somebody's rights is called done while a Proxy may go by the old ones", async () => {
  const { call, leases } = await withDeafProxy();
  await call('PUT', '/v1/groups/staff');
  const changes = [
    ['PUT', '/v1/resources/wiki', WIKI],
    ['PATCH', '/v1/resources/wiki', { title: 'The wiki' }],
    ['PUT', '/v1/policies/staff', { groups: ['staff'], resources: ['wiki'], context: {} }],
    ['PATCH', '/v1/policies/staff', { methods: ['GET'] }],
    ['PUT', '/v1/sites/here', { origins: ['wss://gateway.corp'] }],
    ['PATCH', '/v1/resources/wiki', { sites: ['here'] }],
    ['PATCH', '/v1/policies/staff', { networks: ['10.0.0.0/8'] }],
    ['PUT', '/v1/sites/b', { origins: ['wss://b.corp'] }],
    ['POST', '/v1/sites/b/drain'],
    ['POST', '/v1/sites/b/open'],
    ['DELETE', '/v1/sites/b'],
    ['PATCH', '/v1/realm', { context: { apps: [] } }],
    ['PUT', '/v1/users/ada', { groups: ['staff'] }],
    ['POST', '/v1/users/ada/second-factor'],
    ['DELETE', '/v1/users/ada/second-factor'],
    ['POST', '/v1/users/ada/rename', { name: 'ann' }],
    ['DELETE', '/v1/policies/staff'],
    ['DELETE', '/v1/resources/wiki'],
  ] as const;
  for (const [method, url, body] of changes) {
    await leases('insert');
    const deaf = await call(method, url, body);
    expect(deaf, `${method} ${url}`).toMatchObject({ status: 503, json: { code: 'ERR_SECURITY_NOT_IN_FORCE' } });
    // Whom it waits for is what an operator can do something about.
    expect(deaf.json.title, `${method} ${url}`).toContain('waits for p1');
    await leases('remove');
  }
  expect((await call('PATCH', '/v1/realm', { context: {} })).status).toBe(200);
});
