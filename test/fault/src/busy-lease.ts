import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LeaseClock } from '@sallyport/lease';
import { processClocks } from '@sallyport/security-client';
import { randomFrom } from '@sallyport/support';

// A process of its own: the lease of a Proxy that never rests, on the clocks of the machine. A second thread moves the wall
// clock and the time since boot at any moment, also between two reads. Started by the scenario `quota`.

const LEASE_MS = 15_000;
const BEAT_MS = 1_000;
const REST_MS = 3_000;
const STEPS_EVERY_MS = 4_000;
/** A run ends with no fewer: with hardly any CPU the thread that moves the clocks may not get to them for long. */
const STEPS_AT_LEAST = 2;
const LATEST_END_MS = 90_000;
const CATCH_WITHIN_MS = 30_000;
const ASKS_PER_TURN = 20;
const SPIN = 2_000;

/** What was found, to the parent at the end. */
export interface BusyLease {
  readonly asks: number;
  /** Gaps between two asks of more than the drift that is allowed. */
  readonly pauses: number;
  readonly longestPauseMs: number;
  readonly steps: number;
  /** Steps after which no generation began. */
  readonly missed: number;
  readonly generations: number;
  /** Asks that were answered with no although beats went on and no clock had been moved. */
  readonly refusedAsks: number;
}

/** Moved by one thread, read by the other. */
const WALL = 0;
const BOOT = 1;
const STEPS = 2;
const MISSED = 3;
const GENERATION = 4;
const WORDS = 5;

if (isMainThread) run();
else void moveClocks(new Int32Array(workerData.shared as SharedArrayBuffer), workerData.seed as number);

function run(): void {
  const [minutes, seed] = [Number(process.argv[2]), Number(process.argv[3])];
  const shared = new SharedArrayBuffer(4 * WORDS);
  const moved = new Int32Array(shared);
  const real = processClocks();
  const lease = new LeaseClock({
    ...real,
    wallMs: () => real.wallMs() + Atomics.load(moved, WALL),
    bootMs: () => real.bootMs!() + Atomics.load(moved, BOOT),
  });
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared, seed } });
  const found = { asks: 0, pauses: 0, longestPauseMs: 0, refusedAsks: 0 };
  let beatAt = Number.NEGATIVE_INFINITY;
  let [askedAt, endsAt] = [0, 0];
  const ask = (steps: number): void => {
    const live = lease.live;
    const now = performance.now();
    found.asks += 1;
    found.longestPauseMs = Math.max(found.longestPauseMs, now - askedAt);
    if (now - askedAt > 50) found.pauses += 1;
    askedAt = now;
    const caught = Atomics.load(moved, GENERATION) + Atomics.load(moved, MISSED);
    if (!live && steps === Atomics.load(moved, STEPS) && caught === steps && now - beatAt < LEASE_MS)
      found.refusedAsks += 1;
  };
  const turn = (): void => {
    const steps = Atomics.load(moved, STEPS);
    const generation = lease.generation;
    if (performance.now() - beatAt > BEAT_MS || generation !== Atomics.load(moved, GENERATION)) {
      lease.granted(lease.beatSent(), LEASE_MS);
      beatAt = performance.now();
    }
    Atomics.store(moved, GENERATION, generation);
    for (let i = 0; i < ASKS_PER_TURN; i++) {
      ask(steps);
      for (let spin = 0; spin < SPIN; spin++) Math.sqrt(spin);
    }
    if (goesOn()) return void setImmediate(turn);
    void worker.terminate().then(report);
  };
  const goesOn = (): boolean => {
    const now = performance.now();
    const seen = Atomics.load(moved, GENERATION) + Atomics.load(moved, MISSED);
    return now < endsAt || (seen < STEPS_AT_LEAST && now < endsAt + LATEST_END_MS);
  };
  const begin = (): void => {
    askedAt = performance.now();
    endsAt = askedAt + minutes * 60_000;
    worker.postMessage('go');
    turn();
  };
  const report = (): void => {
    const generations = lease.generation;
    const result: BusyLease = { ...found, steps: moved[STEPS]!, missed: moved[MISSED]!, generations };
    process.send?.(result, undefined, undefined, () => process.exit());
  };
  process.once('message', begin);
  worker.once('message', () => process.send?.('ready'));
}

/** Steps one clock after the other by more than is allowed, and waits each time until it was noticed. */
async function moveClocks(moved: Int32Array, seed: number): Promise<never> {
  const random = randomFrom(seed);
  const told = once(parentPort!, 'message');
  parentPort!.postMessage('ready');
  await told;
  for (;;) {
    await sleep(REST_MS + STEPS_EVERY_MS * random());
    const before = Atomics.load(moved, GENERATION);
    const ms = 65 + Math.floor(random() * 2_000);
    const back = random() < 0.3;
    Atomics.add(moved, STEPS, 1);
    if (random() < 0.4) Atomics.add(moved, BOOT, ms);
    else Atomics.add(moved, WALL, back ? -ms : ms);
    const deadline = performance.now() + CATCH_WITHIN_MS;
    while (Atomics.load(moved, GENERATION) === before && performance.now() < deadline) await sleep(20);
    if (Atomics.load(moved, GENERATION) === before) Atomics.add(moved, MISSED, 1);
  }
}
