import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inTime } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { content, NO_ROOM, PATHS, SMALL_BYTES } from '../src/load/lane.ts';
import { Load } from '../src/load/load.ts';
import { pictureOf } from '../src/picture.ts';
import { markdownOf, type Result, ratioOf } from '../src/report.ts';

const STALL_MS = 300;
let wrong = false;
let stallMs = 0;
let stallUntil = 0;

/** A backend that a test makes stall, or lie in the last byte. */
const server: Server = createServer((request, response) => {
  if (request.url !== PATHS.small) return void response.writeHead(404).end();
  if (stallMs > 0) [stallMs, stallUntil] = [0, Date.now() + stallMs];
  const body = content(SMALL_BYTES);
  if (wrong) body[SMALL_BYTES - 1]! ^= 1;
  setTimeout(() => response.end(body), Math.max(0, stallUntil - Date.now()));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const load = Load.start(2);
const { port } = server.address() as AddressInfo;
const lanes = { kind: 'http', port, connections: 2, tokens: ['a', 'b', 'c', 'd'] } as const;
afterAll(async () => {
  await load.stop();
  server.closeAllConnections();
  server.close();
});

test('a closed loop counts right answers and nothing else', async () => {
  await load.open(lanes);
  const outcome = await inTime(300, async (ms) => {
    const closed = await load.closed(2, ms);
    return closed.done > 0 || Object.keys(closed.problems).length > 0 ? closed : undefined;
  });
  expect(outcome.done).toBeGreaterThan(0);
  expect(outcome.problems).toEqual({});
  expect(outcome.latency.count).toBe(outcome.done);
  wrong = true;
  const lied = await inTime(100, async (ms) => {
    const closed = await load.closed(1, ms);
    return closed.done + (closed.problems['wrong bytes'] ?? 0) > 0 ? closed : undefined;
  });
  wrong = false;
  expect(lied.done).toBe(0);
  expect(lied.problems['wrong bytes']).toBeGreaterThan(0);
  await load.close();
});

test('an open loop counts latency from when a request was due, so a stall cannot hide the requests it delayed', async () => {
  await load.open(lanes);
  // From the first request on, whenever that comes.
  stallMs = STALL_MS;
  const { done, latency, problems } = await load.paced(100, 1_000);
  const noRoom = problems[NO_ROOM] ?? 0;
  expect(done + noRoom).toBe(100);
  // What fell due in the stall waited for the rest of it: about as many requests with a delay as fit into the stall.
  expect(latency.max / 1000).toBeGreaterThan(STALL_MS / 2);
  await load.close();
});

test('a report holds goals against the rows that were measured, and draws them', () => {
  const row = (subject: string, values: number[]) => ({ subject, variant: 'v', unit: 'µs', values, note: '' });
  const goal = {
    title: 'ours by theirs',
    above: { subject: 'Sallyport', variant: 'v' },
    below: { subject: 'peer', variant: 'v' },
    atMost: 1,
  };
  const result: Result = {
    work: 'W0',
    title: 'a <work>',
    machine: 'a machine',
    rows: [row('Sallyport', [3, 1, 2]), row('peer', [4, 4])],
    goals: [goal, { ...goal, below: { subject: 'nobody', variant: 'v' } }],
  };
  expect(ratioOf(result, goal)).toBe(0.5);
  expect(markdownOf(result)).toContain('| ours by theirs | ≤ 1 | 0.50 | yes |');
  expect(markdownOf(result).match(/ours by theirs/g)?.length).toBe(1);
  expect(pictureOf(result)).toContain('a &lt;work>');
});
