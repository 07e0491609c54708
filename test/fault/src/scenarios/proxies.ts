import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import { waitFor } from '@sallyport/support';
import { AUTHORITY, Farm } from '../farm.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Traffic } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

/** Nothing waits for a failover of the database here. */
const LEASE_MS = 8_000;
/** How late this process may read what came, on a machine with too little processor time, ms. */
const READ_MS = 500;
/** How long after a kill a device may find out that its Proxy is gone, ms. */
const NOTICED_MS = 1_000;

/** How long after a kill each device that had lost its Proxy was connected again, ms; when all are. */
async function reconnectTimes(devices: Iterable<Device>, act: () => Promise<void>): Promise<number[]> {
  const start = performance.now();
  const times: number[] = [];
  const lost = new Set<Device>();
  const stops = [...devices].map((device) =>
    device.on('state', ({ state }) => {
      if (state === 'connecting') lost.add(device);
      if (state === 'connected' && lost.delete(device)) times.push(performance.now() - start);
    }),
  );
  await act();
  await sleep(NOTICED_MS);
  await waitFor(() => lost.size === 0, 'devices that are connected again');
  for (const stop of stops) stop();
  return times;
}

/** A Proxy of four dies under load, and all of Security goes away. */
export const proxies: Scenario = {
  about: 'a Proxy of four is killed under load behind HAProxy; all of Security is gone for longer than the lease',
  short: { sessions: 32, rounds: 2 },
  long: { sessions: 1_000, rounds: 8 },
  async run({ sessions, rounds }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 4, leaseMs: LEASE_MS });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    const pauseMs = Math.max(250, sessions * 2);
    const traffic = new Traffic({ devices, backend: farm.backend, pauseMs, postShare: 0.5 });
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const victim = farm.proxies[round % farm.proxies.length]!;
      say(`${victim.name} is killed`);
      times.push(...(await reconnectTimes(devices.values(), () => victim.process.end('SIGKILL'))));
      await farm.restart(victim);
      await farm.live();
    }
    const count = await traffic.stop();
    tally.within('slowest device to be back after a Proxy was killed', Math.max(...times), 2_000);
    tally.times('back after a Proxy was killed', times);
    tally.never('lost sessions (logins)', count.lostSessions);
    tally.never('requests that ran twice though they must not', count.ranTwice);
    tally.never('failed requests', count.failed + count.wrongBody);
    tally.numbers['requests'] = count.ok;
    tally.numbers['POSTs under way in a dying Proxy, reported as unknown'] = count.unknown;
    await securityGone(farm, devices, tally);
    await farm.stop();
    return tally;
  },
};

/** Every Security node is cut off; the Proxies must stop by themselves, and go on by themselves. */
async function securityGone(farm: Farm, devices: ReadonlyMap<string, Device>, tally: Tally): Promise<void> {
  say('all of Security is cut off');
  let lost = 0;
  for (const device of devices.values()) device.on('ended', () => (lost += 1));
  let stopped = false;
  const asking = [...devices].slice(0, 40).map(async ([who, device]) => {
    while (!stopped) {
      await device.fetch(`http://${AUTHORITY}/${who}/gone`).catch(() => undefined);
      await sleep(50);
    }
  });
  await sleep(1_000);
  for (const { host } of farm.nodes) farm.network.cut(host);
  // The last beat that was heard was sent before.
  const cutAt = performance.now();
  await sleep(LEASE_MS + 3_000);
  const lastServed = Math.max(...[...devices.keys()].map((who) => farm.backend.lastRequestAt(who) ?? 0));
  for (const { host } of farm.nodes) farm.network.heal(host);
  const healedAt = performance.now();
  await farm.live();
  const sample = [...devices].slice(0, 40);
  await Promise.all(sample.map(([who, device]) => untilServed(device, who)));
  tally.times('served again after Security is back', [performance.now() - healedAt]);
  stopped = true;
  await Promise.all(asking);
  tally.atMost('last request served after Security was gone, ms', Math.round(lastServed - cutAt), LEASE_MS + READ_MS);
  tally.never('lost sessions (logins) while Security was gone', lost);
}

async function untilServed(device: Device, who: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const response = await device.fetch(`http://${AUTHORITY}/${who}/back`).catch(() => undefined);
    if (response?.status === 200) return;
    await sleep(100);
  }
  throw new Error(`${who} is not served again`);
}
