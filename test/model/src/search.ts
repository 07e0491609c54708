import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const NAME = 'revocation.pml';
const MODEL = fileURLToPath(new URL(`../${NAME}`, import.meta.url));
const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1024 * 1024;
const DEPTH = 2_000_000;
const MEMORY_MIB = 8_000;

/** How the states are kept: all of them, or their hashes, which misses a few. */
export type Kept = 'exact' | 'compact';

/** One search of the model. */
export interface Search {
  readonly name: string;
  /** What it shows, in words. */
  readonly shows: string;
  /** Bounds and switches, as the model's preprocessor takes them: `L=1`, `NO_HOLD`. */
  readonly defines: readonly string[];
  readonly expect: 'holds' | 'breaks';
  /** Seconds for all that `npm test` runs, minutes for what `npm run model` runs, long for the rest. */
  readonly size: 'seconds' | 'minutes' | 'long';
  /** `exact` when it is not said. */
  readonly kept?: Kept;
  /** Shortest counterexamples come from a search by breadth; deep ones are found sooner by depth. */
  readonly first?: 'breadth' | 'depth';
}

/** What came of a search. */
export interface Found {
  readonly outcome: 'holds' | 'breaks' | 'unfinished';
  readonly states: number;
  readonly memoryMiB: number;
  readonly seconds: number;
  /** The counterexample in words, step by step. */
  readonly steps: readonly string[];
}

/** Programs that a search needs and the Debian packages they come from, as far as they are missing. */
export async function missingPackages(): Promise<string[]> {
  const programs = ['spin', 'gcc'];
  const found = await Promise.all(programs.map((name) => run('which', [name]).then(Boolean, () => false)));
  const missing = programs.filter((_, i) => !found[i]);
  return existsSync('/usr/include/stdio.h') ? missing : [...missing, 'libc6-dev'];
}

/** Builds the model with a search's switches and visits its states, on half-idle cores only. Nothing of it is left behind. */
export async function search({ defines, kept = 'exact', first = 'depth' }: Search): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-model-'));
  try {
    const switches = defines.map((define) => `-D${define}`);
    copyFileSync(MODEL, join(folder, NAME));
    await run('spin', [...switches, '-a', NAME], { cwd: folder, maxBuffer: MAX_OUTPUT });
    const ways = [kept === 'exact' ? '-DCOLLAPSE' : '-DHC4', ...(first === 'breadth' ? ['-DBFS'] : [])];
    const compiler = ['-O1', '-w', '-DSAFETY', '-DNOREDUCE', `-DMEMLIM=${MEMORY_MIB}`, ...ways];
    await run('gcc', [...compiler, '-o', 'pan', 'pan.c'], { cwd: folder });
    const begun = performance.now();
    const text = await outputOf('nice', ['-n', '10', './pan', `-m${DEPTH}`], folder);
    const seconds = (performance.now() - begun) / 1000;
    const found = readFound(text, seconds);
    return found.outcome === 'breaks' ? { ...found, steps: await stepsOf(folder, switches) } : found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads what the search program says at its end. */
export function readFound(text: string, seconds: number): Found {
  const errors = Number(/errors: (\d+)/.exec(text)?.[1] ?? Number.NaN);
  const complete = !/Search not completed|max search depth too small|out of memory/i.test(text);
  const violated = /assertion violated/.test(text);
  const states = Number(/^\s*(\d+(?:\.\d+e\+\d+)?) states, stored/m.exec(text)?.[1] ?? 0);
  const memoryMiB = Number(/([\d.]+)\s+total actual memory usage/.exec(text)?.[1] ?? 0);
  const held = errors === 0 && complete ? 'holds' : 'unfinished';
  return { outcome: errors > 0 && violated ? 'breaks' : held, states, memoryMiB, seconds, steps: [] };
}

/** Replays the counterexample; the model prints each step that means something. */
async function stepsOf(folder: string, switches: readonly string[]): Promise<string[]> {
  const { stdout } = await run('spin', [...switches, '-t', NAME], {
    cwd: folder,
    maxBuffer: MAX_OUTPUT,
  }).catch((error: { stdout: string }) => error);
  const told = stdout.split(/^#processes/m)[0]!.split('\n');
  return told.map((line) => line.trim()).filter((line) => line !== '' && !/^(spin:|\d+:|text of failed)/.test(line));
}

/** Output of a program whose exit code does not matter. */
async function outputOf(program: string, args: readonly string[], folder: string): Promise<string> {
  const { stdout } = await run(program, [...args], { cwd: folder, maxBuffer: MAX_OUTPUT }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}
