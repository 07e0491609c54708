import { expect, test } from 'vitest';
import {
  findProxy,
  Hold,
  issueJoinToken,
  type JoinOrder,
  LeaseWatch,
  listAudit,
  memoryBus,
  type RealmStore,
  recordBeat,
  redeemJoinToken,
  renewProxy,
  revokeProxy,
  untilProxyGone,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

const keyHashes = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64));
const [A = '', B = '', C = '', D = ''] = keyHashes;

async function farm() {
  const { access, clock } = await scene();
  const invite = (order: Partial<JoinOrder> = {}) => issueJoinToken(access, { name: 'p1', site: 'here', ...order }, BY);
  const join = async (keyHash: string, order: Partial<JoinOrder> = {}) =>
    redeemJoinToken(access, await invite(order), keyHash);
  const known = async (keyHash: string) => (await findProxy(access, { name: 'p1', keyHash })) !== undefined;
  const renew = (present: string, next: string) => renewProxy(access, { name: 'p1', keyHash: present }, next);
  const beat = async (keyHash: string) => {
    const fresh = { instance: '1'.repeat(32), seen: 0, hash: '', done: 0, channels: 0 };
    return (await recordBeat(access, { proxy: 'p1', keyHash, beat: fresh, leaseMs: 15_000, node: 'n1' })).type;
  };
  return { access, clock, invite, join, known, renew, beat };
}

test('a Proxy is who holds the key, whatever name a certificate says', async () => {
  const { join, known, beat } = await farm();
  await join(A);
  expect(await known(A)).toBe(true);
  expect(await known(B)).toBe(false);
  expect(await beat(B)).toBe('revoked');
  expect(await beat(A)).toBe('lease');
});

test('a stolen certificate stays dead when a Proxy of its name joins anew', async () => {
  const { access, join, known, renew, beat } = await farm();
  await join(A);
  await revokeProxy(access, 'p1', BY);
  expect(await known(A)).toBe(false);
  await join(B);
  expect([await known(A), await known(B)]).toEqual([false, true]);
  expect(await renew(A, C)).toBeUndefined();
  expect(await beat(A)).toBe('revoked');
  expect(await known(C)).toBe(false);
});

test('both keys are good until the new one beats, and only the present one renews', async () => {
  const { join, known, renew, beat } = await farm();
  await join(A);
  await renew(A, B);
  expect([await known(A), await known(B)]).toEqual([true, true]);
  expect(await renew(B, C)).toBeUndefined();
  // The answer was lost: the same key asks again, and what nobody has is worth nothing any more.
  await renew(A, C);
  expect([await known(A), await known(B), await known(C)]).toEqual([true, false, true]);
  await beat(C);
  expect([await known(A), await known(C)]).toEqual([false, true]);
  expect(await beat(A)).toBe('revoked');
  expect(await renew(A, D)).toBeUndefined();
});

test('joining for a live name needs to say so, and takes the place of the one that was meant', async () => {
  const { access, clock, invite, join, known } = await farm();
  await join(A);
  await expect(invite()).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const late = await invite({ replace: true });
  clock.now += 1_000;
  await join(B, { replace: true });
  expect([await known(A), await known(B)]).toEqual([false, true]);
  expect(await redeemJoinToken(access, late, C)).toBeUndefined();
  expect(await known(B)).toBe(true);
  const audit = await access.store.transaction((transaction) => listAudit(transaction, 10));
  expect(audit.map(({ action }) => action)).toContain('proxy.replace');
});

test('a token for a name that nobody had does not replace who came meanwhile', async () => {
  const { access, invite, join, known } = await farm();
  const first = await invite();
  await join(A);
  expect(await redeemJoinToken(access, first, B)).toBeUndefined();
  expect(await known(A)).toBe(true);
});

test('whoever took a join token gets the same answer again, and nobody else does, also when the Proxy is gone', async () => {
  const { access, clock, invite, known } = await farm();
  const token = await invite();
  const proxy = await redeemJoinToken(access, token, A);
  expect(await redeemJoinToken(access, token, A)).toEqual(proxy);
  expect(await redeemJoinToken(access, token, B)).toBeUndefined();
  const audit = await access.store.transaction((transaction) => listAudit(transaction, 10));
  expect(audit.filter(({ action }) => action === 'proxy.join')).toHaveLength(1);
  await revokeProxy(access, 'p1', BY);
  for (const key of [A, B]) expect(await redeemJoinToken(access, token, key)).toBeUndefined();
  expect(await known(A)).toBe(false);
  const second = await invite();
  await redeemJoinToken(access, second, A);
  clock.now += 600_001;
  expect(await redeemJoinToken(access, second, A)).toBeUndefined();
});

test('a copy of a join token that is used, over or another one costs a look, and no lock', async () => {
  const { access, clock, invite } = await farm();
  const [used, other] = [await invite(), await invite({ name: 'p2' })];
  await redeemJoinToken(access, used, A);
  let looks = 0;
  const transaction: RealmStore['transaction'] = (work, urgency) => {
    looks += 1;
    return access.store.transaction(work, urgency);
  };
  const counted = { ...access, store: { realm: access.store.realm, transaction } };
  const show = (token: typeof used) => redeemJoinToken(counted, token, B);
  expect([await show(used), await show({ ...used, id: other.id })]).toEqual([undefined, undefined]);
  clock.now += 600_001;
  expect(await show(other)).toBeUndefined();
  expect(looks).toBe(3);
});

test('a join token never moves a site silently', async () => {
  const { access, invite, join } = await farm();
  await join(A);
  await expect(invite({ site: 'there', replace: true })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await join(B, { site: 'there', replace: true, moveSite: true })).toMatchObject({ site: 'there' });
  await revokeProxy(access, 'p1', BY);
  await expect(invite({ site: 'here' })).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  const back = await invite({ site: 'here', moveSite: true });
  // Meanwhile it has moved somewhere else again.
  await join(C, { site: 'elsewhere', moveSite: true });
  await revokeProxy(access, 'p1', BY);
  expect(await redeemJoinToken(access, back, D)).toBeUndefined();
});

test('a Proxy that joined before keys were kept is who comes first', async () => {
  const { access, join, known } = await farm();
  await join(A);
  await access.store.transaction(({ tables }) =>
    tables.proxies.update({ where: { name: 'p1' } }, { keyHash: null, nextKeyHash: null }),
  );
  expect(await known(B)).toBe(true);
  expect(await known(A)).toBe(false);
});

test('revoking a Proxy waits until its leases are over, and says for whom when it may not wait so long', async () => {
  const { access, clock, join, beat } = await farm();
  await join(A);
  await beat(A);
  const leases = new LeaseWatch(() => clock.now);
  const nextBeat = async (ms: number): Promise<void> => {
    clock.now += ms;
  };
  const monotonicMs = (): number => clock.now;
  const hold = new Hold(monotonicMs);
  const node = { access, leases, hold, bus: memoryBus(), monotonicMs, trouble: () => undefined, nextBeat };
  expect(await revokeProxy(access, 'p1', BY)).toBe(true);
  const early = await untilProxyGone(node, 'p1', { maxMs: 1_000 });
  expect(early.waitedMs).toBe(1_000);
  expect(early.waitingFor[0]).toMatchObject({ proxy: 'p1', instance: '1'.repeat(32) });
  expect(await revokeProxy(access, 'p1', BY)).toBe(true);
  const { waitedMs, waitingFor } = await untilProxyGone(node, 'p1', { maxMs: 60_000 });
  expect(waitingFor).toEqual([]);
  expect(waitedMs).toBeGreaterThanOrEqual(14_000);
  // Also without a lease: other nodes may go by what they knew of it for a moment.
  expect(await untilProxyGone(node, 'p2', { maxMs: 60_000 })).toEqual({ waitedMs: 1_100, waitingFor: [] });
  expect(await revokeProxy(access, 'nobody', BY)).toBe(false);
});
