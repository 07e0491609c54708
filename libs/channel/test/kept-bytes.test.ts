import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, copyBytes, EMPTY } from '../src/bytes.ts';
import { KeptBytes } from '../src/kept-bytes.ts';

test('what was not taken comes again in front of what is new, and what was taken stays as it was', () => {
  const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.constantFrom(0, 0, 0.5, 1)));
  fc.assert(
    fc.property(pieces, (given) => {
      const kept = new KeptBytes();
      const taken: [Uint8Array, string][] = [];
      let expected: Uint8Array = EMPTY;
      for (const [piece, part] of given) {
        const wasEmpty = kept.empty;
        const lent = copyBytes(piece);
        expected = concat(expected, lent);
        const data = wasEmpty ? lent : kept.with(lent);
        expect(Buffer.from(data).equals(expected)).toBe(true);
        const at = Math.floor(part * data.length);
        const view = data.subarray(0, at);
        kept.keep(data, at);
        if (!wasEmpty) taken.push([view, Buffer.from(view).toString('hex')]);
        lent.fill(0xee);
        expected = copyBytes(expected, at);
        expect(kept.empty).toBe(expected.length === 0);
      }
      for (const [view, was] of taken) expect(Buffer.from(view).toString('hex')).toBe(was);
    }),
  );
});
