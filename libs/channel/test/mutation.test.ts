import { expect, test } from 'vitest';
import { encodeChunkPrefix, encodeMessageEnd, encodeRequestHead, encodeResponseHead } from '../src/binary-http.ts';
import { concat, encodeText, formatBase64Url, parseBase64Url } from '../src/bytes.ts';
import { CborFields, decodeCbor, encodeCbor } from '../src/cbor.ts';
import { encodeContext, parseContext } from '../src/context.ts';
import { keyOf } from '../src/crypto.ts';
import { nodeCrypto } from '../src/crypto-node.ts';
import { ChannelError } from '../src/errors.ts';
import { DeviceEstablish } from '../src/establish.ts';
import { decodeFrames, writeFrame } from '../src/frame.ts';
import { requestDecoder, responseDecoder } from '../src/http-decoder.ts';
import { checkRequest } from '../src/http-rules.ts';
import { formatLink, parseLink } from '../src/link.ts';
import { decodeHello, decodeHint, decodeHs1, decodePadded, encodeHint, encodePadded } from '../src/messages.ts';
import { DeviceOpening } from '../src/opening.ts';
import { encodeWsClose, encodeWsMessage, WsMessageDecoder } from '../src/web-socket.ts';
import { runSeed, seededRandom } from './providers.ts';
import { CONTEXT } from './sample-context.ts';

/** Mutations of each decoder; all of them together pass 10^6. */
const ROUNDS = 100_000;
const crypto = nodeCrypto();
const sink = { head: () => undefined, content: () => undefined, trailers: () => undefined };
const REQUEST = {
  method: 'POST',
  scheme: 'http',
  authority: 'wiki.corp',
  path: '/path?query',
  fields: [
    ['content-type', 'text/plain'],
    ['content-length', '7'],
  ],
} as const;

function sampleFrames(): Uint8Array {
  const record = new Uint8Array(200);
  let end = writeFrame(record, 0, { type: 1, flags: 0, stream: 1, data: encodeText('\x01some bytes') });
  end = writeFrame(record, end, { type: 4, flags: 0, stream: 1, data: new Uint8Array(4) });
  return record.subarray(0, writeFrame(record, end, { type: 2, flags: 1, stream: 1, data: encodeText('the end') }));
}

function sampleHs1(): Uint8Array {
  const keys = crypto.generateKeyPair();
  return new DeviceEstablish({
    crypto,
    suite: 1,
    role: 'session',
    realm: 'main',
    kid: 1,
    rs: keys.publicKey,
    deviceStatic: keys,
  }).writeHs1();
}

function sampleHello(): Uint8Array {
  const hello = {
    suite: 1,
    sid: new Uint8Array(16),
    chanNo: 1,
    nonce: new Uint8Array(16),
    audience: encodeText('main/site'),
  } as const;
  return new DeviceOpening({ crypto, secret: keyOf(new Uint8Array(32)), hello, context: CONTEXT }).writeHello();
}

const cbor = encodeCbor({
  iid: 'i',
  cred: { password: { user: 'ada', secret: 'x' } },
  list: [1, 2, { a: null }],
  flag: true,
});
const link = {
  origins: ['wss://a.example'],
  realm: 'main',
  kid: 1,
  rs: crypto.generateKeyPair().publicKey,
  root: new Uint8Array(32),
  code: 'ABCD',
  seq: 5,
};
const content = encodeText('content');

const DECODERS: readonly [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  ['HS1', sampleHs1(), decodeHs1],
  ['HELLO', sampleHello(), decodeHello],
  ['HINT', encodeHint('BUSY', 1), decodeHint],
  ['padded payload', encodePadded(new Uint8Array(32), cbor), (bytes) => decodeCbor(decodePadded(bytes).cbor)],
  ['CBOR', cbor, decodeCbor],
  ['app context', encodeContext(CONTEXT), (bytes) => parseContext(CborFields.decode(bytes))],
  ['frames', sampleFrames(), decodeFrames],
  [
    'request',
    concat(encodeRequestHead(REQUEST), encodeChunkPrefix(7), content, encodeMessageEnd([['x', 'y']])),
    (bytes) => {
      const decoder = requestDecoder({ ...sink, head: (head) => void checkRequest(head) });
      decoder.push(bytes);
      decoder.finish();
    },
  ],
  [
    'response',
    concat(
      encodeResponseHead({ status: 200, fields: [['etag', 'x']] }, [{ status: 103, fields: [] }]),
      encodeChunkPrefix(7),
      content,
      encodeMessageEnd(),
    ),
    (bytes) => {
      const decoder = responseDecoder(sink);
      decoder.push(bytes);
      decoder.finish();
    },
  ],
  [
    'WebSocket messages',
    concat(encodeWsMessage({ opcode: 1, bytes: content }), encodeWsClose({ code: 1000, reason: 'bye' })),
    (bytes) => new WsMessageDecoder().push(bytes),
  ],
  ['enrolment link', parseBase64Url(formatLink('', link).slice(1)), (bytes) => parseLink(`#${formatBase64Url(bytes)}`)],
];

/** Changes, cuts, repeats or extends the bytes at a few random places. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const mutated = Array.from(bytes);
  const changes = 1 + Math.floor(random() * 4);
  for (let i = 0; i < changes; i++) {
    const at = Math.floor(random() * (mutated.length + 1));
    const kind = random();
    if (kind < 0.5) mutated[Math.min(at, mutated.length - 1)] = Math.floor(random() * 256);
    else if (kind < 0.65) mutated.length = Math.max(1, at);
    else if (kind < 0.8) mutated.splice(at, 0, ...mutated.slice(at, at + 8));
    else if (kind < 0.9) mutated.splice(at, 1 + Math.floor(random() * 4));
    else mutated.push(Math.floor(random() * 256));
  }
  return Uint8Array.from(mutated);
}

test.each(DECODERS)('mutations of %s end in a value or a ChannelError', (_name, sample, decode) => {
  const random = seededRandom(runSeed());
  decode(sample);
  const before = process.memoryUsage().heapUsed;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    try {
      decode(mutate(sample, random));
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(0);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 1024 * 1024);
});

test('CBOR that is not deterministic is refused by name', () => {
  const refused: [string, number[]][] = [
    ['a longer integer than needed', [0x18, 0x01]],
    ['duplicate keys', [0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2]],
    ['keys out of order', [0xa2, 0x61, 0x62, 1, 0x61, 0x61, 2]],
    ['trailing bytes', [0x01, 0x01]],
    ['an indefinite length', [0x9f, 0xff]],
    ['a float', [0xf9, 0x3c, 0x00]],
    ['a tag', [0xc0, 0x61, 0x61]],
    ['undefined', [0xf7]],
    ['an integer key', [0xa1, 1, 1]],
    ['nine levels', [...new Array(9).fill(0x81), 0x01]],
    ['a million levels', new Array(1_000_000).fill(0x81)],
    ['a huge array', [0x9a, 0xff, 0xff, 0xff, 0xff]],
    ['a text that is not UTF-8', [0x61, 0xff]],
  ];
  for (const [what, bytes] of refused) {
    expect(() => decodeCbor(Uint8Array.from(bytes)), what).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL_CBOR' }),
    );
  }
  expect(decodeCbor(Uint8Array.from([...new Array(8).fill(0x81), 0x01]))).toBeDefined();
});
