import { expect, test } from 'vitest';
import { createAdminService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

const BACKEND = { url: 'http://wiki.internal', networks: ['10.0.0.0/8'], basic: { user: 'gate', password: 'canary' } };
const WIKI = { kind: 'http', authority: 'wiki.corp', backend: BACKEND };

async function served(more: object = {}) {
  const { context, token, lines } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const shared = { kind: 'in-process', server: () => '' };
  const service = await createAdminService(
    { ...context, version: '0', database: DATABASE, shared, ...more } as never,
    certificate,
  );
  const headers = { authorization: `Bearer ${token}`, 'sallyport-reason': 'unit test' };
  const call = async (method: 'GET' | 'PUT' | 'PATCH' | 'POST', url: string, payload?: object) => {
    const { statusCode, body } = await service.inject({ method, url, headers, ...(payload ? { payload } : {}) });
    return { statusCode, body, json: JSON.parse(body) };
  };
  return { call, lines, context };
}

test('no answer of the admin API and no line of the log holds a secret of a backend', async () => {
  const { call, lines } = await served();
  const bodies = [
    await call('PUT', '/v1/resources/wiki', WIKI),
    await call('PATCH', '/v1/resources/wiki', { backend: { xForwarded: true } }),
    await call('PATCH', '/v1/resources/wiki', { backend: { basic: { password: 'canary-2' } } }),
    await call('GET', '/v1/resources'),
    await call('GET', '/v1/resources/wiki'),
    await call('PUT', '/v1/resources', { resources: [{ name: 'wiki', ...WIKI }] }),
    await call('POST', '/v1/resources/wiki/test'),
    await call('GET', '/v1/audit'),
  ];
  expect(bodies.map(({ statusCode }) => statusCode)).toEqual(Array(8).fill(200));
  expect(bodies[4]!.json.backend.basic).toEqual({ user: 'gate' });
  expect(bodies[5]!.json.changes).toEqual([
    { name: 'wiki', what: 'change', settings: ['backend.xForwarded', 'backend.password'] },
  ]);
  for (const text of [...bodies.map(({ body }) => body), ...lines]) {
    expect(text).not.toContain('canary');
    expect(text).not.toContain('wrapped');
  }
});

test('what a change makes of a part must be whole', async () => {
  const { call } = await served();
  await call('PUT', '/v1/resources/wiki', { ...WIKI, backend: { ...BACKEND, basic: undefined } });
  for (const backend of [
    { basic: { password: 'x' } },
    { clientCertificate: { key: 'x' } },
    { health: { everyMs: 5_000 } },
  ]) {
    const { statusCode, json } = await call('PATCH', '/v1/resources/wiki', { backend });
    expect([statusCode, json.code]).toEqual([422, 'ERR_ACCESS_INVALID']);
  }
});

test('of a wildcard the name that is tried is said', async () => {
  const { call } = await served();
  const backend = { url: 'http://*.internal', networks: ['10.0.0.0/8'] };
  await call('PUT', '/v1/resources/all', { kind: 'http', authority: '*.corp', backend });
  expect((await call('POST', '/v1/resources/all/test')).statusCode).toBe(400);
  expect((await call('POST', '/v1/resources/all/test?as=a.example')).statusCode).toBe(400);
  expect((await call('POST', '/v1/resources/all/test?as=a.corp')).json).toEqual({ name: 'all', tries: [] });
});

test('updates are tried by the CA that devices get them by: that of Security itself', async () => {
  const tried: { backend: { ca?: string } }[] = [];
  const proxies = { try: async (what: { backend: { ca?: string } }) => tried.push(what) && [] };
  const { call, context } = await served({ proxies });
  const backend = { url: 'https://security.internal:8443', prefix: '/updates', networks: ['10.0.0.0/8'] };
  await call('PUT', '/v1/resources/updates', { kind: 'http', authority: 'updates.sallyport', backend });
  await call('PUT', '/v1/resources/wiki', WIKI);
  expect((await call('POST', '/v1/resources/updates/test')).statusCode).toBe(200);
  expect((await call('POST', '/v1/resources/wiki/test')).statusCode).toBe(200);
  const [authority] = context.liveKeys.current.authorities;
  expect(tried.map(({ backend: { ca } }) => ca)).toEqual([authority?.trimEnd(), undefined]);
});
