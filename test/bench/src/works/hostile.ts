import { setTimeout as sleep } from 'node:timers/promises';
import { ChannelLane } from '../load/channel-lane.ts';
import { HostileLane, type Hostility, ON_CHANNELS } from '../load/hostile-lane.ts';
import type { LaneSession } from '../load/lane.ts';
import { PORTS } from '../ports.ts';
import { cpuMicros } from '../processes.ts';
import type { Bench, Line, Measured, Work } from '../work.ts';

const WATCH_MS = 10_000;
/** A record of 64 KiB so often is 1.3 MB a second: what a phone sends. */
const STRIKE_MS = 50;
const ASK_MS = 10;
const READY_TRIES = 100;
const READY_MS = 100;
/** Rules that each look at a stream goes through. */
const POLICIES = 10;
const PATHS_EACH = 20;

const HOSTILITIES: readonly Hostility[] = ['nothing', ...ON_CHANNELS, 'sockets'];

/** Another user's latencies while one session attacks, ms, sorted. */
async function askMeanwhile(lane: ChannelLane, until: number): Promise<number[]> {
  const latencies: number[] = [];
  while (performance.now() < until) {
    const at = performance.now();
    await new Promise<void>((resolve) => lane.get(() => resolve()));
    latencies.push(performance.now() - at);
    await sleep(ASK_MS);
  }
  return latencies.sort((a, b) => a - b);
}

async function strikeMeanwhile(lane: HostileLane, what: Hostility, until: number): Promise<void> {
  while (performance.now() < until) {
    await lane.strike(what);
    await sleep(what === 'sockets' ? 1 : STRIKE_MS);
  }
}

/** A Proxy that just started has no lease for a moment. */
async function openWhenReady(origin: string, session: LaneSession): Promise<ChannelLane> {
  for (let left = READY_TRIES; ; left--) {
    try {
      return await ChannelLane.open(origin, session, 1);
    } catch (error) {
      if (left === 0) throw error;
      await sleep(READY_MS);
    }
  }
}

async function addRules(bench: Bench): Promise<void> {
  for (let i = 0; i < POLICIES; i++) {
    const paths = Array.from({ length: PATHS_EACH }, (_, j) => `/part-${i}-${j}/`);
    const rule = { groups: ['staff'], resources: ['wiki'], context: { minVersion: '0.1' }, paths };
    await bench.gateway.operator
      .call('PUT', `/v1/policies/hostile-${i}`, rule)
      .catch(() => bench.gateway.operator.call('PUT', `/v1/policies/hostile-${i}`, { ...rule, context: {} }));
  }
}

async function measure(bench: Bench, what: Hostility): Promise<Measured> {
  const { gateway, scale } = bench;
  await gateway.restartProxies();
  const origin = `ws://127.0.0.1:${PORTS.proxy}`;
  const [honest, hostile] = await gateway.sessions(2);
  const lane = await openWhenReady(origin, honest!);
  const attacker = new HostileLane(origin, hostile!);
  const [cpuBefore, memoryBefore] = [cpuMicros(gateway.proxyPids), gateway.proxyMiB()];
  const until = performance.now() + WATCH_MS * scale;
  const asking = askMeanwhile(lane, until);
  const striking = strikeMeanwhile(attacker, what, until);
  let peak = memoryBefore;
  while (performance.now() < until) {
    await sleep(250);
    peak = Math.max(peak, gateway.proxyMiB());
  }
  const latencies = await asking;
  await striking;
  const cpu = (cpuMicros(gateway.proxyPids) - cpuBefore) / 10 / (WATCH_MS * scale);
  attacker.end();
  lane.close();
  const at = (part: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))] ?? 0;
  const note = `median ${at(0.5).toFixed(1)}, slowest ${at(1).toFixed(0)} ms; Proxy ${cpu.toFixed(0)} % of a core, +${(peak - memoryBefore).toFixed(0)} MiB; ${attacker.channels} hostile channels`;
  return { value: at(0.99), note };
}

/** What one session can make a Proxy spend, and what another user feels of it. */
export const hostile: Work = {
  name: 'hostile',
  title: 'one hostile session beside one honest device',
  goals: [],
  lines(bench) {
    let ready: Promise<void> | undefined;
    return HOSTILITIES.map(
      (what): Line => ({
        subject: 'Sallyport, ChaChaPoly',
        variant: what,
        unit: 'ms, p99 of the honest device',
        measure: async () => {
          ready ??= addRules(bench);
          await ready;
          return measure(bench, what);
        },
      }),
    );
  },
};
