import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AccessContext,
  createKeyring,
  endHold,
  ensureRealm,
  getRealm,
  Hold,
  issueJoinToken,
  LeaseWatch,
  memoryBus,
  recordBeat,
  redeemJoinToken,
  revoke,
  untilInForce,
} from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import { ChildPostgres, SqlStore } from '@sallyport/store-sql';
import { scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { layDatabase } from '../../../../libs/store-sql/test/real-postgres.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const KEY = 'f0'.repeat(32);
const LEASE_MS = 15_000;
const HELD = '(leases from before the start of the database server)';

const folder = scratchFolder();
const place = { folder: join(folder, 'database'), passwordFile: join(folder, 'password') };
const copy = join(folder, 'copy');
await layDatabase(place);
let server = await ChildPostgres.start(place);
const store = new SqlStore(server.address);
afterAll(async () => {
  await store.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Stops the server, does something with its files, and starts it again. */
async function restarted(meanwhile: () => void = () => undefined): Promise<void> {
  await server.stop();
  meanwhile();
  server = await ChildPostgres.start(place);
}

function copyFiles(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  execFileSync('cp', ['-a', from, to]);
}

/** A node that waits for revocations, on a clock that only waiting moves. */
function node(access: AccessContext) {
  const clock = { mono: 0 };
  const monotonicMs = (): number => clock.mono;
  const nextBeat = async (ms: number): Promise<void> => {
    clock.mono += ms;
  };
  const parts = { leases: new LeaseWatch(monotonicMs), hold: new Hold(monotonicMs), bus: memoryBus(), monotonicMs };
  return { ...parts, access, nextBeat, trouble: () => undefined };
}

test('a lease that the database server has lost with its last run keeps a revocation waiting, with any node', async () => {
  const crypto = nodeCrypto();
  const access = {
    store: store.in('main'),
    crypto,
    keyring: createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(1)]]), 1),
  } as unknown as AccessContext;
  await ensureRealm(access, LEASE_MS);
  await redeemJoinToken(access, await issueJoinToken(access, { name: 'p1', site: 'here' }, BY), KEY);
  const read = () =>
    access.store.transaction(async (transaction) => ({
      realm: await getRealm(transaction),
      serverRun: transaction.serverRun,
    }));
  const revoked = (requestId: string) => revoke(access, { requestId, kind: 'before', subject: 'now' }, BY);
  const first = node(access);
  // A new realm has given no lease.
  expect((await untilInForce(first, await revoked('r1'), { maxMs: 0 })).waitingFor).toEqual([]);

  await restarted(() => copyFiles(place.folder, copy));
  const before = await read();
  const { epoch, head, headHash } = before.realm;
  const beat = { instance: '1'.repeat(32), epoch, seen: head, hash: headHash, done: head, channels: 1 };
  const lease = { proxy: 'p1', keyHash: KEY, beat, leaseMs: LEASE_MS, node: 'n' };
  expect(await recordBeat(access, lease)).toMatchObject({ type: 'lease' });

  // It goes back to before the lease. The revocation log lost nothing, and nothing else shows it.
  await restarted(() => copyFiles(copy, place.folder));
  const after = await read();
  expect(after.realm).toMatchObject({ epoch, head, headHash });
  expect(after.serverRun).not.toBe(before.serverRun);
  const entry = await revoked('r2');
  for (const waiting of [first, node(access)])
    expect((await untilInForce(waiting, entry, { maxMs: 0 })).waitingFor).toMatchObject([{ proxy: HELD }]);
  const { waitedMs, waitingFor } = await untilInForce(first, entry, { maxMs: 10 * LEASE_MS });
  expect(waitingFor).toEqual([]);
  expect(waitedMs).toBeGreaterThanOrEqual(LEASE_MS);

  // Who comes later need not wait again, until the server is started again.
  await endHold(access.store, await read());
  expect((await untilInForce(node(access), entry, { maxMs: 0 })).waitingFor).toEqual([]);
  await restarted();
  expect((await untilInForce(node(access), entry, { maxMs: 0 })).waitingFor).toMatchObject([{ proxy: HELD }]);
});
