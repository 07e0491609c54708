import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Line, Measured, Work } from '../work.ts';

const CHANNELS = 10_000;
const SETTLE_MS = 15_000;
const WATCH_MS = 30_000;
const MIB = 'MiB over the idle processes';

/** Opens all channels once and measures what the lines ask for. */
async function measure({ gateway, load, scale }: Bench): Promise<Record<'all' | 'proxy' | 'cpu', Measured>> {
  const subject = gateway.subject(1);
  const count = Math.round(CHANNELS * scale);
  const sessions = await gateway.sessions(count);
  await gateway.restartProxies();
  await sleep(SETTLE_MS);
  const before = subject.memoryMiB();
  const proxyBefore = gateway.proxyMiB();
  await load.open(gateway.lanes(sessions, 1));
  await sleep(SETTLE_MS);
  const grown = subject.memoryMiB() - before;
  const proxyGrown = gateway.proxyMiB() - proxyBefore;
  const cpuBefore = subject.cpuMicros();
  await sleep(WATCH_MS);
  const cpu = (subject.cpuMicros() - cpuBefore) / 1_000_000;
  await load.close();
  const note = `${count} channels with sessions of their own`;
  return {
    all: { value: (grown * CHANNELS) / count, note },
    proxy: { value: (proxyGrown * CHANNELS) / count, note },
    cpu: { value: (cpu * 60_000) / WATCH_MS, note: 'a ping of every channel each 25 s included' },
  };
}

/** W6: what channels cost on which nothing happens. */
export const idle: Work = {
  name: 'W6',
  title: '10,000 idle channels',
  once: true,
  goals: [],
  lines(bench) {
    let measured: ReturnType<typeof measure> | undefined;
    const once = (): ReturnType<typeof measure> => {
      measured ??= measure(bench);
      return measured;
    };
    const subject = bench.gateway.subject(1).name;
    const lines: Line[] = [
      { subject, variant: 'memory of all processes', unit: MIB, measure: async () => (await once()).all },
      { subject, variant: 'memory of the Proxy', unit: MIB, measure: async () => (await once()).proxy },
      { subject, variant: 'CPU', unit: 'CPU seconds a minute', measure: async () => (await once()).cpu },
    ];
    return lines;
  },
};
