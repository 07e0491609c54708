import { expect, test } from 'vitest';
import type { PooledCall } from '../src/backend/pooled-call.ts';
import { RequestContent } from '../src/streams/request-content.ts';

/** Content before a gate that is open or not, on a way that has room or not. */
function contentOf() {
  const state = { open: false, room: true, credit: 0 };
  const sent: string[] = [];
  const way = {
    write(bytes: Uint8Array) {
      sent.push(Buffer.from(bytes).toString());
      return state.room;
    },
  } as unknown as PooledCall;
  const content = new RequestContent({
    ask: () => {
      if (state.open) content.pass(way, false);
    },
    credit: (bytes) => {
      state.credit += bytes;
    },
  });
  const add = (...parts: readonly string[]): number => {
    const lent = parts.map((part) => Buffer.from(part));
    for (const part of lent) content.add(part);
    const small = content.settle(state.open);
    // What was lent is used again by whoever lent it.
    for (const part of lent) part.fill('-');
    return small;
  };
  return { state, sent, way, content, add };
}

const LARGE = 'x'.repeat(5_000);

test('content that may go goes at once, small parts of one call together', () => {
  const { state, sent, add } = contentOf();
  state.open = true;
  expect(add('one ', 'two ', 'three')).toBe(3);
  expect(add(LARGE)).toBe(0);
  expect([sent, state.credit]).toEqual([['one two three', LARGE], 13 + LARGE.length]);
});

test('content that may not go waits in order, as it was lent, and its credit waits with it', () => {
  const { state, sent, way, content, add } = contentOf();
  for (const part of ['a', LARGE, 'b']) add(part);
  expect([sent, state.credit]).toEqual([[], 0]);
  state.open = true;
  content.pass(way, false);
  expect([sent.join(''), state.credit]).toEqual([`a${LARGE}b`, LARGE.length + 2]);
});

test('where the backend has no room, small parts wait and credit does, until it has or nothing follows', () => {
  const { state, sent, way, content, add } = contentOf();
  Object.assign(state, { open: true, room: false });
  add('first');
  add('second');
  expect([sent, state.credit]).toEqual([['first'], 0]);
  state.room = true;
  content.room();
  expect([sent, state.credit]).toEqual([['first', 'second'], 11]);
  state.room = false;
  add('third');
  add('last');
  content.pass(way, true);
  expect(sent).toEqual(['first', 'second', 'third', 'last']);
});
