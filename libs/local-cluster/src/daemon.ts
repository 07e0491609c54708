import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError } from './errors.ts';
import { commandOn, type Host, type SystemUser } from './host.ts';

const STOP_TIMEOUT_MS = 20_000;

/** What to run, and where. */
export interface DaemonOptions {
  readonly name: string;
  readonly host: Host;
  readonly user: SystemUser | undefined;
  readonly command: readonly string[];
  readonly logFile: string;
  readonly cwd: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A server of somebody else's as our child, with its log in a file. Can be started again after it ended. */
export class Daemon {
  readonly name: string;
  readonly host: Host;
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;

  constructor(options: DaemonOptions) {
    this.name = options.name;
    this.host = options.host;
    this.#options = options;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(environment: Readonly<Record<string, string>> = {}): this {
    const { host, user, command, logFile, cwd } = this.#options;
    appendFileSync(logFile, '');
    const log = openSync(logFile, 'a');
    const [program, ...args] = commandOn(host, user, command);
    // A process group of its own: Ctrl-C reaches us, and we stop everything in order.
    this.#child = spawn(program!, args, {
      cwd,
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
        LC_ALL: 'C',
        ...this.#options.environment,
        ...environment,
      },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    return this;
  }

  /** Waits until `ready` gives true. @throws ClusterError ERR_CLUSTER_START with the end of the log */
  async until(ready: () => Promise<boolean>, maxMs: number): Promise<void> {
    const deadline = performance.now() + maxMs;
    while (!(await ready().catch(() => false))) {
      if (!this.running) throw this.#failure('it ended');
      if (performance.now() > deadline) throw this.#failure(`it is not ready after ${maxMs} ms`);
      await sleep(50);
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, signal);
  }

  /** Sends a signal and waits for the end; what does not end is killed. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || !this.running) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  #failure(why: string): ClusterError {
    const tail = readFileSync(this.#options.logFile, 'utf8').split('\n').slice(-15).join('\n');
    return new ClusterError(
      'ERR_CLUSTER_START',
      `${this.name} did not start: ${why}\n${tail}\nthe whole log is in ${this.#options.logFile}`,
    );
  }
}
