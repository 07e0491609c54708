import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { Farm, type Server } from '../farm.ts';
import { copyDatabase, dropDatabase, leaseToStartIn, realmCommand } from '../going-back.ts';
import type { Operator } from '../operator.ts';
import { pick, randomFrom } from '../random.ts';
import { type Acknowledged, revokeAndWatch, revokeSession, Sending, serving, sessionOf } from '../single-session.ts';
import { say } from '../stores.ts';
import { Tally } from '../tally.ts';
import type { Scenario } from './scenario.ts';

/** Longer than it takes to open a restored database and to start a node: a Proxy that is cut off still holds a lease then. */
const LEASE_MS = 12_000;
/** A device in a long run leaves room for other farms on the machine, ms. */
const UNHURRIED_MS = 20;
/** Of ten restores so many come while a Proxy serves on: a machine may be busy for a moment. */
const OF_TEN = 9;
const TRIES = 3;

/** Who sleeps from before a revocation until it is acknowledged: nobody, the Proxy of the device, or a node on an old database. */
type Sleeper = 'nobody' | 'proxy' | 'node';

interface Round {
  readonly acknowledged: readonly Acknowledged[];
  /** Nodes that started on databases which another one has taken the place of, or that lost against another restore. */
  readonly wronglyOpen: number;
  /** "In force" from a node on an old database. */
  readonly wronglyInForce: number;
  /** Users that were disabled after the backup and are not. */
  readonly letIn: number;
  readonly heldShown: number;
  /** Restores while a Proxy could go on with what it knew. */
  readonly awake: number;
  /** Those after which it did, though the database of before was gone. */
  readonly servedOn: number;
}

/** The database goes back twice, by the operator's own command, while Proxies are cut off or left behind. */
export const restore: Scenario = {
  about:
    'the database goes back, twice, from one backup; Proxies are cut off; a node stays at an old one or starts there again',
  short: { sessions: 1, rounds: 1 },
  long: { sessions: 1, rounds: 10 },
  async run({ rounds, seed }) {
    const tally = new Tally();
    const random = randomFrom(seed);
    const isLong = rounds > 1;
    const leaseMs = await leaseToStartIn(LEASE_MS);
    const farm = await Farm.start({ nodes: 2, proxies: 2, leaseMs, journal: true });
    if (isLong && random() < 0.5) await farm.addTwin(farm.proxies[0]!);
    await farm.lead(farm.proxies[0]!);
    const [done, times]: [Round[], number[]] = [[], []];
    let database = 'sallyport';
    for (let i = 0; i < rounds; i++) {
      const startedAt = performance.now();
      const going = new GoingBack(farm, { before: database, number: i, isLong, random });
      done.push(await going.round());
      database = going.lastDatabase;
      times.push(performance.now() - startedAt);
    }
    const all = done.flatMap(({ acknowledged }) => acknowledged);
    const sum = (what: Counted): number => done.reduce((before, round) => before + round[what], 0);
    tally.never('requests after the acknowledgement', all.filter(({ late }) => late).length);
    tally.never('answers without "in force"', all.filter(({ notInForce }) => notInForce).length);
    tally.never('old or lost databases that a node opened', sum('wronglyOpen'));
    tally.never('"in force" from a node on an old database', sum('wronglyInForce'));
    tally.never('users whom a restore let in again', sum('letIn'));
    tally.atLeast('restores after which the status showed the hold', sum('heldShown'), 2 * rounds);
    tally.reached('restores after which a Proxy served on', sum('servedOn'), Math.floor((sum('awake') * OF_TEN) / 10));
    tally.times(
      'acknowledgement after a restore',
      all.map(({ ackMs }) => ackMs),
    );
    tally.times('a round', times);
    await farm.stop();
    return tally;
  },
};

type Counted = Exclude<keyof Round, 'acknowledged'>;

/** Which round it is. */
interface GoingOrder {
  readonly number: number;
  /** Name of the database that works before it. */
  readonly before: string;
  /** One of many rounds: somebody may sleep in it, and devices hurry less. */
  readonly isLong: boolean;
  readonly random: () => number;
}

/** One backup, restored three times: twice at once, and once more while a node still works with the first one. */
class GoingBack {
  readonly lastDatabase: string;
  readonly #farm: Farm;
  readonly #before: string;
  readonly #atOnce: readonly [string, string];
  readonly #names: { readonly kept: string; readonly out: string };
  readonly #isLong: boolean;
  readonly #random: () => number;
  readonly #round = { wronglyOpen: 0, wronglyInForce: 0, letIn: 0, heldShown: 0, awake: 0, servedOn: 0 };

  constructor(farm: Farm, { before, number, isLong, random }: GoingOrder) {
    this.#farm = farm;
    this.#before = before;
    this.#isLong = isLong;
    this.#random = random;
    this.#atOnce = [`life${number}a`, `life${number}b`];
    this.lastDatabase = `life${number}c`;
    this.#names = { kept: `kept${number}`, out: `out${number}` };
  }

  async round(): Promise<Round> {
    const { nodes } = this.#farm;
    const cutOff = await this.#twiceAtOnce();
    const old = nodes.find(({ process }) => process.running)!;
    const leftBehind = await this.#oneLeftBehind(old, nodes.find((node) => node !== old)!);
    await this.#startOldAgain(old);
    await this.#tidy(old);
    return { ...this.#round, acknowledged: [cutOff, leftBehind] };
  }

  /** Two restores are prepared at once and both are opened, while all Proxies are cut off and serve on. */
  async #twiceAtOnce(): Promise<Acknowledged> {
    const farm = this.#farm;
    const device = await farm.device(this.#names.kept);
    await addUser(farm.operator, this.#names.out);
    await copyDatabase(farm, this.#before, [...this.#atOnce, this.lastDatabase]);
    await disable(farm.operator, this.#names.out);
    const session = await sessionOf(farm.operator, this.#names.kept);
    const sending = this.#sending(device);
    await serving(farm, session);
    const sleeper = this.#chooses([8, 'nobody'], [2, 'proxy']);
    await realmCommand(farm.nodes[0]!, this.#before, 'close');
    for (const node of farm.nodes) await node.process.end('SIGKILL');
    for (const proxy of farm.proxies) for (const { host } of farm.nodes) farm.network.cutBetween(proxy.host, host);
    const wake = this.#sleeps(sleeper);
    await Promise.allSettled(
      this.#atOnce.map((name, i) => realmCommand(farm.nodes[i]!, name, 'new-epoch', '--old-database-is-closed')),
    );
    const opened = await this.#opened(farm.nodes.map((node, i) => [node, this.#atOnce[i]!] as const));
    this.#round.wronglyOpen += opened.length - 1;
    const restoredAt = performance.now();
    say('two restores were opened at once; the Proxies are cut off and serve on');
    const operator = farm.operatorAt(opened[0]!);
    await this.#lookAtHold(operator);
    const result = await revokeAndWatch(farm, session, {
      revoke: () => revokeSession(operator, session),
      afterwards: wake,
    });
    this.#countServed(result, { sleeper, restoredAt });
    await sending.stop();
    device.close();
    await operator.close();
    return result;
  }

  /** Another restore of the same backup, while a node and a Proxy stay with the first one, which nobody closed. */
  async #oneLeftBehind(old: Server, next: Server): Promise<Acknowledged> {
    const farm = this.#farm;
    const [near, far] = farm.proxies;
    await next.process.end('SIGKILL');
    for (const { host } of farm.proxies) farm.network.heal(host);
    farm.network.cutBetween(near!.host, next.host);
    farm.network.cutBetween(far!.host, old.host);
    await farm.ready(near!);
    const device = await farm.device(this.#names.kept);
    const session = await sessionOf(farm.operator, this.#names.kept);
    const sending = this.#sending(device);
    await serving(farm, session);
    const sleeper = this.#chooses([6, 'nobody'], [2, 'proxy'], [2, 'node']);
    // Nothing was closed, and nothing is off: what the operator says is not true.
    await realmCommand(next, this.lastDatabase, 'new-epoch', '--old-database-is-off');
    const wake = sleeper === 'proxy' ? this.#sleeps(sleeper) : undefined;
    await this.#opened([[next, this.lastDatabase]]);
    const restoredAt = performance.now();
    say('the database went back again; a node and a Proxy are left on the old one');
    const operator = farm.operatorAt(next);
    await this.#lookAtHold(operator);
    await this.#revokeAtOld(old);
    const result = await revokeAndWatch(farm, session, {
      revoke: () => disable(operator, this.#names.kept),
      afterwards: wake ?? this.#sleeps(sleeper, old),
    });
    this.#countServed(result, { sleeper, restoredAt });
    this.#round.letIn += await countEnabled(operator, this.#names.out);
    await sending.stop();
    device.close();
    await operator.close();
    return result;
  }

  #sending(device: Device): Sending {
    return new Sending(device, this.#names.kept, this.#isLong ? UNHURRIED_MS : undefined);
  }

  /** Who sleeps; nobody in a short run. */
  #chooses(...choices: readonly (readonly [weight: number, sleeper: Sleeper])[]): Sleeper {
    return this.#isLong ? pick(this.#random, choices) : 'nobody';
  }

  /** Stops who sleeps; gives what wakes them. */
  #sleeps(sleeper: Sleeper, node?: Server): () => void {
    const server = { nobody: undefined, proxy: this.#farm.proxies[0], node }[sleeper];
    server?.process.kill('SIGSTOP');
    return () => server?.process.kill('SIGCONT');
  }

  #countServed(
    { lastRequestAt }: Acknowledged,
    { sleeper, restoredAt }: { readonly sleeper: Sleeper; readonly restoredAt: number },
  ): void {
    if (sleeper === 'proxy') return;
    this.#round.awake += 1;
    this.#round.servedOn += Number(lastRequestAt > restoredAt);
  }

  /** A node on an old database may answer what it likes, but not that something is in force. */
  async #revokeAtOld(old: Server): Promise<void> {
    const operator = this.#farm.operatorAt(old);
    const body = { kind: 'app', subject: 'old@1', reason: 'rig' } as const;
    const params = { id: `old-${this.lastDatabase}` };
    const answer = await operator.once(api.revocations.put, { params, body }).catch(() => undefined);
    this.#round.wronglyInForce += Number(answer?.inForce === true);
    await operator.close();
  }

  /** Somebody starts nodes again on the databases of before; what the nodes remember of them is lost. */
  async #startOldAgain(node: Server): Promise<void> {
    const old = [this.#before, node.environment['SALLYPORT_DATABASE_NAME']!];
    for (const database of old) {
      await node.process.end('SIGKILL');
      forget(node);
      this.#round.wronglyOpen += (await this.#tryNodes([[node, database]])).length;
    }
    say('somebody started a node on the old databases again');
  }

  /** All nodes work with the last database. */
  async #tidy(old: Server): Promise<void> {
    const farm = this.#farm;
    forget(old);
    await farm.restart(old, { environment: { SALLYPORT_DATABASE_NAME: this.lastDatabase } });
    for (const { host } of farm.proxies) farm.network.heal(host);
    for (const proxy of farm.proxies) await farm.ready(proxy);
    for (const database of [this.#before, ...this.#atOnce]) await dropDatabase(farm, database);
  }

  /** The same, again where none starts: a machine may be too busy for one. @throws Error when none does */
  async #opened(all: readonly (readonly [node: Server, database: string])[]): Promise<Server[]> {
    for (let tries = TRIES; tries > 0; tries--) {
      const opened = await this.#tryNodes(all);
      if (opened.length > 0) return opened;
    }
    throw new Error(`no node starts on ${all.map(([, database]) => database).join(' or ')}`);
  }

  /** The nodes that start on their databases. */
  async #tryNodes(all: readonly (readonly [node: Server, database: string])[]): Promise<Server[]> {
    const tried = await Promise.all(
      all.map(([node, database]) => this.#farm.starts(node, { SALLYPORT_DATABASE_NAME: database })),
    );
    return all.filter((_, i) => tried[i]).map(([node]) => node);
  }

  async #lookAtHold(operator: Operator): Promise<void> {
    const { log } = await operator.call(api.status.get);
    this.#round.heldShown += Number(log.holdMs > 0);
  }
}

/** A node without memory of the databases that it worked with. */
function forget({ environment }: Server): void {
  rmSync(join(environment['SALLYPORT_DATA']!, 'security', 'database-main.json'), { force: true });
}

async function addUser(operator: Operator, name: string): Promise<void> {
  await operator.call(api.users.put, { params: { name }, body: { groups: ['staff'] } });
}

function disable(operator: Operator, name: string): Promise<{ inForce: boolean }> {
  return operator.call(api.users.disable, { params: { name } });
}

async function countEnabled(operator: Operator, name: string): Promise<number> {
  const users = await operator.call(api.users.list);
  return users.filter((user) => user.name === name && user.enabled).length;
}
