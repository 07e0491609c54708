import { expect, test } from 'vitest';
import { ensureRealm, recordNode } from '../../src/index.ts';
import { MemoryStore } from '../../src/store.ts';
import { scene } from '../scene.ts';

const WORD = {
  id: 'n1',
  proxyUrl: 'https://n1:1',
  adminUrl: 'https://n1:2',
  version: '1',
  startedAt: 0,
  journal: '',
  state: 'up',
  degraded: [],
  keyId: '',
  knownKeys: [],
} as const;

test.each([
  ['a clock that is right', 0, 0, 0],
  ['a transaction that waits for three seconds', 0, 3_000, 0],
  ['a clock that is ahead', 5_000, 3_000, 5_000],
  ['a clock that is behind', -5_000, 3_000, -2_000],
])('a node tells by how much its clock is off at least: %s', async (_what, offsetMs, waitMs, wanted) => {
  let time = 1_000_000;
  const access = { ...(await scene()).access, store: new MemoryStore(() => time).in('acme') };
  await ensureRealm(access);
  let reads = 0;
  const wallMs = (): number => {
    if (reads++ > 0) time += waitMs;
    return time + offsetMs;
  };
  const { clockOffsetMs, nodes } = await recordNode(access, WORD, wallMs);
  expect(clockOffsetMs).toBe(wanted);
  expect(nodes[0]!.clockOffsetMs).toBe(wanted);
});
