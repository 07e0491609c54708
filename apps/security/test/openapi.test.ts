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
