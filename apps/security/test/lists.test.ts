import { expect, test } from 'vitest';
import { createAdminService } from '../src/app.ts';
import { scene } from './scene.ts';

const DATABASE = { description: 'memory', version: async () => '0', servers: async () => [] };
const { context, token } = await scene();
const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
const service = await createAdminService(
  { context, version: '0.0.0', database: DATABASE, shared: { kind: 'in-process', server: () => '' } } as never,
  certificate,
);
const headers = { authorization: `Bearer ${token}`, 'sallyport-reason': 'unit test' };

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly responses: Record<string, { content?: Record<string, { schema: { type?: string } }> }>;
}

test('every list comes in pages, by a cursor', async () => {
  const { paths } = (await service.inject({ url: '/openapi.json', headers })).json() as {
    paths: Record<string, { get?: Operation }>;
  };
  const lists = Object.entries(paths).flatMap(([path, { get }]) => {
    const { schema } = get?.responses['200']?.content?.['application/json'] ?? {};
    return get && schema?.type === 'array' ? [{ path, names: (get.parameters ?? []).map(({ name }) => name) }] : [];
  });
  expect(lists.map(({ path }) => path)).toEqual(expect.arrayContaining(['/v1/sites', '/v1/directories', '/v1/groups']));
  const unpaged = lists.filter(({ names }) => !names.includes('limit')).map(({ path }) => path);
  expect(unpaged).toEqual([]);
});

test('sites are read page by page, each once', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'].map((letter) => `site-${letter}`);
  for (const name of names)
    await service.inject({
      method: 'PUT',
      url: `/v1/sites/${name}`,
      headers,
      payload: { origins: [`wss://${name}.example`] },
    });
  const read: string[] = [];
  for (let after = ''; ; after = read.at(-1)!) {
    const answer = await service.inject({ url: `/v1/sites?limit=2&after=${after}`, headers });
    const page = answer.json() as { name: string }[];
    read.push(...page.map(({ name }) => name));
    if (page.length < 2) break;
  }
  expect(read).toEqual(names);
});

test('the status tells how many there are, and when they were counted', async () => {
  const status = (await service.inject({ url: '/v1/status', headers })).json() as Record<string, number>;
  expect(status).toMatchObject({ users: 0, installations: 0, liveSessions: 0 });
  expect(Math.abs(status['countedAt']! - Date.now())).toBeLessThan(60_000);
});
