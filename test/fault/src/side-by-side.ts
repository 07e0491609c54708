import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '@sallyport/support';
import type { Scale } from './scenarios/scenario.ts';
import { say } from './stores.ts';
import { type Found, Tally } from './tally.ts';

/** Rounds of a farm, unless its scenario says otherwise. */
const ROUNDS_OF_A_FARM = 10;
/** When so many farms break off one after the other the run is given up. */
const BROKEN_IN_A_ROW = 30;
/** After each of them more of it is waited, for a machine that is too busy at the moment, ms. */
const BREATH_MS = 60_000;
const BREATHS = 5;
const TOLD = 3_000;

/** A long run that is made by many farms. */
export interface ManyFarms {
  readonly scenario: string;
  readonly scale: Scale;
  /** How many work at a time. */
  readonly farms: number;
  /** Rounds of a farm before it makes room for another one: one that breaks off costs no more. */
  readonly roundsOfAFarm: number | undefined;
  /** Further options of each. */
  readonly options: readonly string[];
  /** Hears of all that was found so far, each time a farm is done. */
  readonly progress: (tally: Tally, rounds: number) => void;
}

/**
 * Makes the rounds of a scenario on many farms, some at a time, each a process with hosts of its own, and adds up what they found. What a
 * farm that breaks off has left is done by another one.
 * @throws Error when none holds any more
 */
export async function sideBySide(order: ManyFarms): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-farms-'));
  try {
    const run = new ManyRounds(order, folder);
    await Promise.all(Array.from({ length: order.farms }, () => run.lane()));
    return run.tally;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class ManyRounds {
  readonly tally = new Tally();
  readonly #order: ManyFarms;
  readonly #folder: string;
  readonly #random: () => number;
  readonly #running = new Set<ChildProcess>();
  #left: number;
  #done = 0;
  #begun = 0;
  #broken = 0;
  #brokenInARow = 0;

  constructor(order: ManyFarms, folder: string) {
    this.#order = order;
    this.#folder = folder;
    this.#left = order.scale.rounds;
    this.#random = randomFrom(order.scale.seed);
    const stop = (): void => {
      for (const child of this.#running) child.kill('SIGTERM');
      process.exit(1);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  }

  /** One farm after another, while there are rounds left. */
  async lane(): Promise<void> {
    while (this.#left > 0) {
      const rounds = Math.min(this.#order.roundsOfAFarm ?? ROUNDS_OF_A_FARM, this.#left);
      this.#left -= rounds;
      const found = await this.#farm(rounds);
      if (found) this.#take(found, rounds);
      else {
        this.#left += rounds;
        await sleep(BREATH_MS * Math.min(this.#brokenInARow, BREATHS));
      }
    }
  }

  #take(found: Found, rounds: number): void {
    this.#done += rounds;
    this.#brokenInARow = 0;
    this.tally.add(found);
    this.tally.numbers['rounds'] = this.#done;
    this.#order.progress(this.tally, this.#done);
  }

  /** What a farm found; undefined for one that broke off. */
  async #farm(rounds: number): Promise<Found | undefined> {
    const { scenario, scale, options } = this.#order;
    this.#begun += 1;
    const seed = (this.#random() * 2 ** 31) | 0;
    const file = join(this.#folder, `${this.#begun}.json`);
    const sizes = ['--seed', seed, '--sessions', scale.sessions, '--rounds', rounds, '--minutes', scale.minutes ?? 0];
    const said = await this.#runToItsEnd([scenario, ...sizes.map(String), '--save', file, ...options]);
    const found = readFound(file);
    if (!found) return this.#brokeOff(seed, said);
    if (found.checks.some(({ ok, timed }) => !ok && !timed)) say(`not as it must be (seed ${seed}):\n${said}`);
    return found;
  }

  #brokeOff(seed: number, said: string): undefined {
    this.#broken += 1;
    this.#brokenInARow += 1;
    this.tally.numbers['farms that broke off'] = this.#broken;
    say(`a farm broke off (seed ${seed}):\n${said.slice(-TOLD)}`);
    if (this.#brokenInARow >= BROKEN_IN_A_ROW) throw new Error(`${this.#brokenInARow} farms broke off in a row`);
  }

  /** Runs this program again; gives what it said. */
  #runToItsEnd(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        said = `${said}${String(data)}`.slice(-TOLD);
      });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => {
        this.#running.delete(child);
        resolve(said);
      });
    });
  }
}

/** What a farm has saved; undefined when it did not come to its end. */
function readFound(file: string): Found | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Found) : undefined;
}
