import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DeviceOpening, encodeText, formatBase64Url, keyOf, type SessionSecret } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { type DeviceRecord, memoryStorage } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { loadIdentity } from '@sallyport/security-client';
import { waitFor } from '@sallyport/support';
import { Agent, request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';
import { RawSocket } from '../src/raw-socket.ts';

const WELCOME = 0x11;
const PLACES = 100;
const crypto = nodeCrypto();
const backend = await startBackend();
const settings = { channelsPerSession: 2, channelsPerInstallation: 3 };
const gateway = await Gateway.start({ settings });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
const origin = gateway.origins[0]!;
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

/** HELLOs of a signed-in device whose own channel is closed. */
async function helloMaker(): Promise<(secret?: Uint8Array) => Uint8Array> {
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  const { session } = (await storage.load()) as DeviceRecord;
  device.close();
  let chanNo = 1_000_000;
  return (secret = session!.secret) =>
    new DeviceOpening({
      crypto,
      secret: keyOf<SessionSecret>(secret),
      hello: {
        suite: 1,
        sid: session!.sid,
        chanNo: chanNo++,
        nonce: crypto.randomBytes(16),
        audience: encodeText('main/here'),
      },
      context: CONTEXT,
    }).writeHello();
}

async function metric(name: string): Promise<number> {
  const answer = await request(`${gateway.proxies[0]!.ready['metricsUrl']}/metrics`);
  const line = (await answer.body.text()).split('\n').find((text) => text.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? 0);
}

function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  return waitFor(condition, 'what a limit brings');
}

async function channel(hello: Uint8Array): Promise<RawSocket> {
  const raw = await RawSocket.open(origin);
  raw.socket.send(hello);
  expect((await raw.next())?.[0]).toBe(WELCOME);
  return raw;
}

test('a session has as many channels as its realm says: the oldest goes, a line and a metric say why', async () => {
  const hello = await helloMaker();
  const channels: RawSocket[] = [];
  for (let i = 0; i < 4; i++) channels.push(await channel(hello()));
  await until(() => channels.filter(({ closed }) => closed).length === 2);
  expect(channels.map(({ closed }) => closed)).toEqual([true, true, false, false]);
  expect(await metric('sallyport_limited_total{why="channels of one session"}')).toBe(2);
  await until(() => /limit met: channels of one session/.test(gateway.proxies[0]!.log));
  for (const one of channels) one.end();
});

test.each([
  ['installation', 1, { channelsPerInstallation: 1 }],
  ['user', 2, { channelsPerUser: 2 }],
] as const)('one %s has as many channels as its realm says, over all its sessions', async (owner, devices, change) => {
  await gateway.operator.call(api.realm.change, { body: change });
  try {
    const why = `sallyport_limited_total{why="channels of one ${owner}"}`;
    const before = await metric(why);
    const channels: RawSocket[] = [];
    for (let i = 0; i < devices; i++) {
      const hello = await helloMaker();
      await until(async () => (await metric('sallyport_channels')) === channels.length);
      channels.push(await channel(hello()));
    }
    expect(channels.some(({ closed }) => closed)).toBe(false);
    const hello = await helloMaker();
    await until(async () => (await metric('sallyport_channels')) <= devices);
    if (owner === 'user') channels.push(await channel(hello()));
    else {
      channels.splice(0, 1)[0]!.end();
      for (let i = 0; i < 2; i++) channels.push(await channel(hello()));
    }
    await until(() => channels[0]!.closed);
    expect(channels.slice(1).some(({ closed }) => closed)).toBe(false);
    expect(await metric(why)).toBeGreaterThan(before);
    for (const one of channels) one.end();
  } finally {
    await gateway.operator.call(api.realm.change, { body: { ...settings, channelsPerUser: 64 } });
  }
});

test('a device that goes before Security has answered leaves no channel behind', async () => {
  const hello = await helloMaker();
  await until(async () => (await metric('sallyport_channels')) === 0);
  for (let i = 0; i < 30; i++) {
    const raw = await RawSocket.open(origin);
    raw.socket.send(hello(), () => raw.end());
  }
  await until(async () => (await metric('sallyport_strangers')) === 0);
  await until(async () => (await metric('sallyport_channels')) === 0);
});

test('a socket without a channel ends with its third hint', async () => {
  const hello = await helloMaker();
  const raw = await RawSocket.open(origin);
  for (let i = 0; i < 3; i++) expect(await raw.hint(hello(new Uint8Array(32)))).toBe('SESSION_UNKNOWN');
  expect(await raw.next()).toBeUndefined();
});

test('what is wrong with one HELLO of a batch is nothing to the others', async () => {
  const hello = await helloMaker();
  const { urls, ca, certificate, key } = loadIdentity(join(gateway.folder, 'p1', 'identity.json'))!;
  const dispatcher = new Agent({ connect: { ca, cert: certificate, key } });
  const asked = (over: object): object => ({
    hello: formatBase64Url(hello()),
    address: '192.0.2.1',
    request: randomBytes(16).toString('hex'),
    ...over,
  });
  const requests = [
    asked({ address: 'x'.repeat(300) }),
    asked({ hello: '???' }),
    asked({ hello: 'AA' }),
    'nonsense',
    asked({ request: 'none' }),
    asked({}),
  ];
  const answer = await request(`${urls[0]}/v1/authorizations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instance: randomBytes(16).toString('hex'), requests }),
    dispatcher,
  });
  expect(answer.statusCode).toBe(200);
  const { answers } = (await answer.body.json()) as { answers: { hint?: string; grant?: object }[] };
  expect(answers.map(({ hint }) => hint)).toEqual([...Array(5).fill('BAD_MESSAGE'), undefined]);
  expect(answers[5]!.grant).toBeDefined();
  await dispatcher.destroy();
});

test('silent sockets of one address take nobody else’s place', async () => {
  const proxy = await gateway.addProxy({ SALLYPORT_MAX_SOCKETS: String(PLACES) });
  const port = Number(new URL(gateway.origins[1]!).port);
  const silent = Array.from({ length: 3 * PLACES }, () =>
    connect({ host: '127.0.0.1', port, localAddress: '127.0.0.9' }).on('error', () => undefined),
  );
  await until(() => silent.filter(({ destroyed }) => destroyed).length > PLACES);
  const hello = await helloMaker();
  const raw = await RawSocket.open(gateway.origins[1]!);
  raw.socket.send(hello());
  expect((await raw.next())?.[0]).toBe(WELCOME);
  raw.end();
  for (const socket of silent) socket.destroy();
  expect(proxy.running).toBe(true);
});
