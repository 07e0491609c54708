import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeResponse,
  encodeResponseHead,
  type Field,
} from '../src/binary-http.ts';
import { concat, copyBytes, formatHex } from '../src/bytes.ts';
import { type HttpDecoder, type MessageSink, requestDecoder, responseDecoder } from '../src/http-decoder.ts';
import { slowRequestDecoder, slowResponseDecoder } from './slow-http-decoder.ts';

const fields = fc.array(fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), fc.stringMatching(/^[ -~]{0,40}$/)), {
  maxLength: 5,
}) as fc.Arbitrary<Field[]>;
const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 4 });
const content = (parts: readonly Uint8Array[]): Uint8Array =>
  concat(...parts.flatMap((part) => [encodeChunkPrefix(part.length), part]));

/** Everything that a decoder says of bytes that come in pieces, as one text; content is joined. */
function told(decoderOf: (sink: MessageSink<never>) => HttpDecoder, pieces: readonly Uint8Array[]): string {
  const said: string[] = [];
  let body = '';
  const say = (what: string) => (value: unknown) => {
    said.push(`${body}|${what}${JSON.stringify(value)}`);
    body = '';
  };
  const decoder = decoderOf({
    informational: say('informational'),
    head: say('head'),
    content: (bytes) => {
      body += formatHex(bytes);
    },
    trailers: say('trailers'),
  });
  try {
    for (const piece of pieces) {
      const lent = copyBytes(piece);
      decoder.push(lent);
      // The decoder must not keep what it was lent.
      lent.fill(0xee);
    }
    decoder.finish();
    said.push(`${body}|finished`);
  } catch (error) {
    said.push(`${body}|${(error as Error).message}`);
  }
  return said.join('\n');
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, i) => bytes.subarray(start, at[i] ?? bytes.length));
}

/** A message, perhaps with bytes changed, inserted or cut off, in pieces. */
const damaged = (message: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array[]> =>
  fc
    .tuple(
      message,
      fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 2 }),
      fc.oneof(fc.constant(2 ** 20), fc.nat(400)),
      fc.uint8Array({ maxLength: 3 }),
      fc.array(fc.nat(2_000), { maxLength: 6 }),
    )
    .map(([bytes, changes, length, padding, cuts]) => {
      const changed = copyBytes(bytes);
      for (const [at, value] of changes) changed[at % changed.length] = value;
      return split(concat(changed.subarray(0, length), padding), cuts);
    });

const request = fc
  .tuple(fc.constantFrom('GET', 'POST'), fc.webPath(), fields, chunks, fields)
  .map(([method, path, head, parts, trailers]) =>
    concat(
      encodeRequestHead({ method, scheme: 'https', authority: 'wiki.corp', path, fields: head }),
      content(parts),
      encodeMessageEnd(trailers),
    ),
  );
const response = fc
  .tuple(fc.integer({ min: 200, max: 599 }), fields, fc.array(fields, { maxLength: 3 }), chunks, fields)
  .map(([status, head, informational, parts, trailers]) =>
    concat(
      encodeResponseHead(
        { status, fields: head },
        informational.map((one) => ({ status: 103, fields: one })),
      ),
      content(parts),
      encodeMessageEnd(trailers),
    ),
  );

test('the fast decoder of requests says what its readable twin says, of good and of damaged bytes', () => {
  fc.assert(
    fc.property(damaged(request), (pieces) => {
      expect(told(requestDecoder, pieces)).toBe(told(slowRequestDecoder, pieces));
    }),
    { numRuns: 5_000 },
  );
});

test('the fast decoder of responses says what its readable twin says, of good and of damaged bytes', () => {
  fc.assert(
    fc.property(damaged(response), (pieces) => {
      expect(told(responseDecoder, pieces)).toBe(told(slowResponseDecoder, pieces));
    }),
    { numRuns: 5_000 },
  );
});

test('a response in one piece is byte for byte the same as its parts', () => {
  fc.assert(
    fc.property(fields, fc.uint8Array({ maxLength: 20_000 }), (head, bytes) => {
      const parts = bytes.length === 0 ? [] : [encodeChunkPrefix(bytes.length), bytes];
      const apart = concat(encodeResponseHead({ status: 200, fields: head }), ...parts, encodeMessageEnd());
      expect(formatHex(encodeResponse({ status: 200, fields: head }, bytes))).toBe(formatHex(apart));
    }),
  );
});
