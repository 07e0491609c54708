import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairQueue, mayHaveMore, type SessionClaim, type UserClaim } from '../src/backend/fair-queue.ts';

const user = (): UserClaim => ({ held: 0, dialling: 0, waiting: 0, waitingSessions: [] });
const session = (of: UserClaim): SessionClaim<string> => ({ held: 0, dialling: 0, inTurn: 0, user: of, items: [] });
const all = (): boolean => true;

test('users have turns, and the sessions of a user among themselves', () => {
  const queue = new FairQueue<string>();
  const [ada, bob] = [user(), user()];
  const [a1, a2, b1] = [session(ada), session(ada), session(bob)];
  for (let i = 1; i <= 9; i++) queue.push(a1, `a1-${i}`);
  queue.push(a2, 'a2-1');
  for (let i = 1; i <= 6; i++) queue.push(b1, `b1-${i}`);
  const taken = Array.from({ length: 17 }, () => queue.take(all));
  const turns = [
    ['a1-1', 'a1-2', 'a1-3', 'a1-4'],
    ['b1-1', 'b1-2', 'b1-3', 'b1-4'],
    ['a2-1'],
    ['b1-5', 'b1-6'],
    ['a1-5', 'a1-6', 'a1-7', 'a1-8'],
    ['a1-9'],
  ];
  expect(taken).toEqual([...turns.flat(), undefined]);
  expect([queue.size, queue.users]).toEqual([0, 0]);
});

test('who may not have more is passed over, and keeps its place', () => {
  const queue = new FairQueue<string>();
  const [a, b] = [session(user()), session(user())];
  queue.push(a, 'a');
  queue.push(b, 'b');
  expect(queue.find((claim) => claim === b)).toBe(b);
  expect(queue.take((claim) => claim === b)).toBe('b');
  expect(queue.take((claim) => claim === b)).toBeUndefined();
  expect(queue.take(all)).toBe('a');
});

test('a turn goes on where it was interrupted, and ends for all the others', () => {
  const queue = new FairQueue<string>();
  const [a, b, c] = [session(user()), session(user()), session(user())];
  for (const [claim, name] of [
    [a, 'a'],
    [b, 'b'],
    [c, 'c'],
  ] as const)
    for (let i = 1; i <= 8; i++) queue.push(claim, `${name}${i}`);
  const taken: (string | undefined)[] = [];
  // Two who take turns at the head, one of them by one, still come to their ends.
  for (let i = 0; i < 7; i++) taken.push(queue.take((claim) => claim !== (i % 2 ? a : b)));
  taken.push(queue.take(all));
  expect(taken).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'b4']);
  expect(queue.take(all)).toBe('c1');
});

test('what is given up leaves no trace', () => {
  const queue = new FairQueue<string>();
  const a = session(user());
  queue.push(a, 'one');
  queue.push(a, 'two');
  expect(queue.remove(a, 'one')).toBe(true);
  expect(queue.remove(a, 'one')).toBe(false);
  expect([...queue]).toEqual(['two']);
  expect(queue.remove(a, 'two')).toBe(true);
  expect([queue.size, queue.users, queue.take(all)]).toEqual([0, 0, undefined]);
});

test('alone a session has at most a quarter of a pool and a user half of it; whoever comes new finds something free', () => {
  const POOL = 256;
  const run = fc.property(fc.array(fc.nat(2), { minLength: 1, maxLength: 24 }), (owners) => {
    const users = [user(), user(), user()];
    const sessions = owners.map((owner) => session(users[owner]!));
    let busy = 0;
    for (let moved = true; moved; ) {
      moved = false;
      for (const claim of sessions) {
        if (!mayHaveMore(claim, POOL - busy)) continue;
        claim.held += 1;
        claim.user.held += 1;
        busy += 1;
        moved = true;
      }
    }
    for (const { held } of sessions) expect(held).toBeLessThanOrEqual(POOL / 4);
    for (const { held } of users) expect(held).toBeLessThanOrEqual(POOL / 2);
    expect(mayHaveMore(session(user()), POOL - busy)).toBe(true);
  });
  fc.assert(run);
});
