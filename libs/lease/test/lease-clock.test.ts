import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LeaseClock, MAX_DRIFT_MS } from '../src/index.ts';

const LEASE_MS = 60_000;

/** Clocks of a process that is paused by `pauses` one after the other, each before one read of any clock. */
class PausingClocks {
  #time = 1_000_000;
  #wallOffset = 1_700_000_000_000.25;
  #suspendedMs = 0;
  #reads = 0;
  readonly pauses: (read: number) => number;
  /** Happens inside of a pause, or before a read without one, so many reads from now. */
  next: { readonly inReads: number; readonly happens: () => void } | undefined;

  constructor(pauses: (read: number) => number) {
    this.pauses = pauses;
  }

  readonly monotonicMs = (): number => this.#read() - this.#suspendedMs;
  readonly wallMs = (): number => Math.floor(this.#read() + this.#wallOffset);
  readonly bootMs = (): number => Math.floor(this.#read() / 10) * 10;

  pass(ms: number): void {
    this.#time += ms;
  }

  step(ms: number): void {
    this.#wallOffset += ms;
  }

  /** Time that the monotonic clock does not count. */
  suspend(ms: number): void {
    this.#time += ms;
    this.#suspendedMs += ms;
  }

  #read(): number {
    const pauseMs = this.pauses(this.#reads++);
    this.#time += 0.001 + pauseMs / 2;
    this.#happen();
    this.#time += pauseMs / 2;
    return this.#time;
  }

  #happen(): void {
    const { inReads, happens } = this.next ?? { inReads: 1 };
    this.next = happens && inReads > 0 ? { inReads: inReads - 1, happens } : undefined;
    if (inReads === 0) happens?.();
  }
}

/** Pauses as a quota gives them: at most one among so many reads, at any of them, of any length. */
function sparePauses() {
  return fc
    .record({ lengths: fc.array(fc.nat(5_000), { minLength: 1 }), at: fc.array(fc.nat(15), { minLength: 1 }) })
    .map(({ lengths, at }) => (read: number): number => {
      const round = Math.floor(read / 16);
      return read % 16 === at[round % at.length] ? lengths[round % lengths.length]! : 0;
    });
}

/** A second in the life of a Proxy: beats, asks, and lets time pass. */
function live(lease: LeaseClock, clocks: PausingClocks): boolean {
  lease.granted(lease.beatSent(), LEASE_MS);
  const lives = [lease.live, lease.live, lease.live];
  clocks.pass(20);
  return !lives.includes(false);
}

test('no pause of the process, wherever it falls and however long it is, looks like a drift', () => {
  fc.assert(
    fc.property(sparePauses(), fc.integer({ min: -1, max: 1 }), (pauses, slew) => {
      const clocks = new PausingClocks(pauses);
      const lease = new LeaseClock(clocks);
      for (let i = 0; i < 100; i++) {
        expect(live(lease, clocks)).toBe(true);
        clocks.step(slew);
      }
      expect(lease.generation).toBe(0);
    }),
  );
});

test('a step or a suspend is caught at the next question, whichever pause hides it', () => {
  const change = fc.oneof(
    fc.record({ kind: fc.constant('step' as const), ms: fc.integer({ min: MAX_DRIFT_MS + 1, max: 90_000 }) }),
    fc.record({ kind: fc.constant('step' as const), ms: fc.integer({ min: -90_000, max: -MAX_DRIFT_MS - 1 }) }),
    fc.record({ kind: fc.constant('suspend' as const), ms: fc.integer({ min: MAX_DRIFT_MS + 1, max: 90_000 }) }),
  );
  fc.assert(
    fc.property(sparePauses(), change, fc.nat(20), (pauses, { kind, ms }, inReads) => {
      const clocks = new PausingClocks(pauses);
      const lease = new LeaseClock(clocks);
      for (let i = 0; i < 5; i++) live(lease, clocks);
      const before = lease.beatSent();
      clocks.next = { inReads, happens: () => (kind === 'step' ? clocks.step(ms) : clocks.suspend(ms)) };
      while (clocks.next) lease.granted(before, LEASE_MS);
      expect(lease.live).toBe(false);
      expect(lease.generation).toBeGreaterThan(0);
      lease.granted(before, LEASE_MS);
      expect(lease.live).toBe(false);
      clocks.pass(1_000);
      expect(live(lease, clocks)).toBe(true);
    }),
  );
});

test('a suspend is caught in a pause while the wall clock is set back by as much', () => {
  fc.assert(
    fc.property(sparePauses(), fc.integer({ min: 61, max: 90_000 }), fc.nat(20), (pauses, ms, inReads) => {
      const clocks = new PausingClocks(pauses);
      const lease = new LeaseClock(clocks);
      for (let i = 0; i < 5; i++) live(lease, clocks);
      const happens = (): void => {
        clocks.suspend(ms);
        clocks.step(-ms);
      };
      clocks.next = { inReads, happens };
      while (clocks.next) lease.generation;
      expect(lease.live).toBe(false);
    }),
  );
});

test('one suspend that two clocks show drops the channels once', () => {
  const clocks = new PausingClocks(() => 0);
  const turn: (() => void)[] = [];
  const lease = new LeaseClock(Object.assign(clocks, { nextTurn: (begin: () => void) => turn.push(begin) }));
  expect(live(lease, clocks)).toBe(true);
  clocks.suspend(60_000);
  expect(lease.live).toBe(false);
  for (const begin of turn.splice(0)) begin();
  expect(lease.generation).toBe(1);
});

test('while every reading is paused nothing is live; after a second of that all is dropped, once', () => {
  let pauseMs = 0;
  const clocks = new PausingClocks(() => pauseMs);
  const lease = new LeaseClock(clocks);
  expect(live(lease, clocks)).toBe(true);
  const before = lease.beatSent();
  pauseMs = 60;
  expect(lease.live).toBe(false);
  pauseMs = 0;
  expect(lease.live).toBe(true);
  pauseMs = 60;
  for (let i = 0; i < 5; i++) expect(lease.live).toBe(false);
  expect(lease.generation).toBe(1);
  lease.granted(before, LEASE_MS);
  lease.granted(lease.beatSent(), LEASE_MS);
  expect(lease.live).toBe(false);
  pauseMs = 0;
  expect(lease.live).toBe(false);
  expect(live(lease, clocks)).toBe(true);
  expect(lease.generation).toBe(1);
});

test('a small step that hides behind paused readings is caught at the first reading without a pause', () => {
  let pauseMs = 0;
  const clocks = new PausingClocks(() => pauseMs);
  const lease = new LeaseClock(clocks);
  expect(live(lease, clocks)).toBe(true);
  pauseMs = 60;
  clocks.step(80);
  expect(lease.live).toBe(false);
  pauseMs = 0;
  expect(lease.live).toBe(false);
  expect(lease.generation).toBe(1);
});

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
