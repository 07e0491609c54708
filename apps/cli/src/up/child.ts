import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from '../output.ts';

const ROOT = new URL('../../../../', import.meta.url);
const START_TIMEOUT_MS = 120_000;

/** Options of Node that an app is meant to run with: the Proxy keeps its young generation small, so that memory stays flat. */
function nodeOptionsOf(app: string): string[] {
  const manifest = JSON.parse(readFileSync(new URL(`apps/${app}/package.json`, ROOT), 'utf8'));
  return manifest.config?.nodeOptions ?? [];
}

/** One of our servers as a child. It ends when we end, also when we are killed: its IPC channel then closes. */
export class Child {
  readonly name: string;
  readonly #process: ChildProcess;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#process = child;
  }

  /** Starts `apps/<name>` and waits for its word that it is ready. Its log goes to a file. */
  static async start(
    name: string,
    options: { environment: Readonly<Record<string, string>>; logFile: string; onExit: (name: string) => void },
  ): Promise<{ child: Child; ready: Readonly<Record<string, string>> }> {
    mkdirSync(dirname(options.logFile), { recursive: true });
    const log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 });
    const main = fileURLToPath(new URL(`apps/${name}/src/main.ts`, ROOT));
    // A process group of its own: Ctrl-C reaches us, and we stop the children in order.
    const child = spawn(process.execPath, [...nodeOptionsOf(name), main], {
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    let tail = '';
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (data) => {
        log.write(data);
        tail = (tail + String(data)).slice(-2_000);
      });
    }
    const ready = await new Promise<Record<string, string>>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new CliError(`${name} did not start: ${why}\n${tail}`, `the whole log is in ${options.logFile}`));
      const timer = setTimeout(() => fail('it took too long'), START_TIMEOUT_MS);
      child.once('message', (message) => {
        clearTimeout(timer);
        resolve(message as Record<string, string>);
      });
      child.once('exit', (code) => {
        clearTimeout(timer);
        fail(`it ended with ${code}`);
      });
    });
    child.removeAllListeners('exit');
    child.once('exit', () => options.onExit(name));
    return { child: new Child(name, child), ready };
  }

  /** Stops it cleanly and waits for its end. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.removeAllListeners('exit');
    this.#process.once('exit', () => undefined);
    const waited = Promise.race([ended, new Promise((resolve) => this.#process.once('close', resolve))]);
    this.#process.kill('SIGTERM');
    await waited;
  }
}
