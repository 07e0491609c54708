import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device } from '@sallyport/device';
import { type Host, privateFile } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { randomFrom, waitFor } from '@sallyport/support';
import { sallyportOn, startOn } from './command-on.ts';
import { AUTHORITY, Farm, type Server } from './farm.ts';
import { LonePostgres } from './lone-postgres.ts';
import type { Operator } from './operator.ts';
import { PatroniSite } from './patroni-site.ts';
import { PutOut } from './single-session.ts';
import { say } from './stores.ts';
import { Tally } from './tally.ts';

/** Where the databases of both sites are once the first one has a PostgreSQL of its own, and the node of the second site. */
const ADDRESSES = { main: '10.77.1.21', second: '10.77.6.21', other: '10.77.6.22', node: '10.77.6.1' };
/** The hold after a takeover is as long. */
const LEASE_MS = 8_000;
/** A takeover that is killed has got this far at most, ms. */
const KILLED_WITHIN_MS = 4_000;
const FOLLOWED_WITHIN_MS = 300_000;
/** What a takeover says at its steps; undefined stands for any moment. */
const STEPS = [/the database of the other site/, /a failover:|a restore with a new epoch:/, /is a primary/, undefined];

/** What runs the database of the second site. */
export type SecondBy = 'PostgreSQL' | 'Patroni';

/** Kills a site, lets the other one take over, and back, some rounds of that. */
export async function takeOverAndBack(
  { rounds, seed }: { readonly rounds: number; readonly seed: number },
  secondBy: SecondBy,
): Promise<Tally> {
  const tally = new Tally();
  const farm = await Farm.start({
    nodes: 1,
    proxies: 2,
    journal: 'elsewhere',
    leaseMs: LEASE_MS,
    lone: { m1: ADDRESSES.main, b1: ADDRESSES.second, ...(secondBy === 'Patroni' ? { b2: ADDRESSES.other } : {}) },
    environment: { SALLYPORT_OTHER_SITE_NODES: `https://${ADDRESSES.node}:8443` },
  });
  const steps = rounds > 1 ? STEPS : [undefined];
  const sites = new TwoSites(farm, tally, { random: randomFrom(seed), steps, secondBy });
  for (let i = 0; i < rounds; i++) await sites.round(i);
  await farm.stop();
  return tally;
}

/** The database of the second site. */
interface SecondDatabase {
  /** `host:port,…`, as Security wants it. */
  readonly address: string;
  /** What a takeover has to be told there. */
  readonly takeoverOptions: readonly string[];
  /** Makes it a copy of the database of the first site, which it follows. */
  follow(main: string): Promise<void>;
}

/** The database of the first site as it is at the moment. */
interface MainDatabase {
  readonly servers: string;
  kill(): void;
  /** Starts it as it was left. */
  comeBack(): Promise<void>;
}

/** How rounds go. */
interface SitesOrder {
  readonly random: () => number;
  /** What a takeover says when it is killed. */
  readonly steps: readonly (RegExp | undefined)[];
  readonly secondBy: SecondBy;
}

class TwoSites {
  readonly #farm: Farm;
  readonly #tally: Tally;
  readonly #random: () => number;
  readonly #steps: readonly (RegExp | undefined)[];
  readonly #rebuilt: LonePostgres;
  readonly #second: SecondDatabase;
  readonly #secondNode: Omit<Server, 'process'>;
  readonly #password: string;
  #main: MainDatabase;

  constructor(farm: Farm, tally: Tally, { random, steps, secondBy }: SitesOrder) {
    const { cluster } = farm;
    this.#farm = farm;
    this.#tally = tally;
    this.#random = random;
    this.#steps = steps;
    this.#rebuilt = this.#lone('m1', ADDRESSES.main);
    const prepared = farm.prepareNode('z1', ADDRESSES.node);
    const other = `https://${farm.nodes[0]!.host.address}:8443`;
    this.#secondNode = { ...prepared, environment: { ...prepared.environment, SALLYPORT_OTHER_SITE_NODES: other } };
    this.#password = privateFile(`${farm.folder}/replication`, cluster.place.secrets.replication, cluster.place.user);
    this.#second = secondBy === 'Patroni' ? this.#patroni() : this.#alone(this.#lone('b1', ADDRESSES.second));
    this.#main = {
      servers: cluster.databaseHosts,
      kill: () => this.#off(cluster.hosts),
      comeBack: async () => {
        for (const host of cluster.hosts) farm.network.heal(host);
        await cluster.resume();
      },
    };
  }

  async round(i: number): Promise<void> {
    const farm = this.#farm;
    const [here] = farm.nodes;
    await this.#second.follow(this.#main.servers);
    const device = await farm.device(`kept${i}`);
    await this.#isServed(device, 'before');
    const operator = farm.operatorAt(here!);
    const gone = await PutOut.begin(farm, `gone${i}`);
    this.#tally.never('revocations before the disaster that were not in force', Number(!(await gone.putOut(operator))));
    const { inForce } = await this.#put(operator, `out${i}`);
    this.#tally.never('revocations before the disaster that were not in force', Number(!inForce));
    const before = (await operator.call(api.status.get)).log.epoch;
    this.#mainSiteIsKilled();
    const there = await this.#takeOver(this.#secondNode, {
      main: this.#main.servers,
      own: this.#second,
      wanted: 'new',
      before,
    });
    await this.#afterRestore(device, there, i);
    this.#tally.never('requests and logins of who was out before the disaster', await gone.cameThrough());
    await this.#oldSiteComesBack(device);
    await this.#back(device, there);
    device.close();
    await operator.close();
  }

  /** Nothing of the main site answers any more: databases, nodes and the Proxy there. */
  #mainSiteIsKilled(): void {
    const { nodes, proxies } = this.#farm;
    this.#main.kill();
    this.#off([...nodes.map(({ host }) => host), proxies[0]!.host]);
    say('the main site is killed whole');
  }

  async #afterRestore(device: Device, there: Server, i: number): Promise<void> {
    const farm = this.#farm;
    const operator = farm.operatorAt(there);
    const startedAt = performance.now();
    await farm.ready(farm.proxies[1]!);
    await farm.login(device, `kept${i}`);
    await this.#isServed(device, 'after the takeover');
    this.#tally.numbers['served again after the takeover'] =
      `${Math.round((performance.now() - startedAt) / 100) / 10} s`;
    const users = await operator.call(api.users.list, { query: { limit: '5000' } });
    this.#tally.never('users let in again', users.filter(({ name, enabled }) => name === `out${i}` && enabled).length);
    await operator.close();
  }

  /** Old servers start where they were left: they may not serve beside the second site. */
  async #oldSiteComesBack(device: Device): Promise<void> {
    const farm = this.#farm;
    const [here] = farm.nodes;
    for (const { host } of [here!, farm.proxies[0]!]) farm.network.heal(host);
    await this.#main.comeBack();
    // What the node remembers of its database is lost: nothing but the journal tells it.
    rmSync(`${here!.environment['SALLYPORT_DATA']}/security/database-main.json`, { force: true });
    this.#tally.never('old nodes that started beside the second site', Number(await farm.starts(here!)));
    await farm.restart(farm.proxies[0]!);
    await farm.ready(farm.proxies[0]!);
    await this.#isServed(device, 'beside the old site');
    this.#main.kill();
    say('the old site came back, and nothing of it serves but its Proxy');
  }

  /** The first site gets a copy, follows, and takes over with everything: nobody signs in. */
  async #back(device: Device, there: Server): Promise<void> {
    const farm = this.#farm;
    const [here] = farm.nodes;
    if (this.#rebuilt.running) await this.#rebuilt.stop();
    farm.network.heal(this.#rebuilt.host);
    await this.#follow(this.#rebuilt, this.#second.address);
    const operator = farm.operatorAt(there);
    const before = (await operator.call(api.status.get)).log.epoch;
    farm.nodes[0] = await this.#takeOver(here!, {
      main: this.#second.address,
      own: this.#alone(this.#rebuilt),
      wanted: 'same',
      before,
    });
    await waitFor(async () => !there.process.running, 'the node of the second site to end itself');
    this.#tally.never('nodes of the second site that start again', Number(await farm.starts(there)));
    for (const proxy of farm.proxies) await farm.ready(proxy);
    await this.#isServed(device, 'after the way back, with the session of before');
    const now = farm.operatorAt(farm.nodes[0]!);
    const { log } = await now.call(api.status.get);
    this.#tally.never('ways back that were no failover', Number(log.epoch !== before));
    await Promise.all([operator.close(), now.close()]);
    this.#main = {
      servers: this.#rebuilt.address,
      kill: () => this.#off([this.#rebuilt.host]),
      comeBack: async () => {
        farm.network.heal(this.#rebuilt.host);
        await this.#rebuilt.start();
      },
    };
  }

  /** Takes over by the one command, which is killed on its way, in a long run at each of its steps. Then the node of the site starts. */
  async #takeOver(
    node: Omit<Server, 'process'>,
    {
      main,
      own,
      wanted,
      before,
    }: {
      readonly main: string;
      readonly own: Omit<SecondDatabase, 'follow'>;
      readonly wanted: 'same' | 'new';
      /** The epoch of the other site. */
      readonly before: string;
    },
  ): Promise<Server> {
    const environment = {
      ...node.environment,
      SALLYPORT_DATABASE_HOSTS: own.address,
      SALLYPORT_OTHER_SITE_DATABASE_HOSTS: main,
    };
    const order = ['standby', 'takeover', '--reason', 'fault rig', '--actor', 'rig', ...own.takeoverOptions];
    for (const step of this.#steps) {
      const killed = startOn(node.host, order, environment);
      const reached = waitFor(() => step?.test(killed.said()) ?? false, `a takeover that comes to ${step}`).catch(
        () => undefined,
      );
      await Promise.race([killed.done, step ? reached : sleep(this.#random() * KILLED_WITHIN_MS)]);
      killed.kill();
      await killed.done;
    }
    const said = await sallyportOn(node.host, order, environment);
    say(said.trim().split('\n').slice(0, 4).join('; '));
    const server = await this.#farm.begin({ ...node, environment });
    // Whatever the command says: one that was killed after its work has nothing left to do.
    const operator = this.#farm.operatorAt(server);
    const now = (await operator.call(api.status.get)).log.epoch;
    await operator.close();
    this.#tally.never(`takeovers that were not the ${wanted} epoch`, Number((now !== before) !== (wanted === 'new')));
    return server;
  }

  async #follow(database: LonePostgres, main: string): Promise<void> {
    const { place } = this.#farm.cluster;
    if (database.running) await database.stop();
    const order = ['standby', 'follow', '--main', main, '--to', database.folder];
    await sallyportOn(database.host, [...order, '--password-file', this.#password, '--ca', place.tls.ca]);
    await database.start();
    const following = "select count(*) from pg_stat_wal_receiver where status = 'streaming'";
    await waitFor(async () => database.query('sallyport', following) === '1', 'the standby that follows');
    say(`${database.host.name} follows ${main}`);
  }

  #alone(database: LonePostgres): SecondDatabase {
    return {
      address: database.address,
      takeoverOptions: [],
      follow: (main) => this.#follow(database, main),
    };
  }

  /** Two servers under a Patroni of their own, whose standby cluster follows. */
  #patroni(): SecondDatabase {
    const named = { b1: ADDRESSES.second, b2: ADDRESSES.other };
    const hosts = Object.entries(named).map(([name, address]) => ({ name, address, namespace: name }));
    const site = new PatroniSite(this.#farm.cluster, hosts);
    const environment = { ...this.#secondNode.environment, SALLYPORT_DATABASE_HOSTS: site.address };
    const follows = async (): Promise<boolean> => {
      const { output } = await startOn(this.#secondNode.host, ['standby', 'status', '--json'], environment).done;
      return output.includes('"standby":true') && output.includes('"following":true') && (await site.settled());
    };
    return {
      address: site.address,
      takeoverOptions: ['--promote-with', site.promotion],
      follow: async (main) => {
        await site.follow(main);
        await waitFor(
          follows,
          'the standby cluster that follows',
          () => JSON.stringify(site.lastSeen),
          FOLLOWED_WITHIN_MS,
        );
        say(`${site.address} follows ${main} by Patroni`);
      },
    };
  }

  async #isServed(device: Device, path: string): Promise<void> {
    const ask = () => device.fetch(`http://${AUTHORITY}/${encodeURIComponent(path)}`).catch(() => undefined);
    await waitFor(async () => (await ask())?.ok === true, `a device that is served ${path}`);
  }

  async #put(operator: Operator, name: string): Promise<{ inForce: boolean }> {
    await operator.call(api.users.put, { params: { name }, body: { groups: ['staff'] } });
    return operator.call(api.users.disable, { params: { name } });
  }

  #off(hosts: readonly Host[]): void {
    for (const host of hosts) this.#farm.network.cut(host);
    for (const host of hosts) this.#farm.network.killHost(host);
  }

  #lone(name: string, address: string): LonePostgres {
    return new LonePostgres(this.#farm.cluster, { name, address, namespace: name });
  }
}
