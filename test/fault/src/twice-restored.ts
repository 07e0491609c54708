import { rmSync } from 'node:fs';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import type { Repeating } from '@sallyport/support';
import type { Farm, Server } from './farm.ts';
import { copyDatabase, dropDatabase, realmCommand } from './going-back.ts';
import type { Operator } from './operator.ts';
import { pick } from './pick.ts';
import { say } from './stores.ts';
import { allTroubles, faultsOf, proxyTroubles } from './troubles.ts';
import { Cohort, type RoundKind, type WatchedRound } from './watched-round.ts';

/** A device in a long run leaves room for other farms on the machine, ms. */
const UNHURRIED_MS = 30;
/** Revocations of a long run are asked for within this time, ms. */
const SPACING_MS = 3_000;
const TRIES = 3;

/** Restores of one backup that are opened, one after the other. */
export const RESTORES = 2;
/** Rounds of a long run, of each part. */
const LONG_PART = 8;

/** When rounds are asked for. */
const PARTS = ['before', 'first', 'second', 'after'] as const;
/** Before both restores of a backup, in the hold of the first and of the second one, and when both are over. */
export type Part = (typeof PARTS)[number];

/** What is revoked in each part: of a short run, and what a long one chooses from. The backup knows no session that begins after it. */
const SHORT: Readonly<Record<Part, readonly RoundKind[]>> = {
  before: ['user'],
  first: ['session', 'app'],
  second: ['user', 'installation'],
  after: [],
};
const LONG: Readonly<Record<Part, readonly RoundKind[]>> = {
  // Everything would end the sessions that the first restore is to find.
  before: ['session', 'user', 'installation', 'app', 'rights'],
  first: ['session', 'user', 'installation', 'app', 'rights', 'everything'],
  second: ['user', 'installation', 'app', 'rights', 'everything'],
  after: ['session', 'user', 'installation', 'app', 'rights', 'everything'],
};

/** Rounds behind one backup: of a short run, and of a long one. */
export const [SHORT_ROUNDS, LONG_ROUNDS] = [SHORT, LONG].map((kinds) =>
  PARTS.reduce((sum, part) => sum + (kinds === LONG ? LONG_PART : kinds[part].length), 0),
) as [number, number];

/** Who sleeps from before a revocation until it is acknowledged, or whether the node that is asked ends meanwhile. */
type Trouble = 'none' | 'proxy' | 'node' | 'restart';

/** What one backup that was restored twice has shown. */
export interface GoneBack {
  readonly rounds: Readonly<Record<Part, readonly WatchedRound[]>>;
  /** Rounds in which requests came after the acknowledgement, until all was over. */
  readonly late: number;
  /** Nodes that started on databases which another one has taken the place of, or that lost against another restore. */
  readonly wronglyOpen: number;
  /** "In force" from a node on an old database. */
  readonly wronglyInForce: number;
  /** Who was out for good and is in again: users that are enabled, devices that sign in. */
  readonly letIn: number;
  /** What the status said of the hold behind each restore, ms. */
  readonly holds: readonly number[];
  /** Restores while a Proxy could go on with what it knew. */
  readonly awake: number;
  /** Those after which it did, though the database of before was gone. */
  readonly servedOn: number;
  /** What was in the way of rounds, by name. */
  readonly troubles: Readonly<Record<string, number>>;
}

type Counted = 'wronglyOpen' | 'wronglyInForce' | 'letIn' | 'awake' | 'servedOn';

/** Which one it is. */
export interface GoingBackOrder {
  readonly number: number;
  /** Name of the database that works before it. */
  readonly before: string;
  /** One of many: of more rounds, in which somebody may sleep, or ends; and devices hurry less. */
  readonly isLong: boolean;
  /** Nobody comes after it. */
  readonly isLast: boolean;
  readonly random: () => number;
}

/** One backup, restored three times: twice at once, and once more while a node still works with the first one. */
export class TwiceRestored {
  readonly lastDatabase: string;
  readonly #farm: Farm;
  readonly #order: GoingBackOrder;
  readonly #atOnce: readonly [string, string];
  readonly #cohorts = new Map<Part, Cohort>();
  readonly #counts: Record<Counted, number> = { wronglyOpen: 0, wronglyInForce: 0, letIn: 0, awake: 0, servedOn: 0 };
  readonly #holds: number[] = [];
  readonly #troubles: Record<string, number> = {};

  constructor(farm: Farm, order: GoingBackOrder) {
    const { number } = order;
    this.#farm = farm;
    this.#order = order;
    this.#atOnce = [`life${number}a`, `life${number}b`];
    this.lastDatabase = `life${number}c`;
  }

  async run(): Promise<GoneBack> {
    const { nodes } = this.#farm;
    await this.#beforeRestores();
    await this.#twiceAtOnce();
    // Two lives at once: nobody knows by whom devices are served from here on.
    if (this.#counts.wronglyOpen > 0) return this.#found();
    const old = nodes.find(({ process }) => process.running)!;
    const next = nodes.find((node) => node !== old)!;
    await this.#oneLeftBehind(old, next);
    await this.#startOldAgain(old);
    await this.#tidy(old);
    await this.#afterRestores(old, next);
    return this.#found();
  }

  /** A backup is made, and then some are out: only the journal knows. */
  async #beforeRestores(): Promise<void> {
    const { before, isLong } = this.#order;
    const farm = this.#farm;
    const cohort = await this.#enrol('before');
    const first = await this.#enrol('first');
    await this.#enrol('second');
    await copyDatabase(farm, before, [...this.#atOnce, this.lastDatabase]);
    await Promise.all([cohort.send(), first.send()]);
    const faults = isLong ? faultsOf(allTroubles(farm), this.#seed()) : undefined;
    await this.#revoke('before', { operator: farm.operator });
    await this.#stop(faults, 'Proxies or nodes cut off or frozen before a restore');
    say('a backup was made, and some are out since');
  }

  /** Two restores are opened at once, while all Proxies are cut off and serve on. */
  async #twiceAtOnce(): Promise<void> {
    const farm = this.#farm;
    await this.#cohorts.get('first')!.served();
    const trouble = this.#chooses([7, 'none'], [2, 'proxy'], [1, 'restart']);
    await insist(farm.nodes[0]!, this.#order.before, ['close']);
    for (const node of farm.nodes) await node.process.end('SIGKILL');
    for (const proxy of farm.proxies) for (const { host } of farm.nodes) farm.network.cutBetween(proxy.host, host);
    const wake = this.#sleeps(trouble);
    const orders = await Promise.allSettled(
      this.#atOnce.map((name, i) => insist(farm.nodes[i]!, name, ['new-epoch', '--old-database-is-closed'])),
    );
    for (const order of orders) if (order.status === 'rejected') say(`a new epoch was refused: ${order.reason}`);
    const { first, opened } = await this.#opened(farm.nodes.map((node, i) => [node, this.#atOnce[i]!] as const));
    say('two restores were opened at once; the Proxies are cut off and serve on');
    await this.#revokeInHold('first', { node: first, trouble, wake });
    this.#counts.wronglyOpen += (await opened) - 1;
  }

  /** Another restore of the same backup, while a node and a Proxy stay with the first one, which nobody closed. */
  async #oneLeftBehind(old: Server, next: Server): Promise<void> {
    const farm = this.#farm;
    const [near, far] = farm.proxies;
    const cohort = this.#cohorts.get('second')!;
    await next.process.end('SIGKILL');
    for (const { host } of farm.proxies) farm.network.heal(host);
    farm.network.cutBetween(near!.host, next.host);
    farm.network.cutBetween(far!.host, old.host);
    await farm.ready(near!);
    await cohort.login();
    await cohort.send();
    const trouble = this.#chooses([5, 'none'], [2, 'proxy'], [2, 'node'], [1, 'restart']);
    // Nothing was closed, and nothing is off: what the operator says is not true.
    await insist(next, this.lastDatabase, ['new-epoch', '--old-database-is-off']);
    const wakeProxy = trouble === 'proxy' ? this.#sleeps(trouble) : undefined;
    await this.#opened([[next, this.lastDatabase]]);
    say('the database went back again; a node and a Proxy are left on the old one');
    await this.#revokeAtOld(old);
    const wake = wakeProxy ?? this.#sleeps(trouble, old);
    await this.#revokeInHold('second', { node: next, trouble, wake });
  }

  /** All is as it was, but for what is in the way now and then; a node is killed and comes back. */
  async #afterRestores(old: Server, next: Server): Promise<void> {
    if (!this.#order.isLong) return;
    const farm = this.#farm;
    const cohort = await this.#enrol('after');
    await cohort.send();
    const faults = faultsOf(proxyTroubles(farm), this.#seed());
    const operator = farm.operatorAt(next);
    const restart = this.#restartSoon(old);
    await this.#revoke('after', { operator });
    await restart;
    await this.#stop(faults, 'Proxies cut off or frozen after both restores');
    await operator.close();
    say('all are out that came after both restores');
  }

  /** Revokes the devices of a part while nothing may be in force. */
  async #revokeInHold(
    part: Part,
    order: { readonly node: Server; readonly trouble: Trouble; readonly wake: () => void },
  ): Promise<void> {
    const { node, trouble, wake } = order;
    const cohort = this.#cohorts.get(part)!;
    const restoredAt = performance.now();
    const operator = this.#farm.operatorAt(node);
    const { log } = await operator.call(api.status.get);
    this.#holds.push(log.holdMs);
    const restart = trouble === 'restart' ? this.#restartSoon(node) : undefined;
    await this.#revoke(part, { operator, afterwards: wake });
    await restart;
    if (trouble !== 'proxy') {
      this.#counts.awake += 1;
      this.#counts.servedOn += Number(cohort.lastRequestAt > restoredAt);
    }
    await operator.close();
  }

  /** Whoever has asked does so again, of a node that knows nothing of it. */
  async #restartSoon(node: Server): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.#order.random() * 2 * SPACING_MS));
    await this.#farm.restart(node);
  }

  #revoke(part: Part, order: { readonly operator: Operator; readonly afterwards?: () => void }): Promise<void> {
    const { isLong, random } = this.#order;
    return this.#cohorts.get(part)!.revoke({ ...order, random, spacingMs: isLong ? SPACING_MS : 0 });
  }

  async #enrol(part: Part): Promise<Cohort> {
    const { number, isLong } = this.#order;
    const pauseMs = isLong ? UNHURRIED_MS : undefined;
    const orders = this.#kindsOf(part).map((kind, i) => {
      return { kind, who: `${part}${number}-${i}`, version: `${number}.${PARTS.indexOf(part)}.${i}`, pauseMs };
    });
    const cohort = await Cohort.enrol(this.#farm, orders);
    this.#cohorts.set(part, cohort);
    return cohort;
  }

  /** In a long run each kind once at least, and the others at random; everything only once, for it is all there is. */
  #kindsOf(part: Part): readonly RoundKind[] {
    const { isLong, random } = this.#order;
    if (!isLong) return SHORT[part];
    const kinds = LONG[part];
    const single = kinds.filter((kind) => kind !== 'everything');
    const more = Array.from({ length: LONG_PART - kinds.length }, () =>
      pick(
        random,
        single.map((kind) => [1, kind]),
      ),
    );
    return [...kinds, ...more];
  }

  #seed(): number {
    return (this.#order.random() * 2 ** 31) | 0;
  }

  async #stop(faults: Repeating | undefined, what: string): Promise<void> {
    if (!faults) return;
    await faults.stop();
    this.#countTrouble(what, faults.count);
    for (const proxy of this.#farm.proxies) await this.#farm.ready(proxy);
  }

  #countTrouble(what: string, count = 1): void {
    this.#troubles[what] = (this.#troubles[what] ?? 0) + count;
  }

  /** What is in the way of the rounds in a hold; nothing in a short run. */
  #chooses(...choices: readonly (readonly [weight: number, trouble: Trouble])[]): Trouble {
    const trouble = this.#order.isLong ? pick(this.#order.random, choices) : 'none';
    if (trouble !== 'none') this.#countTrouble(WORDS[trouble]);
    return trouble;
  }

  /** Stops who sleeps; gives what wakes them. */
  #sleeps(trouble: Trouble, node?: Server): () => void {
    const server = { none: undefined, restart: undefined, proxy: this.#farm.proxies[0], node }[trouble];
    server?.process.kill('SIGSTOP');
    return () => server?.process.kill('SIGCONT');
  }

  /** A node on an old database may answer what it likes, but not that something is in force. */
  async #revokeAtOld(old: Server): Promise<void> {
    const operator = this.#farm.operatorAt(old);
    const body = { kind: 'app', subject: 'old@1', reason: 'rig' } as const;
    const params = { id: `old-${this.lastDatabase}` };
    const answer = await operator.once(api.revocations.put, { params, body }).catch(() => undefined);
    this.#counts.wronglyInForce += Number(answer?.inForce === true);
    await operator.close();
  }

  /** Somebody starts nodes again on the databases of before; what the nodes remember of them is lost. */
  async #startOldAgain(node: Server): Promise<void> {
    const old = [this.#order.before, node.environment['SALLYPORT_DATABASE_NAME']!];
    for (const database of old) {
      await node.process.end('SIGKILL');
      forget(node);
      this.#counts.wronglyOpen += Number(await this.#starts(node, database));
    }
    say('somebody started a node on the old databases again');
  }

  /** All nodes work with the last database. A Proxy that was left behind may know no other node than this one. */
  async #tidy(old: Server): Promise<void> {
    const farm = this.#farm;
    forget(old);
    await farm.restart(old, { environment: { SALLYPORT_DATABASE_NAME: this.lastDatabase } });
    for (const { host } of farm.proxies) farm.network.heal(host);
    for (const proxy of farm.proxies) await farm.ready(proxy);
    if (this.#order.isLast) return;
    for (const database of [this.#order.before, ...this.#atOnce]) await dropDatabase(farm, database);
  }

  /** What there is to say when all is over: nobody was watched for less long than this. */
  async #found(): Promise<GoneBack> {
    const cohorts = [...this.#cohorts.values()];
    const late = cohorts.flatMap(({ rounds }) => rounds).filter((round) => round.late).length;
    if (this.#counts.wronglyOpen === 0) await this.#countLetIn(cohorts);
    for (const cohort of cohorts) await cohort.end();
    const rounds = Object.fromEntries(PARTS.map((part) => [part, this.#cohorts.get(part)?.rounds ?? []]));
    return {
      ...this.#counts,
      rounds: rounds as GoneBack['rounds'],
      late,
      holds: this.#holds,
      troubles: this.#troubles,
    };
  }

  async #countLetIn(cohorts: readonly Cohort[]): Promise<void> {
    this.#counts.letIn += await this.#countEnabled();
    for (const cohort of cohorts) this.#counts.letIn += await cohort.countLetIn();
  }

  /** Users of this backup who were disabled, and are not. */
  async #countEnabled(): Promise<number> {
    const out = new Set(
      [...this.#cohorts.values()]
        .flatMap(({ rounds }) => rounds)
        .filter(({ kind }) => kind === 'user')
        .map(({ who }) => who),
    );
    const users = await this.#farm.operator.call(api.users.list, { query: { limit: '5000' } });
    return users.filter(({ name, enabled }) => out.has(name) && enabled).length;
  }

  /**
   * Starts nodes on their databases, and gives the first that has started; whoever has lost may take longer to find that out than the
   * hold lasts. Again where none starts: a machine may be too busy for one. @throws Error when none does
   */
  async #opened(all: readonly (readonly [node: Server, database: string])[]): Promise<Opened> {
    for (let left = TRIES; left > 0; left--) {
      const tried = all.map(async ([node, database]) => ((await this.#starts(node, database)) ? node : undefined));
      const opened = Promise.all(tried).then((nodes) => nodes.filter(Boolean).length);
      const first = await Promise.any(tried.map(async (one) => (await one) ?? Promise.reject())).catch(() => undefined);
      if (first) return { first, opened };
    }
    throw new Error(`no node starts on ${all.map(([, database]) => database).join(' or ')}`);
  }

  #starts(node: Server, database: string): Promise<boolean> {
    return this.#farm.starts(node, { SALLYPORT_DATABASE_NAME: database });
  }
}

/** Which node has started, and how many have in the end. */
interface Opened {
  readonly first: Server;
  readonly opened: Promise<number>;
}

const WORDS: Readonly<Record<Exclude<Trouble, 'none'>, string>> = {
  proxy: 'the Proxy of the devices slept through a restore and its hold',
  node: 'the node at the old database slept through a hold',
  restart: 'the restored node was killed in its hold and started again',
};

/** The operator's command, again while the database does not answer: a busy machine may let it fail over at any time. */
async function insist(node: Server, database: string, order: readonly string[]): Promise<void> {
  for (let left = TRIES; ; left--) {
    try {
      await realmCommand(node, database, ...order);
      return;
    } catch (error) {
      if (left === 1 || !String(error).includes('the database does not answer')) throw error;
    }
  }
}

/** A node without memory of the databases that it worked with. */
function forget({ environment }: Server): void {
  rmSync(join(environment['SALLYPORT_DATA']!, 'security', 'database-main.json'), { force: true });
}
