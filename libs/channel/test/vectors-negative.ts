import { concat, encodeText, encodeUint, formatHex } from '../src/bytes.ts';
import { encodeCbor } from '../src/cbor.ts';
import { KEM_KEY_BYTES, type KeyPair, type PublicKey, type Suite } from '../src/crypto.ts';
import { encodeHs1Head, sealHs1 } from '../src/messages.ts';
import { NoiseHandshake, XKpsk3 } from '../src/noise.ts';
import type { Role } from '../src/schedule.ts';
import { counting } from './counting.ts';

/** Text that may be put in hexadecimal, written here as bytes. */
const CBOR: readonly [why: string, hex: string][] = [
  ['nothing', ''],
  ['a duplicate key', 'a2616101616102'],
  ['keys that are not in order', 'a2616201616101'],
  ['an integer that is longer than needed', 'a1616118 01'],
  ['a length that is longer than needed', 'b80161 6101'],
  ['an indefinite length', 'bf616101ff'],
  ['an indefinite text', 'a161617f6162ff'],
  ['a float', 'a16161f93c00'],
  ['a tag', 'a16161c101'],
  ['undefined', 'a16161f7'],
  ['a key that is no text', 'a10101'],
  ['a text that is not UTF-8', 'a1616161ff'],
  ['bytes behind the item', 'a1616101 00'],
  ['an item that is cut short', 'a16161'],
  ['a map that is announced and does not come', 'bb0000000100000000'],
  ['no map', '80'],
  ['depth over 8', `a16161${'81'.repeat(8)}80`],
  ['more than 4,096 entries', `a16161991001${'00'.repeat(4_097)}`],
];

const AUTHORITIES = [
  '',
  'Wiki.corp',
  'wiki.corp.',
  'wiki..corp',
  '*.corp',
  'a@wiki.corp',
  'wiki.corp:0',
  '[fd00::G]',
  'fd00::1',
];

const PATHS: readonly string[] = [
  '',
  'a',
  '*',
  'http://wiki.corp/a',
  '/a#b',
  '/a\\b',
  '/a b',
  '/a\u00e9',
  '/a\u007f',
  '//a',
  '/a//b',
  '/.',
  '/..',
  '/a/../b',
  '/a/./b',
  '/a/..;x/b',
  '/%2e%2e/a',
  '/%2E/a',
  '/a%2fb',
  '/a%5cb',
  '/a%00b',
  '/a%25b',
  '/a%',
  '/a%2',
  '/a%zz',
  '/a%c0%ae',
  '/a%ff',
  '/a%e2%80%8b',
  '/a%ef%bc%8f',
];

const FIELDS: readonly [name: string, value: string][] = [
  ['transfer-encoding', 'chunked'],
  ['connection', 'close'],
  ['keep-alive', '1'],
  ['upgrade', 'h2c'],
  ['expect', '100-continue'],
  ['trailer', 'x'],
  ['http2-settings', 'x'],
  ['proxy-authorization', 'x'],
  ['te', 'gzip'],
  ['host', 'other.corp'],
  ['content-length', '01'],
  ['content-length', '+1'],
  ['content-length', '1, 1'],
  ['Accept', '*/*'],
  ['a_b', 'x'],
  ['a b', 'x'],
  ['a:', 'x'],
  ['x', 'a\nb'],
  ['x', 'a\u0000b'],
  ['x', ' a'],
  ['x', 'a '],
];

/** Points whose X25519 result is all zeros (RFC 7748, section 6.1), whatever the secret. */
const POINTS: readonly string[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

const FRAMES: readonly [why: string, hex: string][] = [
  ['a head that is cut short', '0200000000'],
  ['data that are cut short', '020000000001 0005 616263'],
  ['an unknown type below 0x80', '0b00000000000000'],
  ['an unknown flag', '0202000000010000'],
  ['FIN on a WINDOW', '0401000000010004 00000001'],
  ['OPEN without a kind', '0100000000010000'],
  ['OPEN of stream 0', '0100000000000001 01'],
  ['RESET without a code', '0300000000010000'],
  ['WINDOW of three bytes', '0400000000010003 000001'],
  ['PING on a stream', '0500000000010008 0000000000000000'],
  ['PING of seven bytes', '0500000000000007 00000000000000'],
  ['GOAWAY of two bytes', '0700000000000002 0000'],
];

const OF = { suite: 1, role: 'session', kid: 7 } as const satisfies { suite: Suite; role: Role; kid: number };

/** A HS1 around any payload, with a good mac1. */
function hs1Of(rs: KeyPair, payload: Uint8Array, role: Role = OF.role): Uint8Array {
  const device = counting(1);
  const head = encodeHs1Head(OF.suite, role, OF.kid);
  const prologue = concat(encodeText('sallyport/1 session'), Uint8Array.of(4), encodeText('main'), head);
  const noise = new NoiseHandshake({
    crypto: device,
    suite: OF.suite,
    pattern: XKpsk3,
    initiator: true,
    prologue,
    static: device.generateKeyPair(),
    remoteStatic: rs.publicKey,
  });
  return sealHs1(device, rs.publicKey, head, noise.writeMessage(payload));
}

function resealed(rs: PublicKey, hs1: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Object.assign(hs1.slice(), { [at]: value });
  return sealHs1(counting(1), rs, changed.subarray(0, 8), changed.subarray(24));
}

/** Messages of a device that Security refuses, with the hint it answers. */
function hs1Vectors(rs: KeyPair): { why: string; bytes: string; hint: number }[] {
  const ek = counting(33).generateKemKeyPair().publicKey;
  const id = (text: string): Uint8Array => concat(encodeUint(text.length, 2), encodeText(text));
  const good = hs1Of(rs, concat(ek, id('')));
  const ones = new Uint8Array(KEM_KEY_BYTES).fill(0xff);
  const cases: [string, Uint8Array, number][] = [
    ['another version', Object.assign(good.slice(), { 1: 2 }), 2],
    ['another suite', Object.assign(good.slice(), { 2: 3 }), 3],
    ['a role that does not exist', Object.assign(good.slice(), { 3: 3 }), 1],
    ['a kid that does not exist', Object.assign(good.slice(), { 7: 8 }), 4],
    ['a wrong mac1', Object.assign(good.slice(), { 8: good[8]! ^ 1 }), 1],
    ['shorter than any', good.slice(0, 1_257), 1],
    ['longer than 4,096 bytes', concat(good, new Uint8Array(4_097 - good.length)), 1],
    ['a changed ciphertext', resealed(rs.publicKey, good, good.length - 1, good.at(-1)! ^ 1), 6],
    ['an ephemeral key of low order', sealHs1(counting(1), rs.publicKey, good.slice(0, 8), lowOrder(good)), 6],
    ['an encapsulation key that FIPS 203 does not allow', hs1Of(rs, concat(ones, id(''))), 6],
    ['a code id in role session', hs1Of(rs, concat(ek, id('abc'))), 1],
    ['no code id in role enrol', hs1Of(rs, concat(ek, id('')), 'enrol'), 1],
    ['a code id of 17 characters', hs1Of(rs, concat(ek, id('a'.repeat(17))), 'enrol'), 1],
    ['a code id in upper case', hs1Of(rs, concat(ek, id('ABC')), 'enrol'), 1],
    ['a code id that is cut short', hs1Of(rs, concat(ek, encodeUint(9, 2), encodeText('abc')), 'enrol'), 1],
  ];
  return cases.map(([why, bytes, hint]) => ({ why, bytes: formatHex(bytes), hint }));
}

function lowOrder(hs1: Uint8Array): Uint8Array {
  return concat(new Uint8Array(32), hs1.subarray(24 + 32));
}

/** What must be refused, with the code that says so. Numbers are hints; `close` ends the socket; 65 is REQUEST_REFUSED. */
export function negativeVector(): object {
  const rs = counting(101).generateKeyPair();
  const spaced = (text: string): string => text.replace(/ /g, '');
  return {
    rs_secret: formatHex(rs.secretKey),
    realm: 'main',
    kid: OF.kid,
    hs1: hs1Vectors(rs),
    cbor: CBOR.map(([why, hex]) => ({ why, bytes: spaced(hex), in_a_handshake: 1 })),
    points: POINTS.map((bytes) => ({ bytes, hint: 6 })),
    frames: FRAMES.map(([why, hex]) => ({ why, bytes: spaced(hex), ends: 'close' })),
    authorities: AUTHORITIES.map((authority) => ({ authority, reset: 65 })),
    paths: PATHS.map((path) => ({ path, reset: 65 })),
    fields: FIELDS.map(([name, value]) => ({ name, value, reset: 65 })),
    padding: [
      { why: 'no multiple of 256', bytes: formatHex(new Uint8Array(255)), in_a_handshake: 1 },
      { why: 'a byte that is not zero', bytes: formatHex(padded(0, 1)), in_a_handshake: 1 },
      { why: 'more padding than needed', bytes: formatHex(new Uint8Array(512)), in_a_handshake: 1 },
      { why: 'a length beyond the payload', bytes: formatHex(padded(1_000, 0)), in_a_handshake: 1 },
    ],
    links: [
      { why: 'an unknown version', fragment: linkOf({ v: 2 }) },
      { why: 'no origin', fragment: linkOf({ origins: [] }) },
      { why: 'an origin that is no WebSocket', fragment: linkOf({ origins: ['https://a.example'] }) },
      { why: 'a short key', fragment: linkOf({ rs: new Uint8Array(31) }) },
      { why: 'no seq', fragment: linkOf({ seq: undefined }) },
    ],
  };
}

function padded(length: number, last: number): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set(encodeUint(length, 4), 32);
  bytes[255] = last;
  return bytes;
}

function linkOf(over: Record<string, unknown>): string {
  const good = { v: 1, origins: ['wss://a.example'], realm: 'main', kid: 7, code: 'a-b', seq: 1 };
  const link = { ...good, rs: new Uint8Array(32).fill(9), root: new Uint8Array(32), ...over };
  return Buffer.from(encodeCbor(link as never)).toString('base64url');
}
