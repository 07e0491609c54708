import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { addPushedPeople } from '../../../../libs/access/test/sample-accounts.ts';
import { realmOn } from '../../../../libs/access/test/scene.ts';
import { watchedStore } from '../../../../libs/access/test/watched-store.ts';
import { startDatabase } from '../../../../libs/store-sql/test/real-postgres.ts';
import type { LargeAnswer, LargeCall, LargeClient } from './large-client.ts';
import { scimScene } from './scim-scene.ts';

/** Members of one group, the most that a request may name. */
const SIZE = 100_000;
/** Members of a page, as Entra ID sends them at most. */
const PAGE = 1_000;
/** Rows that one statement may name or read. */
const PART = 1_000;
/** Turns of the event loop that a body of ten million values takes at least until it is refused; in one piece it takes 37. */
const JUNK_TURNS = 700;

const { store } = await startDatabase();
const realm = await realmOn(store.in('main'));
const seen = { rows: 0 };
const access = { ...realm, store: watchedStore(realm.store, seen) };
const { service, authorization } = await scimScene({ access, clock: { now: Date.now() } });
await service.listen({ port: 0, host: '127.0.0.1' });
const members = Array.from({ length: SIZE }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`);
await addPushedPeople(realm.store, 'corp', members);
const { port } = service.server.address() as { port: number };
const workerData: LargeClient = { port, authorization, members };
const worker = new Worker(new URL('./large-client.ts', import.meta.url), { workerData });
afterAll(async () => {
  await worker.terminate();
  await service.close();
});

/** How often this thread's event loop has gone round. */
function turnsSoFar(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}

async function call(one: LargeCall, tries = 10): Promise<LargeAnswer> {
  worker.postMessage(one);
  const [answer] = (await once(worker, 'message')) as [LargeAnswer];
  // A database on a busy machine may be too slow for so many: it says so, and a provider comes again.
  return answer.status === 503 && tries > 1 ? call(one, tries - 1) : answer;
}

const memberCount = (): Promise<number> => access.store.transaction(({ tables }) => tables.members.count());

let group = '';

test('a group gets a hundred thousand members by one PUT', async () => {
  const made = await call({ method: 'POST', url: '/scim/v2/Groups', kind: 'group', of: [0, 2] });
  expect(made.status, made.text).toBe(201);
  const [, id = ''] = /"id":"([^"]+)"/.exec(made.text) ?? [];
  group = `/scim/v2/Groups/${id}`;
  const all = await call({ method: 'PUT', url: group, kind: 'group', of: [0, SIZE] });
  expect(all.status, all.text).toBe(200);
  expect(all.members).toBe(SIZE);
  expect(all.sentBytes).toBeGreaterThan(15_000_000);
  expect(await memberCount()).toBe(SIZE);
}, 300_000);

test('they leave and join in pages, in one PATCH, and are read at once', async () => {
  for (const kind of ['remove', 'add'] as const) {
    for (let from = 0; from < 3 * PAGE; from += PAGE) {
      const { status, text } = await call({ method: 'PATCH', url: group, kind, of: [from, from + PAGE] });
      expect(status, text).toBe(204);
    }
  }
  expect(await memberCount()).toBe(SIZE);
  const half = await call({ method: 'PATCH', url: group, kind: 'remove', of: [SIZE / 2, SIZE] });
  expect(half.status, half.text).toBe(204);
  expect(await memberCount()).toBe(SIZE / 2);
  const read = await call({ method: 'GET', url: group, kind: 'none', of: [0, 0] });
  expect(read.members).toBe(SIZE / 2);
}, 300_000);

test('an operation for each of fifty thousand, and ten million values that nobody asked for', async () => {
  const each = await call({ method: 'PATCH', url: group, kind: 'remove each', of: [0, SIZE / 2] });
  expect(each.status, each.text).toBe(204);
  expect(await memberCount()).toBe(0);
  const turns = turnsSoFar();
  const junk = await call({ method: 'PUT', url: group, kind: 'junk', of: [0, 10_000_000] });
  expect(junk.sentBytes).toBeGreaterThan(30_000_000);
  expect(junk.status).toBe(400);
  expect(junk.text).toContain('tooMany');
  expect(turnsSoFar() - turns).toBeGreaterThan(JUNK_TURNS);
}, 300_000);

test('none of it names or reads more rows by one statement than a part has', () => {
  expect(seen.rows).toBe(PART);
});
