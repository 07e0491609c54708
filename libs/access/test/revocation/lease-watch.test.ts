import { expect, test } from 'vitest';
import { getRealm, issueJoinToken, LeaseWatch, recordBeat, redeemJoinToken, revoke } from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';

/** Stands for the hash of a Proxy's key. */
const KEY = 'f0'.repeat(32);

test('a revocation waits for exactly the Proxies that may still serve without it', async () => {
  const { access, clock } = await withAda();
  const installation = await enrolled(access);
  for (const name of ['p1', 'p2']) {
    const token = await issueJoinToken(access, { name, site: 'here' }, BY);
    await redeemJoinToken(access, token, KEY);
  }
  const { epoch } = await access.store.transaction((transaction) => getRealm(transaction));
  const instance = '1'.repeat(32);
  const beat = async (proxy: string, done?: { index: number; hash: string }) => {
    const place = done
      ? { epoch, seen: done.index, hash: done.hash, done: done.index }
      : { seen: 0, hash: '', done: 0 };
    const record = { proxy, keyHash: KEY, beat: { instance, channels: 0, ...place }, leaseMs: 15_000, node: 'n1' };
    const result = await recordBeat(access, record);
    if (result.type !== 'lease') throw new Error(result.type);
    return result;
  };
  const watch = new LeaseWatch(() => clock.now);
  const waitingFor = async (index: number, committedAt: number) => {
    const leases = await access.store.transaction(({ tables }) => tables.leases.list());
    return watch.waiting(leases, index, committedAt).map(({ proxy }) => proxy);
  };
  const { head, headHash } = await beat('p1');
  await beat('p2');
  const row = await revoke(access, { requestId: 'r', kind: 'installation', subject: installation.id }, BY);
  expect(row.index).toBe(head + 1);
  const committedAt = clock.now;
  expect(await waitingFor(row.index, committedAt)).toEqual(['p1', 'p2']);
  expect((await beat('p1', { index: head, hash: headHash })).entries.map(({ index }) => index)).toEqual([row.index]);
  await beat('p1', row);
  expect(await waitingFor(row.index, committedAt)).toEqual(['p2']);
  clock.now += 15_049;
  // Beats that go on without ever being answered do not keep a revocation waiting.
  await beat('p2', { index: head, hash: headHash });
  expect(await waitingFor(row.index, committedAt)).toEqual(['p2']);
  clock.now += 1;
  expect(await waitingFor(row.index, committedAt)).toEqual([]);
});
