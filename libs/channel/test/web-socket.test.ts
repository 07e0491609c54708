import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, encodeText, encodeUint } from '../src/bytes.ts';
import {
  decodeWsClose,
  encodeWsClose,
  encodeWsMessage,
  isWsCloseCode,
  MAX_WS_MESSAGE_BYTES,
  type WsMessage,
  WsMessageDecoder,
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

test('messages come out as they went in, however they are cut and however many are asked for at once', () => {
  const message = fc.record({
    opcode: fc.constantFrom(1, 2),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(20_000).map((size) => new Uint8Array(size).fill(7)),
    ),
  });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 20 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 9_000 })),
      fc.nat(3),
      (messages, cuts, max) => {
        const bytes = concat(...messages.map(encodeWsMessage));
        const decoder = new WsMessageDecoder();
        const got: WsMessage[] = [];
        for (let at = 0; at < bytes.length; ) {
          const size = cuts.next().value as number;
          got.push(...decoder.push(bytes.slice(at, at + size), max === 0 ? undefined : max));
          at += size;
        }
        for (let more = decoder.push(new Uint8Array(0)); more.length > 0; more = decoder.push(new Uint8Array(0)))
          got.push(...more);
        expect(got.length).toBe(messages.length);
        for (const [i, { opcode, bytes }] of got.entries()) {
          expect(opcode).toBe(messages[i]!.opcode);
          expect(Buffer.compare(bytes, messages[i]!.bytes)).toBe(0);
        }
        expect(decoder.empty).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test('the largest message in pieces of one byte is held in one piece of memory', () => {
  const decoder = new WsMessageDecoder();
  const bytes = encodeWsMessage({ opcode: 2, bytes: new Uint8Array(MAX_WS_MESSAGE_BYTES).fill(9) });
  const got: WsMessage[] = [];
  for (let at = 0; at < bytes.length; at++) got.push(...decoder.push(bytes.subarray(at, at + 1)));
  expect(got.map(({ bytes }) => bytes.length)).toEqual([MAX_WS_MESSAGE_BYTES]);
  expect(decoder.heldBytes).toBe(0);
});
