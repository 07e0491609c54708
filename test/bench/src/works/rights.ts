import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../load/worker.ts';
import { type Bench, cpuOf, type Line, type Measured, sharesOf, type Work } from '../work.ts';

const CHANNELS = 5_000;
/** Each of them asks once in ten seconds. */
const ASKS_PER_CHANNEL_SECOND = 0.1;
const WATCH_MS = 20_000;
const CHANGE_AFTER_MS = 2_000;

type Figure = 'cpu' | 'inForce' | 'slowest' | 'ended';

/** Everybody's rights change while all of them go on asking. */
async function measure(bench: Bench): Promise<Record<Figure, Measured>> {
  const { gateway, load, scale } = bench;
  const subject = gateway.subject(1);
  const count = Math.round(CHANNELS * scale);
  await gateway.operator.call('PUT', '/v1/groups/guests');
  await load.open(gateway.lanes(await gateway.sessions(count), 1));
  await load.watchEnd();
  const traffic = (): Promise<Outcome> => load.paced(count * ASKS_PER_CHANNEL_SECOND, WATCH_MS);
  const without = await cpuOf(subject, traffic);
  let inForceMs = 0;
  const changed = await cpuOf(subject, async () => {
    const asked = traffic();
    await sleep(CHANGE_AFTER_MS);
    inForceMs = await everybodysRightsChange(bench);
    return asked;
  });
  const closedAt = performance.timeOrigin + performance.now();
  const ended = (await load.close()).ends.filter((at) => at < closedAt).length;
  const parts = Object.entries(changed.parts).map(([name, micros]) => [name, micros - without.parts[name]!]);
  const at = (outcome: Outcome, percent: number): string =>
    `${(outcome.latency.percentile(percent) / 1_000).toFixed(0)}`;
  const latencies = `p99 ${at(changed.result, 99)} ms, without a change ${at(without.result, 99)}`;
  const problems = Object.entries(changed.result.problems).map(([name, requests]) => `, ${name} ${requests}`);
  return {
    cpu: {
      value: (changed.cpuMicros - without.cpuMicros) / count,
      note: `${count} channels${sharesOf(Object.fromEntries(parts), count)}`,
    },
    inForce: { value: inForceMs, note: 'until the change was answered' },
    slowest: { value: changed.result.latency.max / 1_000, note: latencies },
    ended: { value: ended, note: `of ${count}; ${changed.result.done} requests were answered${problems.join('')}` },
  };
}

/** A policy that all have by their group is one of another group, too. Gives how long that took, ms. */
async function everybodysRightsChange({ gateway }: Bench): Promise<number> {
  const from = performance.now();
  const policy = { groups: ['staff', 'guests'], resources: ['wiki'], context: {} };
  await gateway.operator.call('PUT', '/v1/policies/wiki', policy);
  return performance.now() - from;
}

/** W12: what it costs that everybody's rights change, and who notices. */
export const rights: Work = {
  name: 'W12',
  title: 'Rights of everybody change',
  once: true,
  goals: [],
  lines(bench) {
    let measured: ReturnType<typeof measure> | undefined;
    const once = (): ReturnType<typeof measure> => {
      measured ??= measure(bench);
      return measured;
    };
    const subject = bench.gateway.subject(1).name;
    const line = (variant: string, unit: string, figure: Figure): Line => ({
      subject,
      variant,
      unit,
      measure: async () => (await once())[figure],
    });
    return [
      line('channels that ended', 'channels', 'ended'),
      line('CPU', 'CPU µs of all a channel', 'cpu'),
      line('in force', 'ms', 'inForce'),
      line('slowest request', 'ms', 'slowest'),
    ];
  },
};
