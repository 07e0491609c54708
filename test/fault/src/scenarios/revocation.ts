import { setTimeout as sleep } from 'node:timers/promises';
import { Farm } from '../farm.ts';
import { pick, randomFrom } from '../random.ts';
import { RevocationRounds } from '../revocation-rounds.ts';
import { say } from '../stores.ts';
import { quantile, Tally } from '../tally.ts';
import { manyDevices } from '../traffic.ts';
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
    const calm = await new RevocationRounds(farm, devices, seed).run(Math.ceil(rounds / 2));
    tally.never('all reachable: requests after the acknowledgement', calm.late);
    tally.within('all reachable: p99 of the acknowledgement', quantile(calm.times, 0.99), AT_ONCE_MS);
    tally.times('all reachable: acknowledgement', calm.times);
    say('with faults');
    const faults = new Faults(farm, seed);
    const rough = await new RevocationRounds(farm, devices, seed + 1, SPACING_MS).run(Math.floor(rounds / 2));
    await faults.stop();
    tally.never('with faults: requests after the acknowledgement', rough.late);
    tally.within('with faults: slowest acknowledgement', Math.max(...rough.times), LEASE_MS + 1_000);
    tally.times('with faults: acknowledgement', rough.times);
    tally.numbers['rounds'] = calm.times.length + rough.times.length;
    tally.numbers['faults'] = faults.count;
    await farm.stop();
    return tally;
  },
};

/** Troubles Proxies, Security nodes and Redis at random until it is stopped. */
class Faults {
  count = 0;
  readonly #farm: Farm;
  readonly #random: () => number;
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(farm: Farm, seed: number) {
    this.#farm = farm;
    this.#random = randomFrom(seed);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const one = <T>(all: readonly T[]): T => all[Math.floor(this.#random() * all.length)]!;
      const proxy = one(this.#farm.proxies);
      const node = one(this.#farm.nodes);
      const ms = 300 + this.#random() * 5_000;
      const { network } = this.#farm;
      const fault = pick<() => Promise<void>>(this.#random, [
        [
          3,
          () =>
            this.#lasting(
              ms,
              () => network.cut(proxy.host),
              () => network.heal(proxy.host),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => network.cutOneWay(proxy.host, 'in'),
              () => network.heal(proxy.host),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => network.cutOneWay(proxy.host, 'out'),
              () => network.heal(proxy.host),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => network.cutBetween(proxy.host, node.host),
              () => network.heal(proxy.host),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => network.reset(proxy.host, node.host),
              () => network.heal(proxy.host),
            ),
        ],
        [
          3,
          () =>
            this.#lasting(
              ms,
              () => proxy.process.kill('SIGSTOP'),
              () => proxy.process.kill('SIGCONT'),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => node.process.kill('SIGSTOP'),
              () => node.process.kill('SIGCONT'),
            ),
        ],
        [
          2,
          () =>
            this.#lasting(
              ms,
              () => network.cut(node.host),
              () => network.heal(node.host),
            ),
        ],
      ]);
      this.count += 1;
      await fault();
      await sleep(200 + this.#random() * 500);
    }
  }

  async #lasting(ms: number, begin: () => void, end: () => void): Promise<void> {
    begin();
    await sleep(ms);
    end();
  }
}
