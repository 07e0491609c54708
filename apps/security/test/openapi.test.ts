import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { createAdminService } from '../src/app.ts';
import { scene } from './scene.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly responses: Readonly<Record<string, unknown>>;
}

const DATABASE = { description: 'memory', version: async () => '0', servers: async () => [] };

async function document() {
  const { context, token } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const service = await createAdminService(
    { context, version: '0.0.0', database: DATABASE, shared: { kind: 'in-process', server: () => '' } },
    certificate,
  );
  const answer = await service.inject({ url: '/openapi.json', headers: { authorization: `Bearer ${token}` } });
  expect(answer.statusCode).toBe(200);
  return { service, text: answer.body, api: answer.json() as { paths: Record<string, Record<string, Operation>> } };
}

test('the admin API describes itself in valid OpenAPI', async () => {
  const { text } = await document();
  const result = await new Validator().validate(JSON.parse(text));
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
});

test('every operation has a unique id, a summary, a tag and an error answer, and every reference leads somewhere', async () => {
  const { api, text } = await document();
  const operations = Object.values(api.paths).flatMap((path) => Object.values(path));
  expect(operations.length).toBeGreaterThan(20);
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const operation of operations) {
    expect(operation.operationId).toMatch(/^[a-z]+\.[a-z]+$/);
    expect(operation.summary).toBeTruthy();
    expect(operation.tags).toHaveLength(1);
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['200', '4XX']));
  }
  const schemas = JSON.parse(text).components.schemas as object;
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(schemas).toHaveProperty([name!]);
});

test('nothing is answered without a credential, before a body is read', async () => {
  const { service, api } = await document();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of Object.keys(methods)) {
      // The ways to get a credential.
      if (['/v1/operators/login', '/v1/operators/oidc', '/v1/operators/providers/{name}'].includes(path)) continue;
      const url = path.replace(/\{\w+\}/g, 'some-name');
      const answer = await service.inject({
        method: method.toUpperCase() as 'GET',
        url,
        payload: '{"broken',
        headers: { 'content-type': 'application/json' },
      });
      expect(answer.statusCode, `${method} ${path}`).toBe(401);
    }
  }
});

test('whatever has a form says in words which one, and refusals use these words', async () => {
  const { api, service } = await document();
  const unsaid: string[] = [];
  const look = (value: unknown, path: string, parent: object): void => {
    if (typeof value !== 'object' || value === null) return;
    const isSaid = 'description' in value || (path.endsWith('/schema') && 'description' in parent);
    if (typeof (value as { pattern?: unknown }).pattern === 'string' && !isSaid) unsaid.push(path);
    for (const [name, part] of Object.entries(value)) look(part, `${path}/${name}`, value);
  };
  look(api, '', {});
  expect(unsaid).toEqual([]);
  const answer = await service.inject({ method: 'GET', url: '/healthz' });
  expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
});

test.each([
  [
    'PUT',
    '/v1/resources/wiki',
    { kind: 'http', authority: 'WIKI', backend: { url: 'http://x', networks: [] } },
    /^authority: expected a host/,
  ],
  [
    'PUT',
    '/v1/resources/wiki',
    { kind: 'http', authority: 'wiki', backend: { url: 'ftp://x', networks: [] } },
    /^backend\.url: expected a URL like/,
  ],
  [
    'PUT',
    '/v1/resources/wiki',
    { kind: 'udp', authority: 'wiki', backend: { url: 'http://x', networks: [] } },
    /^kind: expected /,
  ],
  ['PUT', '/v1/resources/wiki', { kind: 'http', authority: 'wiki' }, /^backend is missing/],
  [
    'PUT',
    '/v1/resources/wiki',
    { kind: 'http', authority: 'wiki', backend: { url: 'http://x', networks: [] }, a: 1 },
    /^there is no field a/,
  ],
  [
    'PUT',
    '/v1/resources/WIKI',
    { kind: 'http', authority: 'wiki', backend: { url: 'http://x', networks: [] } },
    /^name in the path: expected a name/,
  ],
  ['PUT', '/v1/users/ada', { password: 'short' }, /^password: expected at least 8 characters/],
  ['PUT', '/v1/users/ada', 'text', /^/],
] as const)('%s %s with a mistake is refused in words', async (method, url, body, words) => {
  const { context, token } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const parts = {
    context,
    version: '0.0.0',
    database: DATABASE,
    shared: { kind: 'in-process', server: () => '' } as const,
  };
  const service = await createAdminService(parts, certificate);
  const headers = { authorization: `bearer ${token}`, 'sallyport-reason': 'test', 'content-type': 'application/json' };
  const payload = typeof body === 'string' ? '{' : JSON.stringify(body);
  const answer = await service.inject({ method, url, headers, payload });
  expect(answer.statusCode).toBe(400);
  const problem = answer.json() as { title: string; code: string };
  expect(problem.title).toMatch(words);
  expect(problem.title).not.toMatch(/pattern|\^|FST_/);
  expect(problem.code).toMatch(/^ERR_(HTTP|SECURITY)_/);
});
