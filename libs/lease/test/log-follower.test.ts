import { nodeCrypto } from '@sallyport/channel/node';
import type { Beat, BeatAnswer, RevocationEntry, RevocationKind } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { type AnewReason, entryHash, LogFollower } from '../src/index.ts';

const crypto = nodeCrypto();
const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
const LEASE_MS = 15_000;

/** A log as a database holds it. */
function logOf(epoch: string, subjects: readonly string[], kind: RevocationKind = 'user') {
  const entries: RevocationEntry[] = [];
  let hash = '';
  for (const [i, subject] of subjects.entries()) {
    const unhashed = { index: i + 1, kind, subject, at: 0, salt: epoch };
    hash = entryHash(crypto, hash, unhashed);
    entries.push({ ...unhashed, hash });
  }
  const hashAt = (index: number): string => entries[index - 1]?.hash ?? '';
  const head = entries.length;
  const answer = ({ id, seen, epoch: followed }: Beat): BeatAnswer => {
    const missing = followed === undefined ? [] : entries.slice(seen);
    return { type: 'lease', id, epoch, head, headHash: hashAt(head), leaseMs: LEASE_MS, entries: missing };
  };
  const push = (after: number) =>
    ({ type: 'push', epoch, after, afterHash: hashAt(after), entries: entries.slice(after) }) as const;
  return { answer, push, entries };
}

function follower(witness?: string) {
  const time = { mono: 0, wall: 1_000 };
  const applied: string[] = [];
  const anew: AnewReason[] = [];
  const kept: string[] = [];
  const reading = { done: Number.POSITIVE_INFINITY };
  const follower = new LogFollower({
    clocks: { monotonicMs: () => time.mono, wallMs: () => time.wall },
    crypto,
    witness,
    listener: {
      witnessed: (text) => void kept.push(text),
      apply: ({ subject }) => void applied.push(subject),
      anew: (reason) => void anew.push(reason),
      done: (seen) => Math.min(seen, reading.done),
      channelCount: () => 0,
    },
  });
  return { follower, time, applied, anew, reading, kept };
}

const grantAt = (epoch: string, asOf: number) => ({
  grant: { epoch, asOf, sid: 's', installationId: 'i', userId: 'u', sessionCreatedAt: 0, app: 'a@1', generation: 0 },
  app: 'a@1',
  asOfHash: undefined,
});

test('the first answer gives place and lease; what comes later is applied once and in order', () => {
  const { follower: proxy, applied } = follower();
  const beat = proxy.beat();
  expect(beat).toMatchObject({ seen: 0, hash: '', done: 0 });
  expect(beat).not.toHaveProperty('epoch');
  proxy.receive(logOf(ONE, ['a']).answer(beat));
  expect(proxy.lease.live).toBe(true);
  const log = logOf(ONE, ['a', 'b', 'c']);
  const next = proxy.beat();
  expect(next).toMatchObject({ epoch: ONE, seen: 1, done: 1, hash: log.entries[0]!.hash });
  expect(proxy.receive(log.push(1))).toBe(true);
  expect(proxy.receive(log.push(1))).toBe(true);
  expect(proxy.receive(log.answer(next))).toBe(false);
  expect(applied).toEqual(['b', 'c']);
});

test('a push of which the beginning is known counts; one with a gap, or of another log, does not', () => {
  const { follower: proxy, applied } = follower();
  proxy.receive(logOf(ONE, ['a']).answer(proxy.beat()));
  expect(proxy.receive(logOf(ONE, ['a', 'b', 'c']).push(2))).toBe(false);
  expect(proxy.receive(logOf(TWO, ['a', 'b']).push(1))).toBe(false);
  expect(applied).toEqual([]);
  proxy.receive(logOf(ONE, ['a', 'b']).push(0));
  expect(applied).toEqual(['b']);
});

test('"begin anew" drops lease and place at once, and only a fresh answer gives them back', () => {
  const { follower: proxy, anew } = follower();
  proxy.receive(logOf(ONE, ['a', 'b']).answer(proxy.beat()));
  const late = proxy.beat();
  const beat = proxy.beat();
  expect(proxy.receive({ type: 'anew', id: beat.id, epoch: TWO, supersedes: true })).toBe(true);
  expect(anew).toEqual(['replaced']);
  expect(proxy.lease.live).toBe(false);
  expect(proxy.judge(grantAt(ONE, 2))).toBe('stale');
  // Answers to beats of before say nothing any more, whatever they say.
  proxy.receive(logOf(ONE, ['a', 'b', 'c']).answer(late));
  proxy.receive({ type: 'anew', id: late.id, epoch: TWO, supersedes: true });
  expect(proxy.lease.live).toBe(false);
  expect(anew).toHaveLength(1);
  const fresh = proxy.beat();
  expect(fresh).toMatchObject({ after: ONE, seen: 0, done: 0, hash: '' });
  proxy.receive(logOf(TWO, ['x']).push(0));
  proxy.receive(logOf(TWO, ['x']).answer(fresh));
  expect(proxy).toMatchObject({ epoch: TWO, seen: 1 });
  expect(proxy.lease.live).toBe(true);
});

test('a grant of another epoch is stale, also when its index is that of the log that is followed', () => {
  const { follower: proxy } = follower();
  proxy.receive(logOf(TWO, ['u']).answer(proxy.beat()));
  expect(proxy.judge(grantAt(ONE, 1))).toBe('stale');
  expect(proxy.judge(grantAt(TWO, 1))).toBe('current');
});

test('a restored log of the same length is another one: its entries do not follow, and nothing is served on it', () => {
  const { follower: proxy, applied } = follower();
  proxy.receive(logOf(ONE, ['a', 'b']).answer(proxy.beat()));
  // Same epoch, because somebody restored the database by hand.
  proxy.receive(logOf(ONE, ['a', 'x', 'y']).answer(proxy.beat()));
  expect(applied).toEqual([]);
  expect(proxy).toMatchObject({ epoch: undefined });
  expect(proxy.lease.live).toBe(false);
});

test('a grant that was read in a log which went back meanwhile is stale, whatever its index', () => {
  const { follower: proxy } = follower();
  const log = logOf(ONE, ['a', 'b', 'c']);
  const lost = logOf(ONE, ['a', 'x', 'y', 'z']);
  const hashAt = ({ entries }: typeof log, index: number) => entries[index - 1]?.hash ?? '';
  const judged = (of: typeof log, asOf: number) => proxy.judge({ ...grantAt(ONE, asOf), asOfHash: hashAt(of, asOf) });
  proxy.receive(logOf(ONE, ['a']).answer(proxy.beat()));
  proxy.receive(log.push(1));
  expect([1, 2, 3].map((asOf) => judged(log, asOf))).toEqual(['current', 'current', 'current']);
  expect([2, 3].map((asOf) => judged(lost, asOf))).toEqual(['stale', 'stale']);
  // Whether that log holds what was applied here shows only when its entry is here, too.
  expect(judged(lost, 4)).toBe('stale');
  const longer = logOf(ONE, ['a', 'b', 'c', 'd']);
  expect(judged(longer, 4)).toBe('stale');
  proxy.receive(longer.push(3));
  expect(judged(longer, 4)).toBe('current');
  // Nodes of the version before name no hash.
  expect(proxy.judge(grantAt(ONE, 2))).toBe('current');
});

test('what is no longer kept is forgotten together with its place: honest answers and grants go on', () => {
  const { follower: proxy, anew } = follower();
  const log = logOf(
    ONE,
    Array.from({ length: 20_050 }, (_, i) => `s${i}`),
  );
  proxy.receive(logOf(ONE, []).answer(proxy.beat()));
  const late = proxy.beat();
  proxy.receive(log.push(0));
  const judged = (asOf: number) => proxy.judge({ ...grantAt(ONE, asOf), asOfHash: log.entries[asOf - 1]!.hash });
  expect([1, 10_000, 10_050, 20_050].map(judged)).toEqual(['stale', 'stale', 'current', 'current']);
  expect(proxy.judge({ ...grantAt(ONE, 20_000), asOfHash: 'f'.repeat(64) })).toBe('stale');
  proxy.receive(log.answer(late));
  expect(anew).toEqual([]);
  expect(proxy.lease.live).toBe(true);
});

test.each([
  ['as long', ['a', 'x', 'y'], 3],
  ['shorter', ['a', 'x'], 3],
  ['longer', ['a', 'x', 'y', 'z'], 3],
  ['shorter, with what the Proxy has seen', ['a', 'x'], 1],
])(
  'answers of a log that went back are taken by nobody who has seen another one, when it is %s',
  (_how, subjects, seen) => {
    const { follower: proxy, applied, anew } = follower();
    const log = logOf(ONE, ['a', 'b', 'c']);
    proxy.receive(logOf(ONE, ['a']).answer(proxy.beat()));
    const early = proxy.beat();
    // An answer of before is under way still, and comes first.
    proxy.receive(log.push(1));
    proxy.receive(logOf(ONE, subjects).answer({ ...early, seen }));
    expect(applied).toEqual(['b', 'c']);
    expect(anew).toEqual(['replaced']);
    expect(proxy.lease.live).toBe(false);
  },
);

test('an answer that is late, of the same log, gives a lease; one from before the beginning gives none', () => {
  const { follower: proxy, anew } = follower();
  const [first, second] = [proxy.beat(), proxy.beat()];
  proxy.receive(logOf(ONE, ['a', 'b']).answer(first));
  proxy.lease.drop();
  proxy.receive(logOf(ONE, ['a']).answer(second));
  expect(proxy.lease.live).toBe(false);
  const third = proxy.beat();
  proxy.receive(logOf(ONE, ['a', 'b', 'c']).push(2));
  proxy.receive(logOf(ONE, ['a', 'b']).answer(third));
  expect(proxy.lease.live).toBe(true);
  expect(anew).toEqual([]);
});

test('an epoch that takes the place of none that was followed is another database: no answer of it counts', () => {
  const { follower: proxy, anew } = follower();
  proxy.receive(logOf(ONE, []).answer(proxy.beat()));
  expect(proxy.receive({ type: 'anew', id: proxy.beat().id, epoch: TWO, supersedes: false })).toBe(false);
  expect(anew).toEqual(['two databases']);
  expect(proxy.beat()).toMatchObject({ after: ONE });
});

test('what is in force is told apart from what was seen', () => {
  const { follower: proxy, reading } = follower();
  proxy.receive(logOf(ONE, ['a']).answer(proxy.beat()));
  reading.done = 1;
  proxy.receive(logOf(ONE, ['a', '*']).push(1));
  expect(proxy.beat()).toMatchObject({ seen: 2, done: 1 });
  reading.done = Number.POSITIVE_INFINITY;
  expect(proxy.beat()).toMatchObject({ seen: 2, done: 2 });
});

test('a process that was suspended or copied is another instance, and follows nothing', () => {
  const { follower: proxy, time, anew } = follower();
  const before = proxy.beat();
  proxy.receive(logOf(ONE, ['a']).answer(before));
  time.wall += 60_000;
  const after = proxy.beat();
  expect(after.instance).not.toBe(before.instance);
  expect(after).toMatchObject({ after: ONE, seen: 0 });
  expect(anew).toEqual(['drift']);
  expect(follower().follower.instance).not.toBe(follower().follower.instance);
});

test('an answer that does not reach the head of its log gives no lease: what it names has to be applied first', () => {
  const { follower: proxy, time } = follower();
  proxy.receive(logOf(ONE, ['a']).answer(proxy.beat()));
  time.mono += LEASE_MS;
  time.wall += LEASE_MS;
  expect(proxy.lease.live).toBe(false);
  const log = logOf(ONE, ['a', 'b', 'c', 'd']);
  const whole = log.answer(proxy.beat());
  proxy.receive({ ...whole, entries: whole.entries.slice(0, 2) });
  expect(proxy.lease.live).toBe(false);
  proxy.receive(log.answer(proxy.beat()));
  expect(proxy.lease.live).toBe(true);
});

test('what Security said of its database is kept, and shown to each node until it has answered', () => {
  const { follower: proxy, kept } = follower('from.before');
  const log = logOf(ONE, ['a']);
  const first = proxy.beat();
  const second = proxy.beat();
  expect([first.witness, second.witness]).toEqual(['from.before', 'from.before']);
  proxy.receive({ ...log.answer(second), witness: 'of.one' });
  expect(kept).toEqual(['of.one']);
  expect(proxy.beat()).not.toHaveProperty('witness');
  proxy.receive({ ...log.answer(proxy.beat()), witness: 'of.one' });
  expect(kept).toEqual(['of.one']);
  proxy.disconnected();
  const again = proxy.beat();
  expect(again.witness).toBe('of.one');
  // A node that sends it away hears it with the fresh beat: perhaps it is its database that went back.
  proxy.receive({ type: 'anew', id: again.id, epoch: ONE, supersedes: true });
  expect(proxy.beat()).toMatchObject({ witness: 'of.one', seen: 0 });
});

test('an answer that counts for nothing says nothing of the database', () => {
  const { follower: proxy, kept } = follower();
  const late = proxy.beat();
  proxy.receive(logOf(ONE, []).answer(proxy.beat()));
  proxy.receive({ ...logOf(ONE, []).answer(late), witness: 'of.late' });
  proxy.receive({ ...logOf(TWO, []).answer(proxy.beat()), epoch: TWO, witness: 'of.two' });
  expect(kept).toEqual([]);
  expect(proxy.beat()).not.toHaveProperty('witness');
});
