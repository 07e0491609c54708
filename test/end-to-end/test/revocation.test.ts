import { randomUUID } from 'node:crypto';
import { formatHex } from '@sallyport/channel';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { caughtUp } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway } from '../src/gateway.ts';

const backend = await startBackend();
const gateway = await Gateway.start({ proxies: 2, environment: { SALLYPORT_LEASE_MS: '5000' } });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

async function signedIn(): Promise<{ device: Device; sid: string }> {
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  return { device, sid: formatHex(((await storage.load()) as DeviceRecord).session!.sid) };
}

function revoke(
  kind: api.BodyOf<typeof api.revocations.put>['kind'],
  subject: string,
): Promise<api.AnswerOf<typeof api.revocations.put>> {
  return gateway.operator.call(api.revocations.put, {
    params: { id: randomUUID() },
    body: { kind, subject, reason: 'end-to-end test' },
  });
}

test('revoked in the middle of a download: cut at once, and the answer says that it is in force', async () => {
  const { device, sid } = await signedIn();
  const response = await device.fetch('http://wiki.corp/big/4000000000');
  const reader = response.body!.getReader();
  for (let read = 0; read < 5_000_000; ) read += (await reader.read()).value!.length;
  const view = await revoke('session', sid);
  expect(view).toMatchObject({ kind: 'session', inForce: true, waitingFor: [] });
  let after = 0;
  const cut = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) after += part.value.length;
  })();
  await expect(cut).rejects.toMatchObject({ name: 'DeviceError' });
  // Only what had left the Proxy before may still arrive: the windows and the sockets between.
  expect(after).toBeLessThan(16_000_000);
  // It asks Security first: no Proxy's word ends a session.
  await expect.poll(() => device.state).toBe('signed-out');
});

test('after the answer to a revocation no request of that session reaches a backend, on any Proxy', async () => {
  for (let round = 0; round < 20; round++) {
    const { device, sid } = await signedIn();
    let revoked = false;
    let sentAfter = 0;
    const worker = async (): Promise<void> => {
      for (;;) {
        // Whoever had a request under way at the revocation sends one more.
        const late = revoked;
        const id = `${late ? 'late' : 'early'}-${round}-${randomUUID()}`;
        if (late) sentAfter += 1;
        const failed = await device.fetch('http://wiki.corp/echo', { headers: { 'x-id': id } }).then(
          () => false,
          () => true,
        );
        if (failed && late) return;
        if (failed) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    const workers = [worker(), worker(), worker(), worker()];
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await revoke('session', sid))['inForce']).toBe(true);
    revoked = true;
    const arrived = (when: 'early' | 'late') =>
      [...backend.seen.keys()].filter((id) => id.startsWith(`${when}-${round}-`));
    await caughtUp();
    const seen = arrived('early');
    await Promise.all(workers);
    expect(sentAfter).toBeGreaterThan(0);
    expect(arrived('early')).toEqual(seen);
    expect(arrived('late')).toEqual([]);
  }
});

test('a Proxy that is cut off holds a revocation up for one lease at most, and the answer waits for it', async () => {
  const { device, sid } = await signedIn();
  const [first] = gateway.proxies;
  first!.kill('SIGSTOP');
  const start = performance.now();
  const view = await revoke('session', sid);
  const waited = performance.now() - start;
  first!.kill('SIGCONT');
  expect(view['inForce']).toBe(true);
  expect(waited).toBeGreaterThan(1_000);
  // A lease is five seconds; whoever waited for the Proxy itself would wait for ever.
  expect(waited).toBeLessThan(30_000);
  await gateway.live(2);
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ name: 'DeviceError' });
});

test('revoking everything ends every session in one action', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => signedIn()));
  const ended = all.map(({ device }) => new Promise((resolve) => device.on('ended', resolve)));
  expect((await revoke('before', String(Date.now() + 1)))['inForce']).toBe(true);
  await Promise.all(ended);
  expect(await gateway.operator.call(api.sessions.list)).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const { device } = await signedIn();
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});

test('a user who leaves a group loses its resources on the open channel, and keeps the channel', async () => {
  await gateway.addUser('bob');
  const device = await gateway.device('bob');
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  const changed = new Promise<void>((resolve) =>
    device.on('resources', ({ resources }) => resources.length === 0 && resolve()),
  );
  await gateway.operator.call(api.users.put, { params: { name: 'bob' }, body: { groups: [] } });
  await changed;
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ code: 'RESOURCE_UNKNOWN' });
  expect(device.state).toBe('connected');
  // Listened to from the start: it may be told before the answer of the operator's call is here.
  const back = new Promise<void>((resolve) =>
    device.on('resources', ({ resources }) => resources.length === 1 && resolve()),
  );
  await gateway.operator.call(api.users.put, { params: { name: 'bob' }, body: { groups: ['staff'] } });
  await back;
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});

test('a right that is taken away ends what is open on it: a WebSocket, a download', async () => {
  await gateway.addUser('carl');
  const device = await gateway.device('carl');
  const socket = device.webSocket('ws://wiki.corp/ws');
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
  const response = await device.fetch('http://wiki.corp/big/4000000000');
  const drained = (async () => {
    for await (const _part of response.body!);
  })();
  // Listened to from the start: it may be refused before the answer of the operator's call is here.
  const refused = expect(drained).rejects.toMatchObject({ code: 'RIGHTS_LOST', mayHaveRun: true });
  await gateway.operator.call(api.users.put, { params: { name: 'carl' }, body: { groups: [] } });
  await closed;
  await refused;
  expect(device.state).toBe('connected');
  device.close();
});

test('an app context that no longer fits is refused at the next request', async () => {
  await gateway.operator.call(api.policies.put, {
    params: { name: 'open-wiki' },
    body: {
      groups: ['staff'],
      resources: ['wiki'],
      context: { posture: { rooted: false } },
    },
  });
  const { openDevice } = await import('@sallyport/device/node');
  const { CONTEXT, PASSWORD } = await import('../src/gateway.ts');
  let rooted = false;
  const device = await openDevice(memoryStorage(), () => ({ ...CONTEXT, posture: { rooted } }));
  await device.enroll(await gateway.link('ada'), { user: 'ada', password: PASSWORD });
  await device.login({ user: 'ada', password: PASSWORD });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  rooted = true;
  device.contextChanged();
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ code: 'CONTEXT_DENIED' });
  rooted = false;
  device.contextChanged();
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});
