import { expect, test } from 'vitest';
import { createAdminService } from '../../src/app.ts';
import { DATABASE, scene } from '../scene.ts';

const { context, token } = await scene();
const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
const service = await createAdminService(
  { ...context, version: '0.0.0', database: DATABASE, shared: { kind: 'in-process', server: () => '' } } as never,
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
  expect(lists.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['/v1/sites', '/v1/directories', '/v1/groups', '/v1/proxies', '/v1/nodes']),
  );
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

test('Proxies and nodes are read page by page, those that were revoked and those that never beat among them', async () => {
  const proxies = ['a', 'b', 'c'].map((letter, i) => ({
    ...{ name: `proxy-${letter}`, site: 'site-a', joinedAt: 5, revokedAt: i === 1 ? 7 : null },
    ...{ keyHash: null, nextKeyHash: null },
  }));
  const node = { proxyUrl: 'https://x', adminUrl: 'https://x', version: '0', startedAt: 0, beat: 1, seenAt: 1 };
  const rest = { state: 'up', clockOffsetMs: 0, degraded: [], keyId: 'k', knownKeys: [], journal: '' } as const;
  await context.access.store.transaction(async ({ tables }) => {
    await tables.proxies.insertEach(proxies);
    await tables.nodes.insertEach(['né-1', 'né-2', 'né-3'].map((id) => ({ id, ...node, ...rest })));
  });
  const read = async (path: string, cursor: string): Promise<Record<string, unknown>[]> => {
    const rows: Record<string, unknown>[] = [];
    for (let after = ''; ; after = String(rows.at(-1)![cursor])) {
      const answer = await service.inject({ url: `${path}?limit=2&after=${encodeURIComponent(after)}`, headers });
      expect(answer.statusCode, answer.body).toBe(200);
      const page = answer.json() as Record<string, unknown>[];
      rows.push(...page);
      if (page.length < 2) return rows;
    }
  };
  const seen = await read('/v1/proxies', 'name');
  expect(seen.map(({ name, revokedAt, live }) => [name, revokedAt, live])).toEqual([
    ['proxy-a', null, false],
    ['proxy-b', 7, false],
    ['proxy-c', null, false],
  ]);
  expect((await read('/v1/nodes', 'id')).map(({ id }) => id)).toEqual(['né-1', 'né-2', 'né-3']);
});

test('the status tells how many there are, and when they were counted', async () => {
  const status = (await service.inject({ url: '/v1/status', headers })).json() as Record<string, number>;
  expect(status).toMatchObject({ users: 0, installations: 0, liveSessions: 0 });
  expect(Math.abs(status['countedAt']! - Date.now())).toBeLessThan(60_000);
});
