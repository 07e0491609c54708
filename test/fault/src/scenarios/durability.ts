import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host, LocalCluster } from '@sallyport/local-cluster';
import { connectToPrimary, type DatabaseAddress } from '@sallyport/store-sql';
import { Network, randomFrom } from '@sallyport/support';
import { databaseAddress, History } from '../history.ts';
import { pick } from '../pick.ts';
import { discard, say, storesOn } from '../stores.ts';
import { quantile, Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

const WRITERS = 24;
/** Between two faults, so that there is something to lose, ms. */
const CALM_MS = 2_000;
/** Longer than Patroni's ttl: the standbys elect another primary meanwhile. */
const PAUSE_MS = 11_000;

/** Acknowledged writes against a primary that is killed, cut off, frozen, interrupted and filled up. */
export const durability: Scenario = {
  about: 'writes of every kind while the database primary is lost in every way: nothing acknowledged is lost',
  short: { sessions: 0, rounds: 4 },
  long: { sessions: 0, rounds: 100 },
  async run({ rounds, seed }) {
    const tally = new Tally();
    const network = new Network();
    const { cluster, folder } = await storesOn(network);
    const history = await History.begin(databaseAddress(cluster), WRITERS);
    const faults = new PrimaryFaults(network, cluster, randomFrom(seed));
    for (let round = 1; round <= rounds; round++) {
      await sleep(CALM_MS);
      const name = await faults.next(round);
      await streaming(cluster);
      await history.goesOn();
      say(`round ${round}: ${name}; ${history.acknowledged} writes acknowledged`);
    }
    await history.stop();
    const found = await history.check();
    tally.atLeast('acknowledged writes', history.acknowledged, rounds * 100);
    for (const [what, count] of Object.entries(found)) tally.never(what, count);
    for (const [what, count] of faults.counts) tally.numbers[`rounds: ${what}`] = count;
    for (const [what, count] of history.counts) tally.numbers[`acknowledged: ${what}`] = count;
    tally.numbers['outcome unknown'] = history.unknown;
    tally.times('longest pause between two acknowledged writes in a round', history.pauses);
    tally.numbers['p50 of those pauses, ms'] = Math.round(quantile(history.pauses, 0.5));
    for (const host of cluster.hosts) network.killHost(host);
    discard(folder);
    return tally;
  },
};

/** Waits until both standbys have followed the primary for a while: a repaired one only seems to run at first. */
async function streaming(cluster: LocalCluster): Promise<void> {
  const address = databaseAddress(cluster, 'superuser');
  const deadline = performance.now() + 240_000;
  for (let inRow = 0; inRow < 4; await sleep(300)) {
    inRow = (await countStreaming(address)) >= 2 ? inRow + 1 : 0;
    if (performance.now() > deadline) throw new Error('the standbys do not follow the primary');
  }
}

async function countStreaming(address: DatabaseAddress): Promise<number> {
  const client = await connectToPrimary(address, 5_000).catch(() => undefined);
  if (!client) return 0;
  const count = "select count(*) as count from pg_stat_replication where state = 'streaming'";
  const answer = await client.query<{ count: string }>(count).catch(() => undefined);
  await client.end().catch(() => undefined);
  return Number(answer?.rows[0]?.count ?? 0);
}

/** Ways to lose the primary. */
class PrimaryFaults {
  readonly counts = new Map<string, number>();
  readonly #network: Network;
  readonly #cluster: LocalCluster;
  readonly #random: () => number;

  constructor(network: Network, cluster: LocalCluster, random: () => number) {
    this.#network = network;
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Does one and undoes it. The first rounds go through all of them. */
  async next(round: number): Promise<string> {
    const all = [
      [3, 'killed during commits', (index: number) => this.#crash(index)],
      [3, 'cut off, then killed', (index: number) => this.#cutAndKill(index)],
      [3, 'commit waits cancelled', (index: number) => this.#cancelWaits(index)],
      [2, 'frozen and resumed', (index: number) => this.#freeze(index)],
      [1, 'disk full', (index: number) => this.#fillDisk(index)],
      [1, 'heard by nobody', (index: number) => this.#muted(index)],
    ] as const;
    const [, name, act] =
      round <= all.length
        ? all[round - 1]!
        : pick(
            this.#random,
            all.map((fault) => [fault[0], fault] as const),
          );
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    await act(await this.#cluster.getPrimary());
    return name;
  }

  /** The server process dies between two of its writes; Patroni lives and acts. */
  async #crash(index: number): Promise<void> {
    await sleep(this.#random() * 400);
    this.#cluster.killPostgres(index);
    await sleep(1_000);
  }

  /** First the network, then the power: nobody hears a word of it, and no buffer is flushed to anybody. */
  async #cutAndKill(index: number): Promise<void> {
    const host = this.#cluster.hosts[index]!;
    await sleep(this.#random() * 400);
    this.#network.cut(host);
    this.#network.killHost(host);
    // Should the standbys not be able to take over, because one was just being repaired, the old primary comes back.
    await this.#cluster.settled(2, 40_000).catch(() => undefined);
    this.#network.heal(host);
    this.#cluster.startHost(index);
  }

  /** Commits that wait for a standby are cancelled: PostgreSQL then reports success, with a warning. */
  async #cancelWaits(index: number): Promise<void> {
    const primary = this.#cluster.hosts[index]!;
    const others = this.#cluster.hosts.filter((host) => host !== primary);
    const admin = await connectToPrimary(databaseAddress(this.#cluster, 'superuser'), 10_000);
    this.#onlyReplication(primary, others);
    try {
      for (let i = 0; i < 10; i++) {
        await sleep(150);
        await admin.query(
          "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and usename = 'sallyport'",
        );
      }
    } finally {
      this.#network.heal(primary);
      await admin.end().catch(() => undefined);
    }
  }

  /** Standbys lose the stream, the election goes on: no failover, but no confirmation either. */
  #onlyReplication(primary: Host, others: readonly Host[]): void {
    for (const other of others) this.#network.dropPort(primary, other, this.#cluster.postgresPort(primary));
  }

  /** The whole host stops for longer than its lease as leader, and comes back believing that it still is. */
  async #freeze(index: number): Promise<void> {
    const host = this.#cluster.hosts[index]!;
    this.#network.signalHost(host, 'SIGSTOP');
    await sleep(PAUSE_MS);
    this.#network.signalHost(host, 'SIGCONT');
    await sleep(1_000);
  }

  async #fillDisk(index: number): Promise<void> {
    const host = this.#cluster.hosts[index]!;
    const ballast = join(this.#cluster.place.hostFolder(host), 'ballast');
    const block = Buffer.alloc(4 * 1024 * 1024);
    try {
      for (;;) writeFileSync(ballast, block, { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
    await sleep(8_000);
    if (existsSync(ballast)) rmSync(ballast);
    this.#cluster.startHost(index);
  }

  /** It hears everybody, nobody hears it. */
  async #muted(index: number): Promise<void> {
    const host = this.#cluster.hosts[index]!;
    this.#network.cutOneWay(host, 'out');
    await sleep(PAUSE_MS);
    this.#network.heal(host);
  }
}
