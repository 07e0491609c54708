import type { FarmDevice } from './farm-device.ts';
import { HonestDevice, KINDS, type Kind, nothingSeen } from './honest-devices.ts';
import { answerWith } from './players.ts';

/** What the honest devices are told: to begin, to start counting anew, to say what they saw, to stop. */
export type HonestOrder = { readonly devices: readonly FarmDevice[] } | 'reset' | 'report' | 'stop';

/** What they saw since they were told to count anew. */
export interface HonestReport {
  readonly right: Readonly<Record<Kind, number>>;
  /** Milliseconds: the middle, the 99th percentile, the slowest. */
  readonly latency: Readonly<Record<Kind, readonly [number, number, number]>>;
  readonly wrong: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  readonly channelsLost: number;
  readonly sessionsLost: number;
}

let seen = nothingSeen();
const stopped = new AbortController();
let working: Promise<unknown> = Promise.resolve();

function report(): HonestReport {
  const { right, wrong, failed, channelsLost, sessionsLost } = seen;
  const latency = Object.fromEntries(
    KINDS.map((kind) => {
      const histogram = seen.latency[kind];
      const [p50, p99] = [histogram.percentile(50), histogram.percentile(99)];
      return [kind, [p50 / 1_000, p99 / 1_000, histogram.max / 1_000] as const];
    }),
  ) as unknown as HonestReport['latency'];
  return { right, wrong, failed, channelsLost, sessionsLost, latency };
}

async function begin(devices: readonly FarmDevice[]): Promise<void> {
  const opened = await Promise.all(devices.map((device, i) => HonestDevice.open(device, i, () => seen)));
  working = Promise.all(opened.map((device) => device.work(stopped.signal)));
}

answerWith(async (order: HonestOrder) => {
  if (order === 'report') return report();
  if (order === 'reset') seen = nothingSeen();
  else if (order === 'stop') {
    stopped.abort();
    await working;
  } else await begin(order.devices);
  return 'done';
});
