import { expect, test } from 'vitest';
import { createAdminService, createDirectoryService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

const { context, token, lines } = await scene();
const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
const service = await createAdminService(
  { ...context, version: '0.0.0', database: DATABASE, shared: { kind: 'in-process', server: () => '' } } as never,
  certificate,
);
const authorization = `Bearer ${token}`;
const api = (await service.inject({ url: '/openapi.json', headers: { authorization } })).json() as {
  paths: Record<string, Record<string, { parameters?: { in: string; name: string }[] }>>;
};

test('no operation takes a control character in its path, its query or its reason for an outage', async () => {
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, { parameters = [] }] of Object.entries(methods)) {
      const query = parameters.filter((one) => one.in === 'query').map(({ name }) => `${name}=c%00d`);
      const url = `${path.replace(/\{\w+\}/g, 'a%00b')}?${query.join('&')}`;
      const headers = { authorization, 'sallyport-reason': 'unit test' };
      const answer = await service.inject({ method: method.toUpperCase() as 'GET', url, headers });
      expect(answer.statusCode, `${method} ${url} ${answer.body}`).toBeLessThan(500);
    }
  }
});

test.each([
  ['abc%00def', 400],
  ['abc%1B[31mdef', 400],
  ['abc%C2%85def', 400],
  ['phone lost, gefunden in K%C3%B6ln', 200],
  [encodeURIComponent('端'.repeat(500)), 200],
  [encodeURIComponent('端'.repeat(501)), 400],
  ['x'.repeat(501), 400],
  ['%20%20%20', 400],
  ['%C3%B6', 400],
])('a reason is a line of text: %s', async (reason, status) => {
  const headers = { authorization, 'sallyport-reason': reason };
  const answer = await service.inject({ method: 'PUT', url: '/v1/groups/staff', headers });
  expect(answer.statusCode, answer.body).toBe(status);
});

test('who revokes with blanks for a reason is asked why', async () => {
  const url = '/v1/revocations/0123456789abcdef';
  const payload = { kind: 'session', subject: 'abc', reason: '   ' };
  const answer = await service.inject({ method: 'PUT', url, headers: { authorization }, payload });
  expect(answer.json(), answer.body).toMatchObject({ status: 400, code: 'ERR_SECURITY_REASON' });
});

test.each<['PUT' | 'POST', string, object]>([
  ['PUT', '/v1/users/ada', { displayName: 'a\0b' }],
  ['PUT', '/v1/users/ada', { displayName: 'a\u009bb' }],
  ['PUT', '/v1/users/ada', { password: 'long enough\0' }],
  ['PUT', '/v1/users/ada', { groups: ['a\nb'] }],
  [
    'PUT',
    '/v1/resources/wiki',
    { kind: 'http', authority: 'w.x', title: 'a\tb', backend: { url: 'http://x', networks: [] } },
  ],
  ['PUT', '/v1/revocations/0123456789abcdef', { kind: 'session', subject: 'a\0', reason: 'abc' }],
  ['PUT', '/v1/revocations/0123456789abcdef', { kind: 'session', subject: 'abc', reason: 'a\u001b[2Jbc' }],
  ['POST', '/v1/operators/login', { token: 'a\0b', name: 'x' }],
  ['POST', '/v1/operators/oidc', { directory: 'a\u0000' }],
])('%s %s takes no control characters in %j', async (method, url, payload) => {
  const headers = { authorization, 'sallyport-reason': 'unit test' };
  const answer = await service.inject({ method, url, headers, payload });
  expect(answer.statusCode, answer.body).toBe(400);
});

test('the listener for directories takes none either, and nothing of all this is an error of ours', async () => {
  const directory = createDirectoryService(context, certificate);
  const answer = await directory.inject({
    method: 'POST',
    url: '/oidc/%00/backchannel-logout',
    payload: 'logout_token=a%00',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(answer.statusCode, answer.body).toBe(400);
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
});
