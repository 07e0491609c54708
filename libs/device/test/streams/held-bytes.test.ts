import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeldBytes } from '../../src/streams/held-bytes.ts';

test('gives what came, in order and once', () => {
  const steps = fc.array(fc.oneof(fc.uint8Array({ maxLength: 6_000 }), fc.constant('take' as const)));
  fc.assert(
    fc.property(steps, (given) => {
      const held = new HeldBytes();
      let expected: number[] = [];
      for (const step of given) {
        if (step !== 'take') {
          const lent = Uint8Array.from(step);
          held.add(lent);
          lent.fill(0xee);
          expected.push(...step);
        } else {
          const taken = held.take();
          expect([...(taken ?? [])]).toEqual(expected);
          expect(taken?.length).not.toBe(0);
          expected = [];
        }
        expect(held.length).toBe(expected.length);
      }
    }),
  );
});

test('thousands of small pieces lie in few pieces of memory', () => {
  const held = new HeldBytes();
  const memories = new Set<ArrayBufferLike>();
  const piece = Uint8Array.of(1);
  for (let i = 0; i < 20_000; i++) {
    held.add(piece);
    const taken = i % 1_000 === 0 ? held.take() : undefined;
    if (taken) memories.add(taken.buffer);
  }
  expect(memories.size).toBe(20);
  expect(held.take()!.buffer.byteLength).toBeLessThan(4_097);
});
