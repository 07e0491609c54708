import * as api from '@sallyport/security-api/admin';
import { inTime } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';

const TTL_MS = 4_000;
const backend = await startBackend();
const gateway = await Gateway.start({ settings: { sessionTtlMs: TTL_MS } });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

/** What comes too late finds its session over, and nothing else. */
function isOver(outcome: unknown): undefined {
  expect(['SESSION_EXPIRED', 'SIGNED_OUT']).toContain(outcome);
}

/** A device that was served once more after a resume, before its session was over. */
async function servedWithin(ttlMs: number) {
  await gateway.operator.call(api.realm.change, { body: { sessionTtlMs: ttlMs } });
  const device = await gateway.device('ada').catch(({ code }: { code: string }) => code);
  if (typeof device === 'string') return isOver(device);
  const ended = new Promise((resolve) => device.on('ended', resolve));
  const told: number[] = [];
  device.on('expiry', ({ expiresInMs }) => told.push(expiresInMs));
  device.close();
  const served = device.resume().then(() => device.fetch('http://wiki.corp/echo'));
  const outcome = await served.then(
    ({ status }) => status,
    ({ code }) => code,
  );
  if (outcome !== 200) return isOver(outcome);
  return { device, ended, told, ttlMs };
}

test('a session ends when its time is over: the device hears when beforehand, and signs in again', async () => {
  const { device, ended, told, ttlMs } = await inTime(TTL_MS, servedWithin);
  expect(told).toHaveLength(1);
  expect(told[0]).toBeGreaterThan(0);
  expect(told[0]).toBeLessThanOrEqual(ttlMs);
  expect(await ended).toEqual({ code: 'SESSION_EXPIRED', cause: 'expired' });
  expect(device.state).toBe('signed-out');
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ code: 'SIGNED_OUT', mayHaveRun: false });
  expect(await gateway.operator.call(api.sessions.list)).toEqual([]);
  await device.login({ user: 'ada', password: PASSWORD });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});

test('a session that expired while the device was away is over at the next connect, in the word of Security', async () => {
  const { device, ttlMs } = await inTime(TTL_MS, servedWithin);
  device.close();
  await new Promise((resolve) => setTimeout(resolve, ttlMs));
  await expect(device.resume()).rejects.toMatchObject({ code: 'SESSION_EXPIRED' });
  expect(device.state).toBe('signed-out');
  expect(device.lastEnd).toEqual({ code: 'SESSION_EXPIRED', cause: 'expired' });
  expect(device.hasSession).toBe(false);
});
