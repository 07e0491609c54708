import { Farm } from '../farm.ts';
import { RevocationRounds } from '../revocation-rounds.ts';
import { say } from '../stores.ts';
import { quantile, Tally } from '../tally.ts';
import { manyDevices } from '../traffic.ts';
import { allTroubles, faultsOf, proxyTroubles, type Trouble } from '../troubles.ts';
import type { Scenario } from './scenario.ts';

/** Short, so that many rounds with a Proxy cut off fit into a run. */
const LEASE_MS = 3_000;
const AT_ONCE_MS = 250;
/** Rounds among faults take their time, so that many faults fit in, ms. */
const SPACING_MS = 400;

/** Revocations with everything reachable, and with faults of all kinds. */
export const revocation: Scenario = {
  about: 'sessions are revoked under traffic, with and without faults: no request after the acknowledgement',
  short: { sessions: 16, rounds: 60 },
  long: { sessions: 32, rounds: 1_200 },
  async run({ sessions, rounds, seed }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 3, proxies: 3, leaseMs: LEASE_MS });
    const names = Array.from({ length: sessions }, (_, i) => `u${i}`);
    const devices = await manyDevices(names, (name) => farm.device(name));
    say('all Proxies reachable');
    const calm = await new RevocationRounds(farm, devices, { seed }).run(Math.ceil(rounds / 2));
    tally.never('all reachable: requests after the acknowledgement', calm.late);
    tally.within('all reachable: p99 of the acknowledgement', quantile(calm.times, 0.99), AT_ONCE_MS);
    tally.numbers['all reachable: requests on their way at the acknowledgement'] = calm.onTheWay;
    tally.times('all reachable: acknowledgement', calm.times);
    const counts = [calm.times.length];
    for (const [name, troubles, bounded] of [
      ['Proxies cut off from Security or frozen', proxyTroubles, true],
      ['Security nodes frozen or cut off too', allTroubles, false],
      [TWIN, twinTroubles, true],
    ] as const) {
      say(name);
      if (name === TWIN) await beginTwin(farm);
      const faults = faultsOf(troubles(farm), seed);
      const result = await new RevocationRounds(farm, devices, { seed: seed + 1, spacingMs: SPACING_MS }).run(
        Math.ceil(rounds / 4),
      );
      await faults.stop();
      tally.never(`${name}: requests after the acknowledgement`, result.late);
      // With a frozen node in its way the operator's own question waits, however short the lease is.
      if (bounded) tally.within(`${name}: slowest acknowledgement`, Math.max(...result.times), LEASE_MS + 1_000);
      tally.numbers[`${name}: requests on their way at the acknowledgement`] = result.onTheWay;
      tally.times(`${name}: acknowledgement`, result.times);
      tally.numbers[`${name}: faults`] = faults.count;
      counts.push(result.times.length);
    }
    tally.numbers['rounds'] = counts.reduce((all, count) => all + count, 0);
    await farm.stop();
    return tally;
  },
};

const TWIN = 'two processes of one Proxy, one of them cut off or frozen';

/** The first Proxy runs twice from now on; devices are spread over both. */
async function beginTwin(farm: Farm): Promise<void> {
  const twin = await farm.addTwin(farm.proxies[0]!);
  await farm.lead(farm.proxies[0]!, twin);
}

/** Troubles of the twins alone: while one is silent, the other one beats under the same name. */
function twinTroubles(farm: Farm): (random: () => number) => Trouble[] {
  const twins = [farm.proxies[0]!, farm.proxies.at(-1)!];
  return proxyTroubles({ network: farm.network, nodes: farm.nodes, proxies: twins });
}
