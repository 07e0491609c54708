import { execFileSync } from 'node:child_process';
import {
  commandOn,
  type Daemon,
  etcdHealthy,
  etcdOn,
  type Host,
  type LocalCluster,
  listPatroniMembers,
  type PatroniMember,
  patroniConfigFile,
  patroniOn,
} from '@sallyport/local-cluster';

const START_MS = 120_000;

/** The database of a second site: a few PostgreSQL under a Patroni and an etcd of their own, a standby cluster of the one that works. */
export class PatroniSite {
  /** What Patroni said of its servers when it was looked at last. */
  lastSeen: readonly PatroniMember[] = [];
  readonly #cluster: LocalCluster;
  readonly #hosts: readonly Host[];
  readonly #etcds: readonly Daemon[];
  #servers: readonly Daemon[] = [];

  constructor(cluster: LocalCluster, hosts: readonly Host[]) {
    this.#cluster = cluster;
    this.#hosts = hosts;
    this.#etcds = hosts.map((_, index) => etcdOn(cluster.place, hosts, index));
  }

  /** `host:port,…`, as Security wants it. */
  get address(): string {
    const { place } = this.#cluster;
    return this.#hosts.map(({ address }, i) => `${address}:${place.ports(i).postgres}`).join();
  }

  /** The command that makes it stand alone: its leader becomes a primary. */
  get promotion(): string {
    return this.#configures('standby_cluster=null').join(' ');
  }

  /** Follows a database, `host:port,…` with one port: begins as a copy of it, or goes back to it after it was on its own. */
  async follow(main: string): Promise<void> {
    const standbyOf = remoteOf(main);
    if (this.#servers.length > 0) return this.#followAgain(standbyOf);
    const { place } = this.#cluster;
    for (const etcd of this.#etcds) etcd.start();
    const url = (i: number): string => `http://${this.#hosts[i]!.address}:${place.ports(i).etcd.client}`;
    await Promise.all(this.#etcds.map((etcd, i) => etcd.until(() => etcdHealthy(url(i)), START_MS)));
    this.#servers = this.#hosts.map((_, index) => patroniOn(place, this.#hosts, { index, standbyOf }).start());
  }

  /** Whether one server leads the standby cluster and all others follow it. */
  async settled(): Promise<boolean> {
    const [first] = this.#hosts;
    const port = this.#cluster.place.ports(0).patroni;
    this.lastSeen = await listPatroniMembers(`http://${first!.address}:${port}`).catch(() => []);
    const alive = this.lastSeen.filter(({ state }) => state === 'running' || state === 'streaming');
    return alive.length === this.#hosts.length && alive.some(({ role }) => role === 'standby_leader');
  }

  #followAgain({ host, port }: { readonly host: string; readonly port: number }): void {
    const command = this.#configures(`standby_cluster.host=${host}`, `standby_cluster.port=${port}`);
    const [program, ...args] = commandOn(this.#hosts[0]!, undefined, command);
    execFileSync(program!, args, { stdio: 'ignore' });
  }

  #configures(...settings: readonly string[]): string[] {
    const config = patroniConfigFile(this.#cluster.place, this.#hosts[0]!);
    return ['patronictl', '-c', config, 'edit-config', '--force', ...settings.flatMap((text) => ['-s', text])];
  }
}

function remoteOf(main: string): { readonly host: string; readonly port: number } {
  const servers = main.split(',').map((text) => text.split(':') as [string, string]);
  return { host: servers.map(([host]) => host).join(), port: Number(servers[0]![1]) };
}
