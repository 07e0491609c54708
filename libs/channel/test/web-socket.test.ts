import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, encodeText, encodeUint } from '../src/bytes.ts';
import {
  decodeWsClose,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  encodeWsPieces,
  isWsCloseCode,
  MAX_WS_PIECE_BYTES,
  type WsMessage,
  WsMessageDecoder,
  WsPieceDecoder,
} from '../src/web-socket.ts';

const close = (code: number, reason: Uint8Array): Uint8Array => concat(encodeUint(code, 2), reason);

test('close codes are those that may stand in a close frame', () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 4999])
    expect(isWsCloseCode(code)).toBe(true);
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535])
    expect(isWsCloseCode(code), String(code)).toBe(false);
});

test.each<[string, Uint8Array]>([
  ['one byte', Uint8Array.of(3)],
  ['a code that is not allowed', close(1005, new Uint8Array(0))],
  ['a code below all', close(0, encodeText('x'))],
  ['a reason of 124 bytes', close(1000, encodeText('x'.repeat(124)))],
  ['a reason of 62 characters and 124 bytes', close(1000, encodeText('é'.repeat(62)))],
  ['a reason that is not UTF-8', close(1000, Uint8Array.of(0xc3))],
])('a close message with %s is refused where it is decoded', (_what, bytes) => {
  const refused = expect.objectContaining({ name: 'ChannelError', code: 'ERR_CHANNEL_HTTP' });
  expect(() => decodeWsClose(bytes)).toThrow(refused);
  expect(() => new WsMessageDecoder().push(encodeWsMessage({ opcode: 8, bytes }))).toThrow(refused);
});

test('the longest reason passes, and a longer one is our own mistake', () => {
  const reason = 'x'.repeat(123);
  const [message] = new WsMessageDecoder().push(encodeWsClose({ code: 4000, reason }));
  expect(decodeWsClose(message!.bytes)).toEqual({ code: 4000, reason });
  expect(() => encodeWsClose({ code: 4000, reason: `${reason}x` })).toThrow(TypeError);
  expect(() => encodeWsClose({ code: 1005, reason: '' })).toThrow(TypeError);
  expect(decodeWsClose(new Uint8Array(0))).toEqual({ code: undefined, reason: '' });
});

const message = fc.record({
  opcode: fc.constantFrom(1, 2),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(200_000).map((size) => new Uint8Array(size).map((_, i) => i)),
  ),
});

test('messages come out as they went in, however they are cut, with pings and pongs between their pieces', () => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 12 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 90_000 })),
      fc.infiniteStream(fc.boolean()),
      (messages, cuts, pings) => {
        const ping = encodeWsPiece({ opcode: 9, more: false, bytes: encodeText('p') });
        const pieces = messages.flatMap((one) => [...encodeWsPieces(one)]);
        const bytes = concat(...pieces.flatMap((piece) => (pings.next().value ? [ping, piece] : [piece])));
        const decoder = new WsMessageDecoder();
        const got: WsMessage[] = [];
        for (let at = 0; at < bytes.length; ) {
          const size = cuts.next().value as number;
          got.push(...decoder.push(bytes.slice(at, at + size)));
          at += size;
        }
        const data = got.filter(({ opcode }) => opcode !== 9);
        expect(data.map(({ opcode }) => opcode)).toEqual(messages.map(({ opcode }) => opcode));
        for (const [i, { bytes }] of data.entries()) expect(Buffer.compare(bytes, messages[i]!.bytes)).toBe(0);
        expect(decoder.heldBytes).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});

test('a message is cut into pieces of 64 KiB, and one that fits is one piece', () => {
  const sizes = (length: number): number[] =>
    new WsPieceDecoder().push(encodeWsMessage({ opcode: 2, bytes: new Uint8Array(length) })).map((p) => p.bytes.length);
  expect(sizes(0)).toEqual([0]);
  expect(sizes(MAX_WS_PIECE_BYTES)).toEqual([65_536]);
  expect(sizes(MAX_WS_PIECE_BYTES + 1)).toEqual([65_536, 1]);
  expect(sizes(3 * MAX_WS_PIECE_BYTES)).toEqual([65_536, 65_536, 65_536]);
});

const piece = (opcode: number, length = 0, more = false): Uint8Array =>
  encodeWsPiece({ opcode, more, bytes: new Uint8Array(length) });

test.each<[string, Uint8Array[]]>([
  ['an unknown opcode', [piece(3)]],
  ['a bit that means nothing', [Uint8Array.of(0x42, 0, 0, 0, 0)]],
  ['a continuation of nothing', [piece(0)]],
  ['a message inside of another', [piece(1, 1, true), piece(2)]],
  ['a ping that is cut', [piece(9, 1, true)]],
  ['a ping of 126 bytes', [piece(9, 126)]],
  ['a close that is cut', [Uint8Array.of(0x88, 0, 0, 0, 0)]],
  ['something behind a close', [piece(8), piece(1)]],
  ['a piece of more than 64 KiB', [Uint8Array.of(2, 0, 1, 0, 1)]],
])('%s is refused', (_what, pieces) => {
  const refused = expect.objectContaining({ name: 'ChannelError', code: 'ERR_CHANNEL_HTTP' });
  expect(() => new WsPieceDecoder().push(concat(...pieces))).toThrow(refused);
});

test('a message that is longer than allowed is refused before it is held, also when it comes in pieces', () => {
  const refused = expect.objectContaining({
    code: 'ERR_CHANNEL_LIMIT',
    message: 'a message has more than 100000 bytes',
  });
  const decoder = new WsMessageDecoder(100_000);
  expect(decoder.push(encodeWsMessage({ opcode: 2, bytes: new Uint8Array(100_000) })).length).toBe(1);
  expect(() => decoder.push(encodeWsMessage({ opcode: 2, bytes: new Uint8Array(100_001) }))).toThrow(refused);
});

test('a piece that comes in parts of one byte is held in one piece of memory, and so are bytes that are kept', () => {
  const decoder = new WsPieceDecoder();
  const bytes = piece(2, MAX_WS_PIECE_BYTES);
  for (let at = 0; at < 70; at++) decoder.keep(bytes.subarray(at, at + 1));
  const got: number[] = [];
  for (let at = 70; at < bytes.length; at++)
    got.push(...decoder.push(bytes.subarray(at, at + 1)).map((one) => one.bytes.length));
  expect(got).toEqual([MAX_WS_PIECE_BYTES]);
  expect(decoder.heldBytes).toBe(0);
});
