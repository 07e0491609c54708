import { execFileSync } from 'node:child_process';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { signalTo } from './command.ts';

const LOOK_EVERY_MS = 30_000;
/** A test of ours has a limit of 15 minutes at most, and most of 4: what is silent for longer than that hangs. */
const LIMITS = { tellMs: 300_000, endMs: 1_200_000 };

interface Options {
  readonly say: (text: string) => void;
  /** What runs below this process, one line each. */
  readonly processes: () => string;
  /** Ends the run, with all that runs below it. */
  readonly end: () => void;
}

/**
 * Names the files in which no test has ended for long, with the processes of the run. No limit of a test ends one whose thread
 * stands still in a system call: such a run is ended from here, and fails.
 */
export class SilentFiles implements Reporter {
  readonly #options: Options;
  readonly #heardAt = new Map<string, number>();
  readonly #toldAt = new Map<string, number>();
  #look: NodeJS.Timeout | undefined;

  constructor(options: Options = { say: (text) => process.stdout.write(text), processes: tree, end: endRun }) {
    this.#options = options;
  }

  onTestRunStart(): void {
    this.#look = setInterval(() => this.#tell(), LOOK_EVERY_MS).unref();
  }

  onTestModuleQueued({ moduleId }: Pick<TestModule, 'moduleId'>): void {
    this.#heardAt.set(moduleId, Date.now());
  }

  /** While the run is busy, results of tests come behind the end of their file: such a file has ended all the same. */
  onTestCaseResult({ module }: { readonly module: Pick<TestCase['module'], 'moduleId'> }): void {
    if (this.#heardAt.has(module.moduleId)) this.#heardAt.set(module.moduleId, Date.now());
  }

  onTestModuleEnd({ moduleId }: Pick<TestModule, 'moduleId'>): void {
    this.#heardAt.delete(moduleId);
    this.#toldAt.delete(moduleId);
  }

  onTestRunEnd(): void {
    clearInterval(this.#look);
  }

  #tell(): void {
    const now = Date.now();
    const silent = [...this.#heardAt].filter(([, heardAt]) => now - heardAt >= LIMITS.tellMs);
    const untold = silent.filter(([file]) => now - (this.#toldAt.get(file) ?? 0) >= LIMITS.tellMs);
    if (untold.length === 0) return;
    for (const [file, heardAt] of untold) {
      const minutes = Math.floor((now - heardAt) / 60_000);
      this.#options.say(` ${relative(process.cwd(), file)}: no test has ended for ${minutes} minutes\n`);
      this.#toldAt.set(file, now);
    }
    this.#options.say(`${this.#options.processes()}\n`);
    if (silent.some(([, heardAt]) => now - heardAt >= LIMITS.endMs)) this.#options.end();
  }
}

interface Running {
  readonly pid: number;
  readonly parent: number;
  readonly line: string;
}

function running(): Running[] {
  const text = execFileSync('ps', ['-eo', 'pid=,ppid=,stat=,etime=,wchan=,args=', '-ww'], { encoding: 'utf8' });
  return text.split('\n').flatMap((line) => {
    const [, pid, parent] = /^ *(\d+) +(\d+) /.exec(line) ?? [];
    return pid ? [{ pid: Number(pid), parent: Number(parent), line }] : [];
  });
}

function below(pid: number, all: readonly Running[]): Running[] {
  return all.filter(({ parent }) => parent === pid).flatMap((child) => [child, ...below(child.pid, all)]);
}

function tree(): string {
  return below(process.pid, running())
    .map(({ line }) => (line.length > 200 ? `${line.slice(0, 80)} … ${line.slice(-117)}` : line))
    .join('\n');
}

function endRun(): void {
  for (const { pid } of below(process.pid, running())) signalTo(pid, 'SIGKILL');
  process.exit(1);
}
