import { deriveCodeKey, parseActivationCode } from '../src/activation-code.ts';
import { encodeChunkPrefix, encodeMessageEnd, encodeRequestHead, encodeResponseHead } from '../src/binary-http.ts';
import { concat, encodeText, formatHex } from '../src/bytes.ts';
import { type ChannelKey, type CodeKey, keyOf, type SessionSecret, type SharedKey, type Suite } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { DeviceEstablish, SecurityEstablish } from '../src/establish.ts';
import { decodeHello } from '../src/messages.ts';
import { CipherState } from '../src/noise.ts';
import { DeviceOpening, ProxyOpening } from '../src/opening.ts';
import {
  deriveChannelKey,
  deriveEnrolledKey,
  deriveHelloMac,
  deriveRotatedKey,
  deriveSessionSecret,
  type Role,
} from '../src/schedule.ts';
import { counting } from './counting.ts';
import { CONTEXT } from './sample-context.ts';
import { loginVector } from './vectors-login.ts';
import { negativeVector } from './vectors-negative.ts';
import { frameVector, messageVector, streamVector } from './vectors-streams.ts';

const CODE = 'ABCDEFGH-0123456789JKMNPQ';

/** A whole session establishment with fixed randomness. */
function establishVector(role: Role, suite: Suite): object {
  const [device, security] = [counting(1), counting(101)];
  const rs = security.generateKeyPair();
  const deviceStatic = device.generateKeyPair();
  const sharedKey = keyOf<SharedKey>(new Uint8Array(32).fill(0x5a));
  const code = parseActivationCode(CODE)!;
  const key = (): SharedKey | CodeKey => (role === 'session' ? sharedKey : deriveCodeKey(device, code));
  const sid = new Uint8Array(16).fill(0x11);
  const a = new DeviceEstablish({
    crypto: device,
    suite,
    role,
    realm: 'main',
    kid: 7,
    rs: rs.publicKey,
    deviceStatic,
    ...(role === 'enrol' ? { codeId: code.id } : {}),
  });
  const hs1 = a.writeHs1();
  const b = new SecurityEstablish({ crypto: security, realm: 'main', rs, hs1 });
  const hs2 = b.writeHs2(1_800_000_000_000);
  const { binding } = a.readHs2(hs2);
  const hs3 = a.writeHs3({ iid: 'i', proof: 'p' }, key());
  b.readHs3(hs3);
  b.tryKey(key());
  const hs4 = b.writeHs4({ status: 'ok' });
  a.readHs4(hs4);
  const { outcome } = a;
  return {
    role,
    suite,
    kid: 7,
    realm: 'main',
    code: role === 'enrol' ? CODE : null,
    code_id: role === 'enrol' ? code.id : null,
    server_time_ms: 1_800_000_000_000,
    rs_secret: formatHex(rs.secretKey),
    rs_public: formatHex(rs.publicKey),
    ds_secret: formatHex(deviceStatic.secretKey),
    salt: formatHex(key()),
    request: { iid: 'i', proof: 'p' },
    answer: { status: 'ok' },
    hs1: formatHex(hs1),
    hs2: formatHex(hs2),
    hs3: formatHex(hs3),
    hs4: formatHex(hs4),
    binding: formatHex(binding),
    handshake_hash: formatHex(outcome.handshakeHash),
    kem_secret: formatHex(outcome.kemSecret),
    client_random: formatHex(outcome.clientRandom),
    server_random: formatHex(outcome.serverRandom),
    sid: formatHex(sid),
    session_secret: formatHex(deriveSessionSecret(device, outcome, sid)),
    enrolled_key: formatHex(deriveEnrolledKey(device, outcome)),
    rotated_key: role === 'session' ? formatHex(deriveRotatedKey(device, sharedKey, outcome)) : null,
  };
}

/** Opening a channel, and the first records of both directions. */
function channelVector(suite: Suite): object {
  const [device, proxy] = [counting(1), counting(101)];
  const secret = keyOf<SessionSecret>(new Uint8Array(32).fill(0x22));
  const head = {
    suite,
    sid: new Uint8Array(16).fill(0x11),
    chanNo: 3,
    nonce: new Uint8Array(16).fill(0x33),
    audience: encodeText('main/site'),
  };
  const opening = new DeviceOpening({ crypto: device, secret, hello: head, context: CONTEXT });
  const hello = decodeHello(opening.writeHello());
  const channelKey: ChannelKey = deriveChannelKey(device, secret, hello);
  const answering = new ProxyOpening(proxy, hello, keyOf<ChannelKey>(channelKey.slice()));
  answering.readHello(hello);
  const { message, transport } = answering.writeWelcome({ proxy: 'p1' });
  const ours = opening.readWelcome(message).transport;
  const plaintext = encodeText('first record');
  return {
    suite,
    session_secret: formatHex(secret),
    sid: formatHex(head.sid),
    chan_no: 3,
    nonce: formatHex(head.nonce),
    audience: 'main/site',
    channel_key: formatHex(channelKey),
    mac: formatHex(deriveHelloMac(device, secret, hello.macInput)),
    hello: formatHex(opening.writeHello()),
    welcome: formatHex(message),
    record_plaintext: formatHex(plaintext),
    record_to_proxy: formatHex(ours.sealing.seal(new Uint8Array(0), plaintext)),
    record_to_device: formatHex(transport.sealing.seal(new Uint8Array(0), plaintext)),
  };
}

/** One direction's key across a rekey: record 0, the record before the rekey and the one after it. */
function rekeyVector(suite: Suite): object {
  const key = new Uint8Array(32).fill(0x44);
  const cipher = new CipherState(nobleCrypto(), suite, key);
  const plaintext = encodeText('record');
  const seal = (): string => formatHex(cipher.seal(new Uint8Array(0), plaintext));
  const first = seal();
  let last = first;
  while (cipher.count < 65_536) last = seal();
  cipher.rekey();
  return {
    suite,
    key: formatHex(key),
    plaintext: formatHex(plaintext),
    record_0: first,
    record_65535: last,
    record_65536: seal(),
  };
}

function httpVector(): object {
  const request = {
    method: 'POST',
    scheme: 'http',
    authority: 'wiki.corp',
    path: '/a?b=c',
    fields: [
      ['accept', '*/*'],
      ['content-length', '5'],
    ],
  } as const;
  const response = { status: 200, fields: [['content-type', 'text/plain']] } as const;
  const content = encodeText('hello');
  const whole = (head: Uint8Array): string =>
    formatHex(concat(head, encodeChunkPrefix(content.length), content, encodeMessageEnd([['x-sum', '1']])));
  const early = [{ status: 103, fields: [['link', '</x>']] }] as const;
  return {
    content: formatHex(content),
    trailers: [['x-sum', '1']],
    request,
    request_bytes: whole(encodeRequestHead(request)),
    response,
    informational: early,
    response_bytes: whole(encodeResponseHead(response, early)),
  };
}

/** All vectors, by file name. */
export function makeVectors(): Record<string, object> {
  return {
    'establish.json': (['enrol', 'session'] as const).flatMap((role) =>
      ([1, 2] as const).map((suite) => establishVector(role, suite)),
    ),
    'channel.json': ([1, 2] as const).map(channelVector),
    'rekey.json': ([1, 2] as const).map(rekeyVector),
    'frames.json': frameVector(),
    'http.json': httpVector(),
    'login.json': loginVector(),
    'messages.json': messageVector(),
    'streams.json': streamVector(),
    'negative.json': negativeVector(),
  };
}
