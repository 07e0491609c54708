import { expect, test } from 'vitest';
import { codeUnderWay, isSignedCode, neverRan, SIGNED_CODES, type SignedCode } from '../src/codes.ts';
import {
  decodeFrames,
  decodeReset,
  encodeReset,
  FRAME_TYPES,
  MAX_RESET_WORDS_BYTES,
  writeFrame,
} from '../src/frame.ts';

test('once a backend may have read a byte no code says that nothing ran', () => {
  for (const code of Object.keys(SIGNED_CODES) as SignedCode[]) {
    expect(isSignedCode(codeUnderWay(code))).toBe(true);
    expect(neverRan(codeUnderWay(code))).toBe(false);
  }
});

test('codes that may be said at any moment never say that nothing ran, and neither do unknown ones', () => {
  const open = ['REVOKED', 'SESSION_EXPIRED', 'LEASE_LOST', 'CANCELLED', 'BACKEND_FAILED', 'BACKEND_TIMEOUT', 'OTHER'];
  expect(open.filter(neverRan)).toEqual([]);
});

test('a reset carries words for people, cut at their limit, and words that are no text are dropped', () => {
  expect(decodeReset(encodeReset(65))).toEqual({ code: 65, words: '' });
  expect(decodeReset(encodeReset(65, 'the path is too long'))).toEqual({ code: 65, words: 'the path is too long' });
  expect(decodeReset(encodeReset(65, 'x'.repeat(1_000))).words).toBe('x'.repeat(MAX_RESET_WORDS_BYTES));
  expect(decodeReset(Uint8Array.of(0, 65, 0xff))).toEqual({ code: 65, words: '' });
});

test.each([
  [0, false],
  [1, false],
  [2, true],
  [2 + MAX_RESET_WORDS_BYTES, true],
  [3 + MAX_RESET_WORDS_BYTES, false],
])('a RESET of %i bytes is allowed: %s', (length, allowed) => {
  const record = new Uint8Array(8 + length);
  writeFrame(record, 0, { type: FRAME_TYPES.RESET, flags: 0, stream: 1, data: new Uint8Array(length) });
  if (allowed) expect(decodeFrames(record).length).toBe(1);
  else expect(() => decodeFrames(record)).toThrow('wrong length');
});
