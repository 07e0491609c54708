import { effectOn, LeaseClock } from '@sallyport/lease';
import { expect, test } from 'vitest';
import { memoryThrottle } from '../src/index.ts';

function clocks() {
  const time = { wall: 1_000_000, mono: 0 };
  const lease = new LeaseClock({ wallMs: () => time.wall, monotonicMs: () => time.mono });
  const pass = (ms: number): void => {
    time.wall += ms;
    time.mono += ms;
  };
  return { time, lease, pass };
}

test('a lease runs from the send time of its beat, not from the answer', () => {
  const { lease, pass } = clocks();
  expect(lease.live).toBe(false);
  const mark = lease.beatSent();
  pass(10_000);
  lease.granted(mark, 15_000);
  pass(4_999);
  expect(lease.live).toBe(true);
  pass(1);
  expect(lease.live).toBe(false);
});

test('an answer that comes after its own lease gives nothing, and an older one takes nothing away', () => {
  const { lease, pass } = clocks();
  const old = lease.beatSent();
  pass(20_000);
  const fresh = lease.beatSent();
  lease.granted(fresh, 15_000);
  lease.granted(old, 15_000);
  expect(lease.live).toBe(true);
});

test.each([
  ['a suspend', 60_000, 0],
  ['a step forward', 60_000, 0],
  ['a step back', -3_600_000, 0],
  ['a snapshot that resumes', 51, 0],
])('%s drops the lease, and an answer from before it counts for nothing', (_what, wall, mono) => {
  const { lease, time, pass } = clocks();
  lease.granted(lease.beatSent(), 15_000);
  const before = lease.beatSent();
  const generation = lease.generation;
  time.wall += wall;
  time.mono += mono;
  expect(lease.live).toBe(false);
  expect(lease.generation).toBe(generation + 1);
  lease.granted(before, 15_000);
  expect(lease.live).toBe(false);
  pass(1_000);
  lease.granted(lease.beatSent(), 15_000);
  expect(lease.live).toBe(true);
});

test('a suspend is noticed even when the wall clock is set back by as much at the same time', () => {
  const time = { wall: 1_000_000, mono: 0, boot: 500_000 };
  const clocks = { wallMs: () => time.wall, monotonicMs: () => time.mono, bootMs: () => time.boot };
  const lease = new LeaseClock(clocks);
  const pass = (ms: number): void => {
    time.wall += ms;
    time.mono += ms;
    time.boot += ms;
  };
  lease.granted(lease.beatSent(), 15_000);
  pass(1_000);
  expect(lease.live).toBe(true);
  // Suspended for a minute: boot time goes on, the wall clock would too, but is set back by just that minute.
  time.boot += 60_000;
  pass(1);
  expect(lease.live).toBe(false);
});

test('clocks that drift slowly, as they do under NTP, change nothing', () => {
  const { lease, time, pass } = clocks();
  lease.granted(lease.beatSent(), 3_600_000);
  for (let i = 0; i < 600; i++) {
    pass(1_000);
    time.wall += 1;
    expect(lease.live).toBe(true);
  }
});

const GRANT = { sid: 's', installationId: 'i', userId: 'u', sessionCreatedAt: 100, app: 'app@1', generation: 2 };

test.each([
  ['session', 's', 'end'],
  ['session', 'other', undefined],
  ['installation', 'i', 'end'],
  ['user', 'u', 'end'],
  ['user', 'other', undefined],
  ['app', 'app@1', 'end'],
  ['app', 'app@2', undefined],
  ['before', '101', 'end'],
  ['before', '100', undefined],
  ['generation', '3', 'end'],
  ['generation', '2', undefined],
  ['app', 'claimed@7', 'end'],
  ['rights', '*', 'reauthorize'],
  ['rights', 'u', 'reauthorize'],
  ['rights', 'other', undefined],
] as const)('an entry %s %s does: %s', (kind, subject, effect) => {
  expect(effectOn({ kind, subject }, { grant: GRANT, app: 'claimed@7' })).toBe(effect);
});

test('a throttle in memory lets a burst pass, then so many a minute, and forgets old keys', async () => {
  let now = 0;
  const throttle = memoryThrottle({ burst: 3, perMinute: 6, now: () => now, maxKeys: 2 });
  const take = async (...keys: string[]) => {
    const waits: number[] = [];
    for (const key of keys) waits.push(await throttle.take(key));
    return waits;
  };
  expect(await take('a', 'a', 'a', 'a')).toEqual([0, 0, 0, 10_000]);
  expect(await throttle.blockedMs('a')).toBe(10_000);
  expect(await take('b')).toEqual([0]);
  now += 10_000;
  expect(await throttle.blockedMs('a')).toBe(0);
  expect(await take('c', 'd', 'a', 'a', 'a')).toEqual([0, 0, 0, 0, 0]);
});
