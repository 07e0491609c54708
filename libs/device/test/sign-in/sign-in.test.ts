import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type CborFields,
  type CborInput,
  type CodeKey,
  deriveCodeKey,
  deriveEnrolledKey,
  deriveRotatedKey,
  encodeHint,
  encodeText,
  formatBase64Url,
  formatHex,
  formatLink,
  MESSAGE_TYPES,
  parseLink,
  SecurityEstablish,
  type SharedKey,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { Device, type DeviceRecord, memoryStorage, readLinkUser, type WebSocketFactory } from '../../src/index.ts';
import { readPublishedSiteMap } from '../../src/sites/site-map.ts';

const crypto = nodeCrypto();
const rootSecret = new Uint8Array(32).fill(5);
const x = formatBase64Url(ed25519.getPublicKey(rootSecret));
const root = crypto.sha256(encodeText(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x })));
const CODE = 'abcdefgh-0123456789jkmnpq';
const CREDENTIALS = { user: 'ada', password: 'pw' };
const IID = '1'.repeat(32);

/** The far end: one realm, whose keys and site map the test changes. A login is all it can do. */
const far = {
  kids: [{ kid: 1, pair: crypto.generateKeyPair() }],
  revoked: [] as number[],
  seq: 10,
  epoch: 'e1',
  /** Shared keys that Security accepts. */
  accepted: [] as SharedKey[],
  rotate: false,
  /** Keys with which the device has tried a login, told by whether each accepted one fits. */
  tries: [] as string[],
  kidsTried: [] as number[],
  mapsAsked: 0,
  /** Where the site map says that Proxies are; empty for where it is published. */
  origins: [] as string[],
  /** Where nobody takes a WebSocket. */
  gone: new Set<string>(),
  /** False while nobody publishes a site map. */
  publishes: true,
  /** What a sign-in is answered instead. */
  refusal: undefined as Record<string, CborInput> | undefined,
};

function siteMap(): string {
  const map = {
    realm: 'main',
    seq: far.seq,
    epoch: far.epoch,
    sites: [{ name: 'here', origins: far.origins.length > 0 ? far.origins : [origin] }],
    keys: far.kids.map(({ kid, pair }) => ({ kid, rs: formatBase64Url(pair.publicKey) })),
    revoked: far.revoked,
  };
  const header = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: { kty: 'OKP', crv: 'Ed25519', x } };
  const input = [header, map].map((part) => formatBase64Url(encodeText(JSON.stringify(part)))).join('.');
  return `${input}.${formatBase64Url(ed25519.sign(encodeText(input), rootSecret))}`;
}

const server = createServer((_request, response) => {
  far.mapsAsked += 1;
  if (far.publishes) response.end(JSON.stringify({ siteMap: siteMap() }));
  else response.writeHead(503).end();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => server.close());

/** Answers what Security and its Proxy would; a HELLO is refused, so that a login ends there. */
const webSocket: WebSocketFactory = (url) => {
  const listeners = new Map<string, ((event: never) => void)[]>();
  const emit = (name: string, event?: object): void =>
    void queueMicrotask(() => {
      for (const listener of listeners.get(name) ?? []) listener(event as never);
    });
  let establish: SecurityEstablish | undefined;
  const answer = (message: Uint8Array): Uint8Array => {
    if (message[0] === MESSAGE_TYPES.HELLO || message[0] === MESSAGE_TYPES.ASK) return encodeHint('SESSION_UNKNOWN');
    if (message[0] === MESSAGE_TYPES.HS1) {
      const kid = new DataView(message.buffer, message.byteOffset).getUint32(4);
      far.kidsTried.push(kid);
      const known = far.kids.find((key) => key.kid === kid);
      if (!known) return encodeHint('UNKNOWN_KID');
      establish = new SecurityEstablish({ crypto, realm: 'main', rs: known.pair, hs1: message });
      return establish.writeHs2(0);
    }
    establish!.readHs3(message);
    const keys: (SharedKey | CodeKey)[] =
      establish!.role === 'enrol' ? [deriveCodeKey(crypto, { secret: CODE.split('-')[1]! })] : far.accepted;
    return answerHs3(establish!, keys);
  };
  const socket = {
    binaryType: '',
    bufferedAmount: 0,
    send: (bytes: Uint8Array) => emit('message', { data: Uint8Array.from(answer(Uint8Array.from(bytes))).buffer }),
    close: () => undefined,
    addEventListener: (name: string, listener: (event: never) => void) =>
      void listeners.set(name, [...(listeners.get(name) ?? []), listener]),
  };
  emit(far.gone.has(new URL(url).origin) ? 'close' : 'open');
  return socket;
};

function answerHs3(establish: SecurityEstablish, keys: readonly (SharedKey | CodeKey)[]): Uint8Array {
  let fields: CborFields | undefined;
  let used: SharedKey | CodeKey | undefined;
  for (const key of keys) {
    fields ??= establish.tryKey(key.slice() as SharedKey);
    if (fields) used ??= key;
  }
  far.tries.push(used ? formatHex(used).slice(0, 8) : 'none');
  if (!used) return encodeHint('HANDSHAKE_FAILED');
  const ok: Record<string, CborInput> = {
    status: 'ok',
    user: 'ada',
    display_name: 'Ada L.',
    iid: IID,
    site_map: siteMap(),
    notices: [],
  };
  if (establish.role === 'enrol') {
    far.accepted = [deriveEnrolledKey(crypto, establish.outcome)];
    return establish.writeHs4({ ...ok, generation: 0 });
  }
  if (far.refusal) return establish.writeHs4({ status: 'refused', retry_after: 0, ...far.refusal });
  if (far.rotate) far.accepted = [used as SharedKey, deriveRotatedKey(crypto, used as SharedKey, establish.outcome)];
  const session = {
    sid: crypto.randomBytes(16),
    expires_in: 1,
    idle: 1,
    rotate: far.rotate,
    generation: 1,
    limits: {},
  };
  return establish.writeHs4({ ...ok, ...session });
}

beforeEach(() => {
  far.kids = [{ kid: 1, pair: crypto.generateKeyPair() }];
  Object.assign(far, {
    revoked: [],
    seq: 10,
    epoch: 'e1',
    accepted: [],
    rotate: false,
    tries: [],
    kidsTried: [],
    mapsAsked: 0,
    origins: [],
    gone: new Set(),
    publishes: true,
    refusal: undefined,
  });
});

function link(over: { code?: string; seq?: number; user?: string } = {}): string {
  const { kid, pair } = far.kids[0]!;
  const parts = { origins: [origin], realm: 'main', kid, rs: pair.publicKey, root, code: CODE, seq: far.seq, ...over };
  return formatLink('https://x/', parts);
}

async function open() {
  const storage = memoryStorage();
  const context = () => ({
    id: 'a',
    version: '1',
    build: '',
    signer: new Uint8Array(32),
    os: '',
    osVersion: '',
    osPatch: '',
    model: '',
    posture: {},
    sdk: '',
  });
  const device = await Device.open({ storage, crypto, webSocket, context });
  const record = async (): Promise<DeviceRecord> => (await storage.load())!;
  /** Signs in; gives the code of what did not work. The HELLO behind a good login is always refused here. */
  const login = async (): Promise<string> => {
    const failed = await device.login(CREDENTIALS).catch((error: { code: string }) => error.code);
    return failed === 'SESSION_UNKNOWN' ? 'ok' : (failed as string);
  };
  return { device, record, login };
}

async function rotated() {
  const made = await open();
  await made.device.enroll(link(), CREDENTIALS);
  const [first] = far.accepted;
  far.rotate = true;
  expect(await made.login()).toBe('ok');
  far.rotate = false;
  return { ...made, first: first!, second: far.accepted[1]! };
}

test('until the new key has proved good, the one before is tried when it is refused', async () => {
  const { login, first } = await rotated();
  // Another login with the first key has overwritten the second one at Security.
  far.accepted = [first];
  expect(await login()).toBe('ok');
});

test.each([
  ['its version', { cause: 'app' }, 'version 1 of the app was withdrawn: install a newer one'],
  ['its user', { cause: 'user' }, 'your account is disabled: ask your administrator'],
  ['what it does not know', { cause: 'planet' }, 'access was revoked'],
  ['nothing that it is told', {}, 'access was revoked'],
])('a sign-in that is refused because of %s is told so', async (_what, said, message) => {
  const { device } = await open();
  await device.enroll(link(), CREDENTIALS);
  far.refusal = { code: 'REVOKED', ...said };
  await expect(device.login(CREDENTIALS)).rejects.toMatchObject({ code: 'REVOKED', message });
});

test('once the new key has proved good, no hint makes the device use the one before', async () => {
  const { login, record, first, second } = await rotated();
  far.accepted = [second];
  expect(await login()).toBe('ok');
  expect((await record()).keys).toMatchObject({ provenIn: 'e1' });
  far.tries = [];
  // Whoever stole the first key and drops the messages under the second one.
  far.accepted = [first];
  for (let i = 0; i < 3; i++) expect(await login()).toBe('HANDSHAKE_FAILED');
  far.seq = 11;
  expect(await login()).toBe('HANDSHAKE_FAILED');
  expect(new Set(far.tries)).toEqual(new Set(['none']));
});

test('a restore that the root has signed lets the device use the one before, an older map does not', async () => {
  const { login, record, first, second } = await rotated();
  far.accepted = [second];
  expect(await login()).toBe('ok');
  far.accepted = [first];
  // Somebody shows a map from before.
  Object.assign(far, { seq: 9, epoch: 'e0' });
  expect(await login()).toBe('HANDSHAKE_FAILED');
  Object.assign(far, { seq: 12, epoch: 'e2' });
  expect(await login()).toBe('ok');
  const { keys, epoch } = await record();
  expect(epoch).toBe('e2');
  expect(formatHex(keys!.current)).toBe(formatHex(first));
});

test('a device that hears of an unknown key of Security reads the site map again and goes on', async () => {
  const { device, login, record } = await open();
  await device.enroll(link(), CREDENTIALS);
  far.kids = [{ kid: 2, pair: crypto.generateKeyPair() }];
  far.kidsTried = [];
  // The map says nothing new yet: the hint alone changes nothing.
  far.seq -= 1;
  expect(await login()).toBe('UNKNOWN_KID');
  far.seq += 2;
  expect(await login()).toBe('ok');
  expect(far.kidsTried).toEqual([1, 1, 2]);
  expect((await record()).kid).toBe(2);
});

test('a device whose Proxies are all gone signs in by the map that the address of its link still gives, and else is offline', async () => {
  far.origins = ['ws://127.0.0.1:1', 'ws://127.0.0.1:2'];
  const { device, record, login } = await open();
  await device.enroll(link(), CREDENTIALS);
  expect((await record()).sites).toMatchObject([{ origins: far.origins }]);
  far.gone = new Set([...far.origins, origin]);
  // As long as the map is the one that it knows, there is nowhere to go.
  expect(await login()).toBe('OFFLINE');
  far.publishes = false;
  expect(await login()).toBe('OFFLINE');
  far.publishes = true;
  far.origins = ['ws://127.0.0.1:3'];
  far.seq += 1;
  expect(await login()).toBe('ok');
  expect(await record()).toMatchObject({ siteMapSeq: far.seq, sites: [{ origins: ['ws://127.0.0.1:3'] }] });
});

test('a link is refused that names a revoked key, and a map that is older than the link', async () => {
  const { device } = await open();
  const old = link();
  const { root: pinned, ...parts } = parseLink(link());
  const older = readPublishedSiteMap(crypto, { ...parts, root: pinned, seq: 11 });
  await expect(older).rejects.toMatchObject({ code: 'SITE_MAP_INVALID' });
  far.kids = [{ kid: 2, pair: crypto.generateKeyPair() }];
  Object.assign(far, { revoked: [1], seq: 12 });
  await expect(device.enroll(old, CREDENTIALS)).rejects.toMatchObject({ code: 'UNKNOWN_KID' });
  expect(far.kidsTried).toEqual([]);
  await device.enroll(link(), CREDENTIALS);
});

test('a link that is newer than the map that Proxies still keep waits for it', async () => {
  const { device } = await open();
  const enrolling = device.enroll(link({ seq: 11 }), CREDENTIALS);
  await vi.waitFor(() => expect(far.mapsAsked).toBeGreaterThan(0), { timeout: 90_000 });
  expect(far.kidsTried).toEqual([]);
  far.seq = 11;
  await enrolling;
});

test('a wrong or mistyped code is a wrong code, and the right one works after it', async () => {
  const { device } = await open();
  for (const code of ['abcdefgh-000000000000', 'nothing'])
    await expect(device.enroll(link({ code }), CREDENTIALS)).rejects.toMatchObject({ code: 'CODE_INVALID' });
  await device.enroll(link({ code: CODE.toUpperCase() }), CREDENTIALS);
});

test('a link says whom it is for, unproved; the device says it after Security did', async () => {
  expect(readLinkUser(link())).toBeUndefined();
  const handed = link({ user: 'somebody else' });
  expect(readLinkUser(handed)).toBe('somebody else');
  expect(() => readLinkUser(link({ user: 'a\u001b[2Jb' }))).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_LINK' }),
  );
  const { device } = await open();
  expect(device.user).toBeUndefined();
  await device.enroll(handed, CREDENTIALS);
  expect(device.user).toEqual({ name: 'ada', displayName: 'Ada L.' });
});
