import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { passphraseFile } from '@sallyport/archive';
import type { LocalArchive } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { randomFrom, waitFor } from '@sallyport/support';
import { sallyportOn, startOn } from '../command-on.ts';
import { AUTHORITY, Farm } from '../farm.ts';
import { realmCommand } from '../going-back.ts';
import { PutOut, revokeAndWatch, revokeSession, Sending, serving, sessionOf } from '../single-session.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

/** What may be lost at most of what was acknowledged, ms. */
const LOSS_MS = 5_000;
const SEGMENT_MS = 3_000;
/** The hold after a restore is as long. */
const LEASE_MS = 8_000;
/** A restore that is killed has got this far at most, ms. */
const KILLED_WITHIN_MS = 6_000;
/** How long changes are made before all databases are destroyed, ms. */
const LOAD_MS = 8_000;

/** A change, and when it was acknowledged. */
interface Noted {
  readonly name: string;
  readonly at: number;
}

/** All WAL goes to a repository by the real pgBackRest; all database hosts are destroyed, and restored from it. */
export const archive: Scenario = {
  about:
    'all database hosts are destroyed under load and restored from the archive: seconds are lost, no revocation is',
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 3 },
  async run({ rounds, seed }) {
    const tally = new Tally();
    const farm = await Farm.start({ nodes: 2, proxies: 1, journal: 'elsewhere', archive: true, leaseMs: LEASE_MS });
    const disaster = new Disaster(farm, tally, randomFrom(seed));
    for (let i = 0; i < rounds; i++) await disaster.everythingIsDestroyed(i);
    if (rounds > 1) {
      await disaster.verified();
      await disaster.wrongRevocation();
      await disaster.named();
    }
    await farm.stop();
    return tally;
  },
};

class Disaster {
  readonly #farm: Farm;
  readonly #tally: Tally;
  readonly #archive: LocalArchive;
  readonly #random: () => number;

  constructor(farm: Farm, tally: Tally, random: () => number) {
    this.#random = random;
    this.#farm = farm;
    this.#tally = tally;
    this.#archive = farm.cluster.archive!;
  }

  /** What keeps the repository from taking WAL is named, by the command and by the status, and goes when it is mended. */
  async named(): Promise<void> {
    const { repository } = this.#archive.plan;
    await this.#faulty('ERR_ARCHIVE_PASSPHRASE', () => {
      const file = passphraseFile(repository);
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace(/pass=.*/, 'pass=somebody-elses-passphrase'));
      return () => writeFileSync(file, text);
    });
    await this.#faulty('ERR_ARCHIVE_FULL', () => {
      const file = join(repository.repositoryFolder, '..', 'filler');
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M'], { stdio: 'ignore' });
      } catch {}
      return () => rmSync(file);
    });
    await this.#repositoryGone();
  }

  async #faulty(code: string, fault: () => () => void): Promise<void> {
    const mend = fault();
    const { code: exitCode, output } = await this.#check();
    if (!output.includes(code)) say(output);
    this.#tally.never(`checks that do not name ${code}`, Number(exitCode === 0 || !output.includes(code)));
    mend();
    await this.#well();
  }

  async #repositoryGone(): Promise<void> {
    const { repository } = this.#archive;
    const takesNothing = async (): Promise<boolean> =>
      (await this.#farm.status()).degraded.some((words) => words.startsWith('the archive takes no WAL'));
    await repository.end('SIGKILL');
    const { code, output } = await this.#check();
    this.#tally.never(
      'checks that do not name ERR_ARCHIVE_GONE',
      Number(code === 0 || !output.includes('ERR_ARCHIVE_GONE')),
    );
    await waitFor(takesNothing, 'the status that says that the archive takes nothing');
    repository.start();
    await this.#well();
    await waitFor(async () => !(await takesNothing()), 'the status to say nothing of the archive');
    say('what is wrong with the repository was named, and gone when it was mended');
  }

  async #check(): Promise<{ code: number; output: string }> {
    const primary = await this.#farm.cluster.getPrimary();
    return startOn(this.#farm.cluster.hosts[primary]!, this.#order('check', primary), this.#environment).done;
  }

  async #well(): Promise<void> {
    await waitFor(async () => (await this.#check()).code === 0, 'the archive to take WAL again');
  }

  /** The archive counts once somebody has restored it, beside everything else, and said so. */
  async verified(): Promise<void> {
    const { cluster, folder, operator } = this.#farm;
    const unproven = async (): Promise<boolean> =>
      (await this.#farm.status()).degraded.some((words) => words.includes('restored the archive'));
    this.#tally.never('statuses that pass over an archive that nobody restored', Number(!(await unproven())));
    const receipt = join(folder, 'archive-receipt.json');
    // The disks of the hosts are as small as the rig needs them.
    const [host, scratch] = [cluster.hosts[1]!, join(folder, 'scratch')];
    mkdirSync(scratch, { mode: 0o755 });
    const order = [...this.#order('verify', 1), '--scratch', scratch, '--receipt', receipt];
    const left = (): number => readdirSync(scratch).filter((name) => name.startsWith('sallyport-archive-')).length;
    const broken = startOn(host, order, this.#environment);
    await waitFor(() => left() > 0, 'a scratch database');
    await sleep(this.#random() * KILLED_WITHIN_MS);
    broken.kill('SIGINT');
    await broken.done;
    this.#tally.never('databases that a verification left which Ctrl-C broke off', left());
    say(await sallyportOn(host, order, this.#environment));
    const [body] = JSON.parse(readFileSync(receipt, 'utf8')) as [api.BodyOf<typeof api.safeguards.prove>];
    await operator.call(api.safeguards.prove, { body });
    this.#tally.never('statuses that ask for what was done', Number(await unproven()));
  }

  /** Acknowledged changes, revocations among them, until all database hosts are gone at one moment. */
  async everythingIsDestroyed(round: number): Promise<void> {
    const { operator } = this.#farm;
    const device = await this.#farm.device(`kept${round}`);
    const noted: Noted[] = [];
    const out: string[] = [];
    let destroyed = false;
    const changes = this.#until(
      () => destroyed,
      `u${round}`,
      async (name) => {
        await operator.once(api.users.put, { params: { name }, body: { groups: ['staff'] } });
        noted.push({ name, at: performance.now() });
      },
    );
    const revocations = this.#until(
      () => destroyed,
      `out${round}`,
      async () => {
        // Whom the repository knows by then: of others there is nothing left to let in.
        const known = noted.findLast(({ at }) => at < performance.now() - LOSS_MS)?.name;
        if (known === undefined || out.includes(known)) return;
        const { inForce } = await operator.once(api.users.disable, { params: { name: known } });
        if (inForce) out.push(known);
      },
    );
    const gone = await PutOut.begin(this.#farm, `gone${round}`);
    await sleep(LOAD_MS);
    this.#tally.never('revocations before the disaster that were not in force', Number(!(await gone.putOut(operator))));
    await this.#destroy();
    const destroyedAt = performance.now();
    destroyed = true;
    await Promise.all([changes, revocations]);
    const tookMs = await this.#restore(['--to', this.#dataFolder]);
    const users = new Map(
      (await operator.call(api.users.list, { query: { limit: '5000' } })).map(({ name, enabled }) => [name, enabled]),
    );
    const lost = noted.filter(({ name }) => !users.has(name));
    const oldest = Math.min(destroyedAt, ...lost.map(({ at }) => at));
    this.#tally.atLeast('acknowledged changes before the disaster', noted.length, 10);
    this.#tally.within('loss: what was acknowledged so long before the disaster', destroyedAt - oldest, LOSS_MS);
    this.#tally.atLeast('acknowledged revocations before the disaster', out.length, 1);
    this.#tally.never('users let in again', out.filter((name) => users.get(name) === true).length);
    this.#tally.numbers[`restore ${round + 1}`] =
      `${lost.length} of ${noted.length} changes lost, served again after ${Math.round(tookMs / 1_000)} s`;
    this.#tally.never('requests and logins of who was out before the disaster', await gone.cameThrough());
    await this.#servedAfterOneLogin(device, `kept${round}`);
    await this.#revokedAfterwards(device, `kept${round}`);
    device.close();
  }

  /** What is revoked in the new epoch is served no more once that was acknowledged. */
  async #revokedAfterwards(device: Awaited<ReturnType<Farm['device']>>, who: string): Promise<void> {
    const { operator } = this.#farm;
    const session = await sessionOf(operator, who);
    const sending = new Sending(device, who);
    await serving(this.#farm, session);
    const { late, notInForce } = await revokeAndWatch(this.#farm, session, {
      revoke: () => revokeSession(operator, session),
    });
    await sending.stop();
    this.#tally.never('requests after the acknowledgement of what was revoked after the restore', Number(late));
    this.#tally.never('answers without "in force" after the restore', Number(notInForce));
  }

  async #until(over: () => boolean, prefix: string, work: (name: string) => Promise<void>): Promise<void> {
    for (let i = 0; !over(); i++) {
      await work(`${prefix}-${i}`).catch(() => undefined);
      await sleep(5);
    }
  }

  /** Somebody revokes everything by mistake: the state before that moment comes back. */
  async wrongRevocation(): Promise<void> {
    const { operator } = this.#farm;
    const device = await this.#farm.device('spared');
    await this.#archive.run('backup', '--type=diff');
    await operator.call(api.users.put, { params: { name: 'before' }, body: { groups: ['staff'] } });
    await sleep(1_000);
    const body = { kind: 'before', subject: 'now', reason: 'a mistake' } as const;
    await operator.call(api.revocations.put, { params: { id: 'wrong-revoke-everything' }, body });
    await operator.call(api.users.put, { params: { name: 'after' }, body: { groups: ['staff'] } });
    const events = await operator.call(api.audit.list, { query: { limit: '100' } });
    const { at } = events.find(({ action }) => action.startsWith('revoke'))!;
    await sleep(2 * SEGMENT_MS);
    await this.#destroy();
    await this.#restore(['--to', this.#dataFolder, '--before', new Date(at).toISOString()]);
    const names = (await operator.call(api.users.list, { query: { limit: '5000' } })).map(({ name }) => name);
    this.#tally.never('changes before the moment that are not there', Number(!names.includes('before')));
    this.#tally.never('changes after the moment that are there', Number(names.includes('after')));
    await this.#servedAfterOneLogin(device, 'spared');
    device.close();
  }

  async #servedAfterOneLogin(device: Awaited<ReturnType<Farm['device']>>, user: string): Promise<void> {
    await this.#farm.login(device, user);
    const answer = await device.fetch(`http://${AUTHORITY}/${user}/again`);
    this.#tally.never('devices that are not served after one login', Number(!answer.ok));
    await answer.text();
  }

  /** At one moment no database host is left, and nothing of what they had. */
  async #destroy(): Promise<void> {
    const { cluster, network } = this.#farm;
    for (const host of cluster.hosts) network.cut(host);
    for (const host of cluster.hosts) network.killHost(host);
    for (const host of cluster.hosts) {
      for (const part of ['postgres', 'etcd', 'pgbackrest'])
        rmSync(join(cluster.place.hostFolder(host), part), { recursive: true, force: true });
    }
    for (const { process } of this.#farm.nodes) await process.end('SIGKILL');
    say('all database hosts are destroyed');
  }

  get #dataFolder(): string {
    return join(this.#farm.cluster.place.hostFolder(this.#farm.cluster.hosts[0]!), 'postgres');
  }

  /** What docs/high-availability.md says, by its commands. Gives how long it took until a Proxy served again, ms. */
  async #restore(what: readonly string[]): Promise<number> {
    const { cluster, network, nodes, proxies } = this.#farm;
    const startedAt = performance.now();
    for (const host of cluster.hosts) network.heal(host);
    for (const [i, host] of cluster.hosts.entries()) await sallyportOn(host, this.#setup(i), this.#environment);
    const order = [...this.#order('restore', 0), ...what];
    // Killed once on its way, the same command finishes.
    const killed = startOn(cluster.hosts[0]!, order, this.#environment);
    await Promise.race([killed.done, sleep(this.#random() * KILLED_WITHIN_MS)]);
    killed.kill();
    const { code } = await killed.done;
    if (code === 0) rmSync(this.#dataFolder, { recursive: true });
    const said = await sallyportOn(cluster.hosts[0]!, order, this.#environment);
    say(said.split('\n').slice(0, 3).join('; '));
    await cluster.resume();
    this.#tally.never('nodes that started before there was a new epoch', Number(await this.#farm.starts(nodes[0]!)));
    await realmCommand(nodes[0]!, 'sallyport', 'new-epoch', '--old-database-is-off');
    for (const node of nodes) await this.#farm.restart(node);
    for (const proxy of proxies) await this.#farm.ready(proxy);
    return performance.now() - startedAt;
  }

  #setup(i: number): string[] {
    const { plan } = this.#archive;
    const { repository, databases, tls } = plan;
    const own = databases[i]!;
    const at = ({ address, port }: { address: string; port: number }): string => `${address}:${port}`;
    return [
      ...['backup', 'continuous', 'setup', '--role', 'database', '--name', own.address],
      ...['--repository', at(repository), '--database', ...databases.map(at)],
      ...['--certificate-name', own.certificateName, '--data-folder', own.dataFolder, '--socket', own.socketFolder],
      ...['--postgres-port', String(own.postgresPort), '--repository-folder', repository.repositoryFolder],
      ...['--tls', join(tls.ca, '..'), '--folder', own.folder, '--work', own.folder],
      ...['--repository-config', repository.folder],
    ];
  }

  #order(verb: string, i: number): string[] {
    return ['backup', 'continuous', verb, '--folder', this.#archive.plan.databases[i]!.folder];
  }

  get #environment(): Record<string, string> {
    return this.#archive.environment;
  }
}
