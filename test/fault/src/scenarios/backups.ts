import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '@sallyport/device';
import { waitFor } from '@sallyport/support';
import { sallyportOn, startOn } from '../command-on.ts';
import { AUTHORITY, Farm, type Server } from '../farm.ts';
import { realmCommand } from '../going-back.ts';
import { LonePostgres } from '../lone-postgres.ts';
import { PutOut, revokeAndWatch, revokeSession, Sending, serving, sessionOf } from '../single-session.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

/** Steps at whose beginning it is killed, as it says them. */
const STEPS = ['marking this folder', 'loading the rows', 'beginning a new epoch', 'reading the copies of the journal'];

/**
 * The database burns and comes back from an export, into a PostgreSQL that is reached by TLS as a role without any right but its own
 * database; then that goes back to a copy of its volume. Proxies run all the time, and keep asking for who was put out.
 */
export const backups: Scenario = {
  about: 'the database comes back from an export, and from a copy of its volume, while Proxies run all the time',
  onlyByHand: true,
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 3 },
  async run({ rounds }) {
    const tally = new Tally();
    const lone = Object.fromEntries(Array.from({ length: rounds }, (_, i) => [`e${i}`, `10.77.1.${31 + i}`]));
    const farm = await Farm.start({ nodes: 1, proxies: 2, journal: 'elsewhere', lone });
    const backup = new Backups(farm, tally);
    await backup.makeKeys();
    for (const [i, [name, address]] of Object.entries(lone).entries())
      await backup.round(i, new LonePostgres(farm.cluster, { name, address, namespace: name }));
    await farm.stop();
    return tally;
  },
};

class Backups {
  readonly #farm: Farm;
  readonly #tally: Tally;
  readonly #target: string;
  readonly #safe: string;
  /** Takes the database of this moment off the network, with all that it has. */
  #burn: () => void;

  constructor(farm: Farm, tally: Tally) {
    this.#farm = farm;
    this.#tally = tally;
    this.#target = join(farm.folder, 'exports');
    this.#safe = join(farm.folder, 'safe');
    this.#burn = () => this.#off(farm.cluster.hosts);
  }

  get #node(): Server {
    return this.#farm.nodes[0]!;
  }

  async makeKeys(): Promise<void> {
    for (const folder of [this.#target, this.#safe]) mkdirSync(folder, { recursive: true });
    await this.#command('backup', 'keys', 'new', 'rig', '--out', this.#safe);
  }

  async round(i: number, next: LonePostgres): Promise<void> {
    const device = await this.#farm.device(`kept${i}`);
    await this.#fromExport(i, next);
    await this.#afterwards(device, `kept${i}`, 'an export');
    await this.#fromVolume(i, next);
    await this.#afterwards(device, `kept${i}`, 'a copy of the volume');
    device.close();
    this.#burn = () => this.#off([next.host]);
  }

  async #fromExport(i: number, next: LonePostgres): Promise<void> {
    const { operator } = this.#farm;
    const gone = await PutOut.begin(this.#farm, `gone${i}`);
    await this.#command('backup', 'create', '--target', this.#target, '--recipient', this.#file('recipient'));
    await this.#command('backup', 'verify', '--target', this.#target, '--identity', this.#file('identity'));
    this.#tally.never('revocations before the disaster that were not in force', Number(!(await gone.putOut(operator))));
    await this.#node.process.end('SIGKILL');
    this.#burn();
    say('the database burned');
    await next.create('sallyport');
    this.#node.environment = { ...this.#node.environment, SALLYPORT_DATABASE_HOSTS: next.address };
    const order = ['backup', 'restore', '--target', this.#target, '--identity', this.#file('identity')];
    const rest = ['--keep-operators', '--yes', '--actor', 'rig', '--reason', 'fault rig'];
    for (const step of STEPS) {
      const killed = startOn(this.#node.host, [...order, ...rest], this.#node.environment);
      const reached = waitFor(() => killed.said().includes(`· ${step}`), `a restore that comes to ${step}`).catch(
        () => undefined,
      );
      await Promise.race([killed.done, reached]);
      killed.kill();
      await killed.done;
    }
    say((await this.#command(...order, ...rest)).split('\n').slice(-12).join('; '));
    await this.#begin();
    this.#tally.never('requests and logins of who was out before the disaster', await gone.cameThrough());
  }

  /** A copy of one moment, as a volume's snapshot is: the server is frozen meanwhile. */
  async #fromVolume(i: number, server: LonePostgres): Promise<void> {
    const { operator, network } = this.#farm;
    const gone = await PutOut.begin(this.#farm, `late${i}`);
    const copy = `${server.folder}.copy`;
    network.signalHost(server.host, 'SIGSTOP');
    execFileSync('cp', ['-a', server.folder, copy]);
    network.signalHost(server.host, 'SIGCONT');
    this.#tally.never('revocations before the disaster that were not in force', Number(!(await gone.putOut(operator))));
    network.killHost(server.host);
    await waitFor(async () => !server.running, 'the end of the server');
    rmSync(server.folder, { recursive: true });
    renameSync(copy, server.folder);
    await server.start();
    say('the database went back to a copy of its volume');
    this.#tally.never('nodes that started on an older state', Number(await this.#farm.starts(this.#node)));
    await realmCommand(this.#node, 'sallyport', 'new-epoch', '--old-database-is-off');
    await this.#begin();
    this.#tally.never('requests and logins of who was out before the disaster', await gone.cameThrough());
  }

  async #begin(): Promise<void> {
    await this.#farm.restart(this.#node);
    for (const proxy of this.#farm.proxies) await this.#farm.ready(proxy);
  }

  /** Devices come back by one login, and what is revoked from now on is so. */
  async #afterwards(device: Device, who: string, from: string): Promise<void> {
    const { operator } = this.#farm;
    await this.#farm.login(device, who);
    const answer = await device.fetch(`http://${AUTHORITY}/${who}/again`);
    await answer.text();
    this.#tally.never(`devices that are not served by one login after ${from}`, Number(!answer.ok));
    const session = await sessionOf(operator, who);
    const sending = new Sending(device, who);
    await serving(this.#farm, session);
    const { late, notInForce } = await revokeAndWatch(this.#farm, session, {
      revoke: () => revokeSession(operator, session),
    });
    await sending.stop();
    this.#tally.never(`requests after the acknowledgement after ${from}`, Number(late));
    this.#tally.never(`answers without "in force" after ${from}`, Number(notInForce));
    await this.#farm.login(device, who);
  }

  #file(what: 'identity' | 'recipient'): string {
    return join(this.#safe, `backup-${what}-rig.txt`);
  }

  #command(...order: string[]): Promise<string> {
    return sallyportOn(this.#node.host, order, this.#node.environment);
  }

  #off(hosts: Farm['cluster']['hosts']): void {
    for (const host of hosts) this.#farm.network.cut(host);
    for (const host of hosts) this.#farm.network.killHost(host);
  }
}
