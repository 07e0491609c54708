import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ed25519 } from '@noble/curves/ed25519.js';
import { encodeText, formatBase64Url, MAX_SITE_MAP_BYTES } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Device } from '../../src/device.ts';
import { type DeviceRecord, memoryStorage, type StoredSession } from '../../src/kept/record.ts';
import { CONTEXT } from '../context.ts';
import { FakeGateway } from '../gateway-of-sites.ts';

const crypto = serverCrypto();
const SECRET = new Uint8Array(32).fill(5);
const x = formatBase64Url(ed25519.getPublicKey(SECRET));
const root = crypto.sha256(encodeText(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x })));
const SESSION: StoredSession = {
  sid: new Uint8Array(16).fill(7),
  secret: new Uint8Array(32).fill(8),
  reservedChanNo: 0,
};

interface Said {
  readonly seq: number;
  readonly origins?: Readonly<Record<string, readonly string[]>>;
  readonly realm?: string;
  readonly more?: string;
}

function mapOf({ seq, origins = {}, realm = 'main', more }: Said, key = SECRET): string {
  const header = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: { kty: 'OKP', crv: 'Ed25519', x } };
  const sites = Object.entries(origins).map(([name, of]) => ({ name, origins: of }));
  const payload = { realm, seq, sites, keys: [], more };
  const input = [header, payload].map((part) => formatBase64Url(encodeText(JSON.stringify(part)))).join('.');
  return `${input}.${formatBase64Url(ed25519.sign(encodeText(input), key))}`;
}

/** A device with a session that knows the Proxies of a map with `seq` 5. */
async function scene(origins: Readonly<Record<string, readonly string[]>>, gateway = new FakeGateway(SESSION, [])) {
  const storage = memoryStorage();
  await storage.store({
    realm: 'main',
    root,
    iid: 'i',
    origins: [],
    sites: Object.entries(origins).map(([name, of]) => ({ name, origins: of })),
    siteMapSeq: 5,
    session: SESSION,
  } as unknown as DeviceRecord);
  const device = await Device.open({ storage, crypto, webSocket: gateway.webSocket, context: () => CONTEXT });
  onTestFinished(() => device.close());
  const seq = async (): Promise<number | undefined> => (await storage.load())?.siteMapSeq;
  return { device, gateway, storage, seq };
}

/** Serves a map as a Proxy does; gives its WebSocket origin. */
async function publish(map: () => string): Promise<string> {
  const server: Server = createServer((_request, response) => response.end(JSON.stringify({ siteMap: map() })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a device takes the map that a Proxy sends, and goes by it when its channel ends', async () => {
  const { device, gateway, seq } = await scene({ a: ['wss://a'] });
  await device.resume();
  gateway.at('wss://a').announce({ site_map: mapOf({ seq: 6, origins: { a: ['wss://a-2'] } }) });
  await vi.waitFor(async () => expect(await seq()).toBe(6), 90_000);
  gateway.at('wss://a').kill();
  await vi.waitFor(() => expect(gateway.at('wss://a-2').channels.size).toBe(1), 90_000);
});

test.each([
  ['rolled back', mapOf({ seq: 4 }), false],
  ['foreign', mapOf({ seq: 9 }, new Uint8Array(32).fill(6)), true],
  ['of another realm', mapOf({ seq: 9, realm: 'other' }), true],
  ['too large', mapOf({ seq: 9, more: 'x'.repeat(MAX_SITE_MAP_BYTES) }).slice(0, MAX_SITE_MAP_BYTES + 1_000), true],
  ['no map', 'x', true],
])('a map that is %s is left out, and ends nothing', async (_, map, isSaid) => {
  const { device, gateway, seq } = await scene({ a: ['wss://a'] });
  const ignored = vi.fn();
  device.on('ignored', ignored);
  await device.resume();
  gateway.at('wss://a').announce({ site_map: map });
  gateway.at('wss://a').announce({ site_map: mapOf({ seq: 6, origins: { a: ['wss://a'] } }) });
  await vi.waitFor(async () => expect(await seq()).toBe(6), 90_000);
  expect(ignored.mock.calls).toEqual(isSaid ? [[expect.objectContaining({ what: 'site map' })]] : []);
  expect(device.state).toBe('connected');
});

test('a Proxy that has a newer map says so in WELCOME, and the device reads it', async () => {
  const origin = await publish(() => mapOf({ seq: 8, origins: { a: ['wss://a'] } }));
  const { device, gateway, seq } = await scene({ a: ['wss://a'], b: [origin] });
  gateway.siteMapSeq = 8;
  await device.resume();
  await vi.waitFor(async () => expect(await seq()).toBe(8), 90_000);
});

test('a device that was away while all of its Proxies but one have moved finds the new ones, and needs no sign-in', async () => {
  const left = await publish(() => mapOf({ seq: 9, origins: { a: ['wss://a-9'], c: ['wss://c'] } }));
  const gateway = new FakeGateway(SESSION, ['wss://a', 'wss://a-2', left]);
  // What is left opens no channel any more; it gives the map.
  for (const proxy of gateway.proxies.values()) proxy.mood = 'down';
  const { device, seq } = await scene({ a: ['wss://a', 'wss://a-2'], b: [left] }, gateway);
  await device.resume();
  expect(await seq()).toBe(9);
  expect(gateway.at('wss://a-9').channels.size).toBe(1);
});

test('who publishes a map of before, or of somebody else, moves nobody', async () => {
  const [older, foreign] = [
    await publish(() => mapOf({ seq: 4, origins: { a: ['wss://x'] } })),
    await publish(() => mapOf({ seq: 9, origins: { a: ['wss://x'] } }, new Uint8Array(32).fill(6))),
  ];
  const gateway = new FakeGateway(SESSION, ['wss://a', older, foreign]);
  for (const proxy of gateway.proxies.values()) proxy.mood = 'down';
  const { device, seq } = await scene({ a: ['wss://a', older, foreign] }, gateway);
  const resumed = device.resume();
  await vi.waitFor(() => expect(gateway.at('wss://a').dialled).toBeGreaterThan(2), 90_000);
  gateway.at('wss://a').mood = 'up';
  await resumed;
  expect(await seq()).toBe(5);
  expect(gateway.at('wss://x').dialled).toBe(0);
});

test('a realm that has one site again says nothing of sites: what its Proxies say counts from then on', async () => {
  const { device, gateway, seq } = await scene({ a: ['wss://a'], b: ['wss://b'] });
  gateway.routes = [{ name: 'b', kind: 'http', authority: 'b.test', sites: [['b']] }];
  await device.resume();
  expect(device.resources.map(({ name }) => name)).toEqual(['b']);
  const a = gateway.at('wss://a');
  a.announce({ site_map: mapOf({ seq: 6, origins: { a: ['wss://a'] } }) });
  await vi.waitFor(async () => expect(await seq()).toBe(6), 90_000);
  a.announce({ resources: [{ name: 'new', kind: 'http', authority: 'new.test' }] });
  await vi.waitFor(() => expect(device.resources.map(({ name }) => name)).toEqual(['new']), 90_000);
  expect(
    (await device.request({ method: 'GET', scheme: 'http', authority: 'new.test', path: '/', fields: [] })).site,
  ).toBe('a');
});

test('who is asked for the site map sends the device nowhere else', async () => {
  let reached = 0;
  const elsewhere = createServer((_request, response) => {
    reached += 1;
    response.end(JSON.stringify({ siteMap: mapOf({ seq: 9, origins: { a: ['wss://x'] } }) }));
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void elsewhere.close());
  const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
  let asked = 0;
  const sending = createServer((_request, response) => {
    asked += 1;
    response.writeHead(307, { location }).end();
  });
  await new Promise<void>((resolve) => sending.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void sending.close());
  const origin = `ws://127.0.0.1:${(sending.address() as AddressInfo).port}`;
  const { device, gateway, seq } = await scene({ a: ['wss://a'], b: [origin] });
  gateway.siteMapSeq = 8;
  await device.resume();
  await vi.waitFor(() => expect(asked).toBe(1), 90_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([reached, await seq()]).toEqual([0, 5]);
});
