import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@sallyport/support';
import { Farm } from '../farm.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import { manyDevices, Traffic } from '../traffic.ts';
import type { Scenario } from './scenario.ts';

/** Everything is restarted, one after another, as an operator does for an upgrade. */
export const rolling: Scenario = {
  about: 'every Proxy, every Security node, the database primary and Redis are restarted in turn under load',
  short: { sessions: 32, rounds: 1 },
  long: { sessions: 1_000, rounds: 2 },
  async run({ sessions, rounds }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 3, journal: true });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    const pauseMs = Math.max(250, sessions * 2);
    const traffic = new Traffic({ devices, backend: farm.backend, pauseMs, postShare: 0.3 });
    for (let round = 0; round < rounds; round++) await restartEverything(farm);
    await sleep(1_000);
    const count = await traffic.stop();
    tally.never('failed requests', count.failed + count.unknown + count.wrongBody);
    tally.never('lost sessions (logins)', count.lostSessions);
    tally.never('requests that ran twice though they must not', count.ranTwice);
    const { liveSessions, degraded } = await farm.status();
    tally.never('sessions that are gone', sessions - liveSessions);
    // Nobody backs this farm up, nor its keys, which is said as long as it lives.
    const remaining = degraded.filter(
      (word) => !word.startsWith('there is no backup') && !word.includes('is in no escrow'),
    );
    tally.never('degraded states that remain', remaining.length);
    tally.numbers['degraded'] = remaining.join('; ');
    tally.numbers['requests'] = count.ok;
    tally.times('request', count.latencies);
    for (const [error, times] of count.errors) tally.numbers[error] = times;
    await farm.stop();
    return tally;
  },
};

async function restartEverything(farm: Farm): Promise<void> {
  for (const server of [...farm.proxies, ...farm.nodes]) {
    say(`${server.name} is restarted`);
    await server.process.end('SIGTERM');
    await farm.restart(server);
    await farm.live();
    // The load balancer must see it up again before the next one goes.
    await sleep(1_500);
  }
  say('the database switches over to a standby');
  const leader = farm.cluster.hosts[await farm.cluster.getPrimary()]!;
  await farm.cluster.switchover(leader.name);
  await farm.cluster.settled();
  say('the Redis primary is restarted');
  const { server } = (await farm.status()).bus;
  const index = farm.cluster.hosts.findIndex(({ address }) => server.startsWith(`${address}:`));
  await farm.cluster.redis[index]!.end();
  await sleep(4_000);
  farm.cluster.redis[index]!.start();
  await waitFor(() => noHold(farm), 'the end of the hold');
}

/** Behind a switchover leases of the run before may live for a while: the status says so until they are over. */
async function noHold(farm: Farm): Promise<boolean> {
  const { degraded } = await farm.status();
  return !degraded.some((word) => word.includes('start of the database server'));
}
