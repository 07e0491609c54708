import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../../', import.meta.url);

/** Options of Node that an app is meant to run with. */
function nodeOptionsOf(app: string): string[] {
  const manifest = JSON.parse(readFileSync(new URL(`apps/${app}/package.json`, ROOT), 'utf8'));
  return manifest.config?.nodeOptions ?? [];
}

/** A server of ours as a real process; its log is kept for failures and for the search for secrets. */
export class ServerProcess {
  readonly ready: Readonly<Record<string, string>>;
  readonly #child: ChildProcess;
  readonly #log: string[];

  private constructor(child: ChildProcess, ready: Readonly<Record<string, string>>, log: string[]) {
    this.#child = child;
    this.ready = ready;
    this.#log = log;
  }

  /** Starts `apps/<app>/src/main.ts` and waits until it says that it is ready. */
  static start(
    app: string,
    environment: Readonly<Record<string, string>>,
    args: readonly string[] = [],
  ): Promise<ServerProcess> {
    const main = fileURLToPath(new URL(`apps/${app}/src/main.ts`, ROOT));
    const child = spawn('node', [...nodeOptionsOf(app), main, ...args], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const log: string[] = [];
    child.stdout!.on('data', (data) => log.push(String(data)));
    child.stderr!.on('data', (data) => log.push(String(data)));
    return new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(new ServerProcess(child, message as Record<string, string>, log)));
      child.once('exit', (code) => reject(new Error(`${app} ended with ${code}:\n${log.join('')}`)));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get log(): string {
    return this.#log.join('');
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.running) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill(signal);
    await ended;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
