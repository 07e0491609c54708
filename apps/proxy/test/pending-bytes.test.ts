import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PendingBytes } from '../src/backend/pending-bytes.ts';

test('what was not taken comes again, in front of what is new', () => {
  const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 3_000 }), fc.double({ min: 0, max: 1, noNaN: true })));
  fc.assert(
    fc.property(pieces, (given) => {
      const kept = new PendingBytes();
      let expected = Buffer.alloc(0);
      for (const [piece, part] of given) {
        const lent = Buffer.from(piece);
        expected = Buffer.concat([expected, lent]);
        const data = kept.empty ? lent : kept.with(lent);
        expect(data.equals(expected)).toBe(true);
        const at = Math.floor(part * data.length);
        kept.keep(data, at);
        lent.fill(0xee);
        expected = expected.subarray(at);
        expect(kept.empty).toBe(expected.length === 0);
      }
    }),
  );
});
