import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { createAdminService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly required?: boolean }[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

async function document() {
  const { context, token } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const service = await createAdminService(
    { ...context, version: '0.0.0', database: DATABASE, shared: { kind: 'in-process', server: () => '' } },
    certificate,
  );
  const answer = await service.inject({ url: '/openapi.json', headers: { authorization: `Bearer ${token}` } });
  expect(answer.statusCode).toBe(200);
  return {
    service,
    token,
    text: answer.body,
    api: answer.json() as { paths: Record<string, Record<string, Operation>> },
  };
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

/** Every operation as the document has it, with a URL that fits its path. */
async function operations() {
  const { service, token, api } = await document();
  const listed = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method} ${path}`,
      method: method.toUpperCase() as 'GET',
      url: path.replace(/\{\w+\}/g, 'some-name'),
      operation,
      fields: new Map((operation.parameters ?? []).filter((one) => one.in === 'header').map((one) => [one.name, one])),
      isOpen: operation.security?.length === 0,
    })),
  );
  return { service, authorization: `Bearer ${token}`, listed };
}

/** What the document says of an answer with a status: its own, or that of its class. */
function declaredFor({ responses }: Operation, status: number) {
  return responses[status] ?? responses[`${Math.floor(status / 100)}XX`];
}

const JSON_TYPE = { 'content-type': 'application/json' };

test('whoever has no credential gets 401 as the document says, before a body is read, and an answer only where it is open', async () => {
  const { service, listed } = await operations();
  expect(listed.filter(({ isOpen }) => isOpen).map(({ operation }) => operation.operationId)).toEqual([
    'operators.login',
    'operators.provider',
    'operators.oidc',
  ]);
  for (const { name, method, url, operation, isOpen } of listed) {
    const answer = await service.inject({ method, url, payload: '{"broken', headers: JSON_TYPE });
    expect(answer.statusCode === 401, name).toBe(!isOpen);
    expect('401' in operation.responses, name).toBe(!isOpen);
    if (isOpen) continue;
    expect(answer.headers['content-type'], name).toMatch(/^application\/problem\+json(;|$)/);
    expect(answer.headers['www-authenticate'], name).toBe('Bearer');
    expect(answer.json(), name).toMatchObject({ status: 401, code: 'ERR_SECURITY_OPERATOR' });
  }
});

test('a reason is asked for where the document says so and nowhere else, and so is an id of the client', async () => {
  const { service, authorization, listed } = await operations();
  for (const { name, method, url, fields } of listed) {
    const headers = { authorization, ...(method === 'GET' ? {} : JSON_TYPE) };
    const payload = method === 'GET' ? {} : { payload: '{}' };
    const without = await service.inject({ method, url, headers, ...payload });
    expect(without.body.includes('ERR_SECURITY_REASON'), name).toBe(fields.has('sallyport-reason'));
    expect(fields.get('sallyport-reason')?.required ?? false, name).toBe(fields.has('sallyport-reason'));
    if (fields.has('sallyport-reason')) expect(without.statusCode, name).toBe(400);
    const withBadId = { ...headers, 'sallyport-reason': 'unit test', 'sallyport-request': 'a b' };
    const refused = await service.inject({ method, url, headers: withBadId, ...payload });
    expect(refused.body.includes('ERR_SECURITY_REQUEST'), name).toBe(fields.has('sallyport-request'));
  }
  // Whatever is changed has one, but what is exchanged, or only asked, has its reason in the body, or is bytes whose release says why.
  const unsaid = listed.filter(({ method, fields }) => method !== 'GET' && !fields.has('sallyport-reason'));
  expect(unsaid.map(({ operation }) => operation.operationId).sort()).toEqual([
    'operators.login',
    'operators.oidc',
    'operators.renew',
    'releases.fit',
    'releases.upload',
    'resources.test',
    'revocations.put',
  ]);
  const repeatable = listed.filter(({ fields }) => fields.has('sallyport-request'));
  expect(repeatable.map(({ operation }) => operation.operationId).sort()).toEqual(['users.disable', 'users.remove']);
});

test('every answer has the status and the media type that the document gives it', async () => {
  const { service, authorization, listed } = await operations();
  for (const { name, method, url, operation } of listed) {
    for (const payload of method === 'GET' ? [undefined] : ['{}', '{"broken', '[]', undefined]) {
      const headers = { authorization, 'sallyport-reason': 'unit test', ...(payload === undefined ? {} : JSON_TYPE) };
      const answer = await service.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
      expect(answer.headers, name).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
      const declared = declaredFor(operation, answer.statusCode);
      const types = Object.keys(declared?.content ?? {});
      const [type] = String(answer.headers['content-type']).split(';');
      expect(types, `${name} ${answer.statusCode} ${answer.body}`).toContain(type);
    }
  }
});

test('what load balancers ask needs no credential, the document needs one', async () => {
  const { service } = await document();
  for (const url of ['/healthz', '/readyz']) expect((await service.inject({ url })).statusCode, url).toBe(200);
  for (const url of ['/openapi.json', '/metrics', '/v1/other'])
    expect((await service.inject({ url })).statusCode, url).toBeGreaterThanOrEqual(401);
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
    ...context,
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
