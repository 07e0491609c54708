import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceEstablish, type PublicKey } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { Agent, request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';
import { RawSocket } from '../src/raw-socket.ts';

const DEVICES = 50;
const KNOCK_MS = 50;
const crypto = nodeCrypto();
const gateway = await Gateway.start({
  settings: { loginNeedsPassword: false },
  // A third of the product's: beats that come late show sooner.
  environment: { SALLYPORT_LEASE_MS: '5000' },
});
await gateway.addUser('ada');
const { adminUrl, proxyUrl, ca } = gateway.security.ready as Record<string, string>;
const agent = new Agent({ connect: { ca: ca! } });
afterAll(async () => {
  await agent.destroy();
  await gateway.stop();
});

async function enrolled(storage = memoryStorage()): Promise<Device> {
  const device = await openDevice(storage, () => CONTEXT);
  await device.enroll(await gateway.link('ada'), { user: 'ada', password: PASSWORD });
  return device;
}

async function call(url: string, body: object): Promise<void> {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, dispatcher: agent } as const;
  await (await request(url, { ...options, body: JSON.stringify(body) })).body.dump();
}

/** Begins a handshake as a stranger does, and goes. */
async function beginHandshake({ kid, rs }: DeviceRecord, codeId?: string): Promise<void> {
  const device = new DeviceEstablish({
    crypto,
    suite: 2,
    role: codeId === undefined ? 'session' : 'enrol',
    realm: 'main',
    kid,
    rs: rs as PublicKey,
    deviceStatic: crypto.generateKeyPair(),
    ...(codeId === undefined ? {} : { codeId }),
  });
  const raw = await RawSocket.open(gateway.origins[0]!);
  raw.socket.send(device.writeHs1());
  await raw.next();
  raw.end();
}

test('fifty devices sign in at once while strangers knock at every door, and no lease is lost', async () => {
  const storage = memoryStorage();
  const devices = [await enrolled(storage)];
  while (devices.length < DEVICES) devices.push(...(await Promise.all(Array.from({ length: 7 }, () => enrolled()))));
  const record = (await storage.load()) as DeviceRecord;
  const madeUp = randomBytes(42).toString('base64url');
  const doors = [
    () => beginHandshake(record),
    () => beginHandshake(record, randomBytes(4).toString('hex')),
    () => call(`${proxyUrl}/v1/join`, { token: `x.spj_${madeUp}`, csr: 'x' }),
    () => call(`${adminUrl}/v1/operators/login`, { token: `sp1_${madeUp}` }),
  ];
  const knocking = { on: true };
  const strangers = doors.map(async (knock) => {
    while (knocking.on) {
      await knock().catch(() => undefined);
      await sleep(KNOCK_MS);
    }
  });
  const results = await Promise.allSettled(devices.map((device) => device.login()));
  knocking.on = false;
  await Promise.all(strangers);
  expect(results.filter(({ status }) => status === 'rejected')).toEqual([]);
  expect(gateway.proxies[0]!.log).not.toContain('the lease is lost');
  for (const device of devices) device.close();
});
