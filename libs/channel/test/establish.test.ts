import { expect, test } from 'vitest';
import { deriveCodeKey, parseActivationCode } from '../src/activation-code.ts';
import { encodeText, formatHex } from '../src/bytes.ts';
import { type CodeKey, type CryptoProvider, keyOf, type SessionSecret, type SharedKey } from '../src/crypto.ts';
import { DeviceEstablish, SecurityEstablish } from '../src/establish.ts';
import { decodeHello, decodeHint, decodeHs1, encodeHint, verifyMac1 } from '../src/messages.ts';
import { NNpsk0, NoiseHandshake } from '../src/noise.ts';
import { DeviceOpening, ProxyOpening } from '../src/opening.ts';
import {
  deriveChannelKey,
  deriveEnrolledKey,
  deriveRotatedKey,
  deriveSessionSecret,
  verifyHelloMac,
} from '../src/schedule.ts';
import { providers } from './providers.ts';
import { CONTEXT } from './sample-context.ts';

const KID = 7;

function establish(
  crypto: CryptoProvider,
  keys: { device: SharedKey | CodeKey; security: (SharedKey | CodeKey)[]; codeId?: string; realms?: [string, string] },
  peer = crypto,
) {
  const [ours, theirs] = keys.realms ?? ['main', 'main'];
  const rs = peer.generateKeyPair();
  const deviceStatic = crypto.generateKeyPair();
  const role = keys.codeId === undefined ? 'session' : 'enrol';
  const device = new DeviceEstablish({
    crypto,
    suite: 1,
    role,
    kid: KID,
    rs: rs.publicKey,
    deviceStatic,
    realm: ours,
    ...(keys.codeId === undefined ? {} : { codeId: keys.codeId }),
  });
  const hs1 = device.writeHs1();
  expect(verifyMac1(peer, rs.publicKey, hs1)).toBe(true);
  const security = new SecurityEstablish({ crypto: peer, realm: theirs, rs, hs1 });
  expect(security.codeId).toBe(keys.codeId);
  const { binding } = device.readHs2(security.writeHs2(1_700_000_000_000));
  const found = security.readHs3(device.writeHs3({ iid: 'i', proof: 'p' }, keys.device));
  expect(formatHex(found)).toBe(formatHex(deviceStatic.publicKey));
  expect(formatHex(security.binding)).toBe(formatHex(binding));
  const requests = keys.security.map((key) => security.tryKey(key)).filter((fields) => fields !== undefined);
  return { device, security, request: requests[0] };
}

function codeKey(crypto: CryptoProvider, secret = '0123456789abcdef'): CodeKey {
  return deriveCodeKey(crypto, { secret });
}

test('device and Security agree on every key, across providers', () => {
  for (const crypto of providers) {
    for (const peer of providers) {
      const code = { device: codeKey(crypto), security: [codeKey(peer)], codeId: 'abcd1234' };
      const { device, security, request } = establish(crypto, code, peer);
      expect(request!.text('iid')).toBe('i');
      expect(device.readHs4(security.writeHs4({ status: 'ok', sid: new Uint8Array(16) })).text('status')).toBe('ok');
      const sid = new Uint8Array(16).fill(1);
      for (const derive of [
        (p: CryptoProvider, o: typeof device.outcome) => deriveEnrolledKey(p, o),
        (p: CryptoProvider, o: typeof device.outcome) => deriveSessionSecret(p, o, sid),
        (p: CryptoProvider, o: typeof device.outcome) => deriveRotatedKey(p, keyOf(new Uint8Array(32)), o),
      ]) {
        expect(formatHex(derive(crypto, device.outcome))).toBe(formatHex(derive(peer, security.outcome)));
      }
      const reply = security.readStep(device.writeStep({ totp: '123456' }));
      expect(reply.text('totp')).toBe('123456');
      expect(device.readStepReply(security.writeStepReply({ status: 'ok' })).text('status')).toBe('ok');
    }
  }
});

test('Security finds the generation of the shared key by trying', () => {
  const crypto = providers[1]!;
  const [right, wrong] = [keyOf<SharedKey>(crypto.randomBytes(32)), keyOf<SharedKey>(crypto.randomBytes(32))];
  expect(establish(crypto, { device: right, security: [wrong, right] }).request).toBeDefined();
  expect(establish(crypto, { device: right, security: [wrong] }).request).toBeUndefined();
  expect(establish(crypto, { device: right, security: [codeKey(crypto)] }).request).toBeUndefined();
});

test('an enrolment opens with the secret of its code alone, and the secret is in no message', () => {
  const crypto = providers[1]!;
  const right = codeKey(crypto);
  expect(
    establish(crypto, { device: right.slice() as CodeKey, security: [right], codeId: 'a1' }).request,
  ).toBeDefined();
  const wrong = { device: codeKey(crypto, '0123456789abcdeg'), security: [codeKey(crypto)], codeId: 'a1' };
  expect(establish(crypto, wrong).request).toBeUndefined();
  const zeros = { device: codeKey(crypto), security: [keyOf<CodeKey>(new Uint8Array(32))], codeId: 'a1' };
  expect(establish(crypto, zeros).request).toBeUndefined();
});

test('codes as people type them', () => {
  expect(parseActivationCode(' ABCDEFGH-oIl0 123456789XYZ\n')).toEqual({ id: 'abcdefgh', secret: '0110123456789xyz' });
  for (const bad of ['', 'abc', '-abc', 'abc-', 'a-b-c', 'aé-b', `${'a'.repeat(17)}-b`])
    expect(parseActivationCode(bad)).toBeUndefined();
});

test('a handshake for one realm fails at another one that has the same key', () => {
  const crypto = providers[1]!;
  const key = keyOf<SharedKey>(crypto.randomBytes(32));
  const realms: [string, string] = ['main', 'other'];
  expect(() => establish(crypto, { device: key, security: [key], realms })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HANDSHAKE' }),
  );
});

test('what keys come from is erased once they are derived', () => {
  const crypto = providers[1]!;
  const key = keyOf<SharedKey>(crypto.randomBytes(32));
  const { device, security } = establish(crypto, { device: key, security: [key] });
  device.readHs4(security.writeHs4({ status: 'ok' }));
  expect(formatHex(device.outcome.kemSecret)).not.toMatch(/^0*$/);
  for (const side of [device, security]) {
    side.erase();
    const { kemSecret, clientRandom, serverRandom } = side.outcome;
    for (const secret of [kemSecret, clientRandom, serverRandom]) expect(formatHex(secret)).toMatch(/^0+$/);
  }
  const channelKey = deriveChannelKey(crypto, keyOf(crypto.randomBytes(32)), {
    suite: 1,
    mode: 1,
    sid: new Uint8Array(16),
    chanNo: new Uint8Array(8),
    nonce: new Uint8Array(16),
    audience: encodeText('a'),
  });
  const pair = crypto.generateKeyPair();
  const start = { crypto, suite: 1, pattern: NNpsk0, prologue: new Uint8Array(0) } as const;
  const a = new NoiseHandshake({ ...start, initiator: true, psk: channelKey.slice() });
  const b = new NoiseHandshake({ ...start, initiator: false, psk: channelKey, ephemeral: pair });
  b.readMessage(a.writeMessage(new Uint8Array(0)));
  b.writeMessage(new Uint8Array(0));
  b.split();
  for (const secret of [channelKey, pair.secretKey]) expect(formatHex(secret)).toMatch(/^0+$/);
});

test('HS1 says nothing about the device and its sizes are checked', () => {
  const crypto = providers[1]!;
  const rs = crypto.generateKeyPair();
  const device = new DeviceEstablish({
    crypto,
    suite: 2,
    role: 'session',
    realm: 'main',
    kid: KID,
    rs: rs.publicKey,
    deviceStatic: crypto.generateKeyPair(),
  });
  const hs1 = device.writeHs1();
  expect(decodeHs1(hs1)).toMatchObject({ suite: 2, role: 'session', kid: KID });
  expect(() => decodeHs1(hs1.slice(0, 100))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_MESSAGE' }));
  const other = (offset: number, value: number): Uint8Array => Object.assign(hs1.slice(), { [offset]: value });
  expect(() => decodeHs1(other(1, 2))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_VERSION' }));
  expect(() => decodeHs1(other(2, 3))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_SUITE' }));
  expect(() => decodeHs1(other(3, 9))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_MESSAGE' }));
  expect(verifyMac1(crypto, crypto.generateKeyPair().publicKey, hs1)).toBe(false);
  expect(() => new SecurityEstablish({ crypto, realm: 'main', rs, hs1: other(3, 1) })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HANDSHAKE' }),
  );
});

test('a channel opens only with the key of exactly this HELLO', () => {
  for (const crypto of providers) {
    const secret = keyOf<SessionSecret>(crypto.randomBytes(32));
    const head = {
      suite: 1,
      sid: crypto.randomBytes(16),
      chanNo: 2 ** 40 + 1,
      nonce: crypto.randomBytes(16),
      audience: encodeText('main/site'),
    } as const;
    const device = new DeviceOpening({ crypto, secret, hello: head, context: CONTEXT });
    const hello = decodeHello(device.writeHello());
    expect(verifyHelloMac(crypto, secret, hello)).toBe(true);
    expect(verifyHelloMac(crypto, keyOf(crypto.randomBytes(32)), hello)).toBe(false);
    expect(() => new ProxyOpening(crypto, hello, keyOf(crypto.randomBytes(32))).readHello(hello)).toThrow();
    const proxy = new ProxyOpening(crypto, hello, deriveChannelKey(crypto, secret, hello));
    expect(proxy.readHello(hello)).toEqual(CONTEXT);
    const { message, transport } = proxy.writeWelcome({ proxy: 'p1' });
    const welcome = device.readWelcome(message);
    expect(welcome.fields.text('proxy')).toBe('p1');
    const sealed = welcome.transport.sealing.seal(new Uint8Array(0), encodeText('first'));
    expect(formatHex(transport.opening.open(new Uint8Array(0), sealed))).toBe(formatHex(encodeText('first')));
  }
});

test('every bit of a HELLO is under its mac', () => {
  const crypto = providers[1]!;
  const secret = keyOf<SessionSecret>(crypto.randomBytes(32));
  const head = {
    suite: 1,
    sid: crypto.randomBytes(16),
    chanNo: 1,
    nonce: crypto.randomBytes(16),
    audience: encodeText('a'),
  } as const;
  const bytes = new DeviceOpening({ crypto, secret, hello: head, context: CONTEXT }).writeHello();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    let accepted = false;
    try {
      accepted = verifyHelloMac(crypto, secret, decodeHello(flipped));
    } catch {}
    expect(accepted).toBe(false);
  }
});

test('hints carry a code and a delay, and an unknown code reads as "later"', () => {
  expect(decodeHint(encodeHint('CHAN_REPLAY', 1_500))).toEqual({ code: 'CHAN_REPLAY', retryAfterMs: 1_500 });
  expect(decodeHint(Uint8Array.of(0x0f, 0xff, 0xff, 0, 0, 0, 1)).code).toBe('RETRY_LATER');
});
