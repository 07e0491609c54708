import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@sallyport/support';
import { Farm } from '../farm.ts';
import { RevocationRounds } from '../revocation-rounds.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

/** Redis may vanish: nothing is decided by it. */
export const redis: Scenario = {
  about: 'Redis is killed, frozen and gone altogether while sessions are revoked: only the latency changes',
  short: { sessions: 16, rounds: 4 },
  long: { sessions: 32, rounds: 40 },
  async run({ sessions, rounds, seed }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 2 });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    const shown = { degraded: 0, recovered: 0 };
    const phase = async (name: string, limitMs: number): Promise<void> => {
      say(name);
      const result = await new RevocationRounds(farm, devices, { seed }).run(rounds);
      tally.never(`${name}: requests after the acknowledgement`, result.late);
      tally.within(`${name}: slowest acknowledgement`, Math.max(...result.times), limitMs);
      tally.numbers[`${name}: requests on their way at the acknowledgement`] = result.onTheWay;
      tally.times(`${name}: acknowledgement`, result.times);
    };
    await phase('with Redis', 2_000);
    await killPrimary(farm);
    await phase('Redis failing over', 3_000);
    await untilConnected(farm);
    for (const each of farm.cluster.redis) each.kill('SIGSTOP');
    await sleep(2_500);
    if (!(await farm.status()).bus.connected) shown.degraded += 1;
    await phase('all of Redis frozen', 3_000);
    for (const each of farm.cluster.redis) each.kill('SIGCONT');
    await untilConnected(farm);
    for (const each of [...farm.cluster.redis, ...farm.cluster.sentinels]) await each.end('SIGKILL');
    await sleep(2_500);
    if ((await farm.status()).degraded.some((word) => word.includes('Redis'))) shown.degraded += 1;
    await phase('all of Redis dead', 3_000);
    // It comes back empty, as after a flush.
    for (const each of [...farm.cluster.redis, ...farm.cluster.sentinels]) each.start();
    await untilConnected(farm);
    shown.recovered += 1;
    await phase('Redis back and empty', 2_000);
    tally.atLeast('outages that the status page showed', shown.degraded, 2);
    tally.atLeast('recoveries that the status page showed', shown.recovered, 1);
    await farm.stop();
    return tally;
  },
};

/** The Sentinels make a replica the primary. */
async function killPrimary(farm: Farm): Promise<void> {
  let index = -1;
  const isKnown = async (): Promise<boolean> => {
    const { server } = (await farm.status()).bus;
    index = farm.cluster.hosts.findIndex(({ address }) => server.startsWith(`${address}:`));
    return index >= 0;
  };
  await waitFor(isKnown, 'the Redis that the bus is on');
  const primary = farm.cluster.redis[index]!;
  await primary.end('SIGKILL');
  setTimeout(() => primary.start(), 8_000);
}

async function untilConnected(farm: Farm): Promise<void> {
  const isBack = async (): Promise<boolean> => !(await farm.status()).degraded.some((word) => word.includes('Redis'));
  await waitFor(isBack, 'a bus that recovered');
}
