import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PORTS } from '../ports.ts';
import { describeMachine } from '../report.ts';
import { Farm, type FarmCpu } from './farm.ts';
import type { FarmDevice } from './farm-device.ts';
import { ForwardUser } from './forward-user.ts';
import { KINDS } from './honest-devices.ts';
import type { HonestReport } from './play-honest.ts';
import { Player } from './players.ts';

const HELP = `npm run hostile -- [device] [backend] [neighbour] [--seconds N] [--alone N] [--devices N] [--proxies N] [--rate N]

Runs a farm with honest devices, first alone, then beside each kind of hostile party (all three unless some are named) for so many seconds.
Ends with 1 when an honest device got a wrong answer, a failed request, or lost its session or channel.
`;

const PARTIES = ['device', 'backend', 'neighbour'] as const;
type Party = (typeof PARTIES)[number];

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    alone: { type: 'string' },
    devices: { type: 'string', default: '100' },
    proxies: { type: 'string', default: '2' },
    rate: { type: 'string', default: '50' },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

const SECOND_MS = 1_000;
const LOOK_MS = 500;
/** Between two parties the farm comes to rest. */
const REST_MS = 5_000;
const VISITORS = 10;
const HONEST_NETWORK = 1;
const HOSTILE_NETWORK = 2;
const FORWARD_USER = 'fay';
/** Lines of what went wrong that are printed of each phase. */
const MAX_LINES = 10;

/** What a phase gave. */
interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly honest: HonestReport;
  readonly forward: ReturnType<ForwardUser['report']>;
  readonly cpu: FarmCpu;
  readonly partyCpu: number;
  /** The process that plays the honest devices. */
  readonly honestCpu: number;
  readonly peakMiB: number;
  readonly tries: string;
  readonly problems: readonly string[];
}

/** Everybody who plays, and the farm between them. */
class Stage {
  readonly #farm: Farm;
  readonly #honest: Player = new Player('play-honest.ts');
  readonly #backend: Player = new Player('play-backends.ts');
  readonly #forwardUser = new ForwardUser(FORWARD_USER, PORTS.forward);
  readonly #stopped = new AbortController();
  #hostile: readonly FarmDevice[] = [];

  private constructor(farm: Farm) {
    this.#farm = farm;
  }

  static async set(): Promise<Stage> {
    const stage = new Stage(await Farm.start(Number(values.proxies)));
    await stage.#set().catch(async (error) => {
      await stage.clear();
      throw error;
    });
    return stage;
  }

  async #set(): Promise<void> {
    const farm = this.#farm;
    await this.#backend.ask({ kind: 'honest', port: PORTS.backend });
    await farm.addResource('honest', `http://127.0.0.1:${PORTS.backend}`);
    await farm.addResource('hostile', `http://127.0.0.1:${PORTS.uploads}`);
    const users = Array.from({ length: Number(values.devices) }, (_, i) => `ada-${i}`);
    say(`enrolling ${users.length} honest devices`);
    const devices = await farm.devices(users, HONEST_NETWORK);
    const others = ['mallory', ...Array.from({ length: VISITORS }, (_, i) => `visitor-${i}`)];
    this.#hostile = (await farm.devices(others, HOSTILE_NETWORK)).sort((a, b) => (a.user < b.user ? -1 : 1));
    await farm.forward(FORWARD_USER, PORTS.forward);
    await this.#honest.ask({ devices });
    void this.#forwardUser.work(this.#stopped.signal);
  }

  /** The honest devices for some seconds, beside a party or alone. */
  async play(name: 'alone' | Party, seconds: number): Promise<Phase> {
    say(`${name}: ${seconds} s`);
    const party = name === 'alone' ? [] : await this.#begin(name);
    await sleep(2 * SECOND_MS);
    await this.#honest.ask('reset');
    this.#forwardUser.report();
    const [cpuBefore, partyBefore, startedAt] = [this.#farm.cpu(), cpuOf(party), performance.now()];
    const honestBefore = this.#honest.cpu();
    let peakMiB = 0;
    for (const until = startedAt + seconds * SECOND_MS; performance.now() < until; ) {
      await sleep(LOOK_MS);
      peakMiB = Math.max(peakMiB, this.#farm.proxyMiB());
    }
    const [cpuAfter, partyCpu, passed] = [this.#farm.cpu(), cpuOf(party) - partyBefore, performance.now() - startedAt];
    const honestCpu = this.#honest.cpu() - honestBefore;
    const honest = await this.#honest.ask<HonestReport>('report');
    const tries: string[] = [];
    for (const player of party) if (player !== this.#evil) tries.push(await player.ask<string>('tries'));
    for (const player of party) await player.end();
    const share = (part: keyof FarmCpu): number => (cpuAfter[part] - cpuBefore[part]) / passed / 1_000;
    return {
      name,
      seconds,
      honest,
      forward: this.#forwardUser.report(),
      cpu: { Proxies: share('Proxies'), Security: share('Security'), database: share('database') },
      partyCpu: partyCpu / passed / 1_000,
      honestCpu: honestCpu / passed / 1_000,
      peakMiB,
      tries: tries.join('; '),
      problems: [...this.#farm.problems(), ...(this.#farm.forwardRuns ? [] : ['device forward ended'])],
    };
  }

  async clear(): Promise<void> {
    this.#stopped.abort();
    for (const player of [this.#honest, this.#backend]) await player.end();
    await this.#farm.stop();
  }

  /** The hostile backend of this phase, which is not asked for its tries. */
  #evil: Player | undefined;

  async #begin(name: Party): Promise<Player[]> {
    const { origins } = this.#farm;
    const [mallory, ...visitors] = this.#hostile;
    if (name === 'device') return [await began('play-hostile-device.ts', { origins, device: mallory! })];
    if (name === 'backend') {
      this.#evil = await began('play-backends.ts', { kind: 'hostile', port: PORTS.uploads });
      return [this.#evil, await began('play-visitors.ts', visitors)];
    }
    const { kid, rs } = mallory!.record;
    const order = { origins, kid, rs, forwardPort: PORTS.forward, rate: Number(values.rate) };
    return [await began('play-neighbour.ts', order)];
  }
}

async function began(module: string, order: unknown): Promise<Player> {
  const player = new Player(module);
  await player.ask(order);
  return player;
}

function cpuOf(players: readonly Player[]): number {
  return players.reduce((sum, player) => sum + player.cpu(), 0);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** True when honest devices saw anything but a slowdown. */
function harmed({ honest, forward, problems }: Phase): boolean {
  const { wrong, failed, channelsLost, sessionsLost } = honest;
  return total(wrong) + total(failed) + channelsLost + sessionsLost + total(forward.problems) + problems.length > 0;
}

const shown = (ms: number): string => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en'));

function rowOf(phase: Phase): string {
  const { name, seconds, honest, forward, cpu, partyCpu, honestCpu, peakMiB } = phase;
  const times = KINDS.map((kind) => honest.latency[kind].map(shown).join(' / '));
  const { latencies } = forward;
  const at = (part: number): string =>
    shown(latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))] ?? 0);
  const right = KINDS.map((kind) => honest.right[kind]).join(' / ');
  const lost = `${honest.channelsLost} / ${honest.sessionsLost}`;
  const load = [cpu.Proxies, cpu.Security, cpu.database, partyCpu, honestCpu]
    .map((part) => part.toFixed(2))
    .join(' / ');
  const cells = [
    `${name}, ${seconds} s`,
    ...times,
    `${at(0.5)} / ${at(0.99)} / ${at(1)}`,
    `${right} / ${latencies.length}`,
    total(honest.wrong),
    total(honest.failed) + total(forward.problems),
    lost,
    load,
    Math.round(peakMiB),
  ];
  return `| ${cells.join(' | ')} |`;
}

function tableOf(phases: readonly Phase[]): string {
  const heads = [
    'beside',
    'GET, ms: p50 / p99 / slowest',
    'upload of 100 kB',
    'WebSocket message',
    'through device forward',
    'right answers of each',
    'wrong',
    'failed',
    'channels / sessions lost',
    'CPU of Proxies / Security / database / the party / the devices, cores',
    'Proxies, MiB',
  ];
  return [`| ${heads.join(' | ')} |`, `|---|${'---:|'.repeat(heads.length - 1)}`, ...phases.map(rowOf)].join('\n');
}

function troublesOf({ name, honest, forward, problems, tries }: Phase): string[] {
  const counted = Object.entries({ ...honest.wrong, ...honest.failed, ...forward.problems });
  const lines = counted.map(([what, count]) => `${name}: ${count} × ${what}`);
  return [...(tries === '' ? [] : [`${name}: ${tries}`]), ...lines.slice(0, MAX_LINES), ...problems];
}

async function main(): Promise<boolean> {
  const named = PARTIES.filter((party) => positionals.length === 0 || positionals.includes(party));
  const stage = await Stage.set();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stage.clear().then(() => process.exit(1)));
  const phases: Phase[] = [];
  try {
    phases.push(await stage.play('alone', Number(values.alone ?? values.seconds)));
    for (const party of named) {
      phases.push(await stage.play(party, Number(values.seconds)));
      await sleep(REST_MS);
    }
  } finally {
    await stage.clear();
  }
  process.stdout.write(`${tableOf(phases)}\n\n${describeMachine()}\n${phases.flatMap(troublesOf).join('\n')}\n`);
  return phases.some(harmed);
}

if (values.help) process.stdout.write(HELP);
else process.exit((await main()) ? 1 : 0);
