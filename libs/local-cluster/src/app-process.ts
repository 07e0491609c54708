import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeEnvironment } from '@sallyport/settings';
import { ClusterError } from './errors.ts';
import { commandOn, type Host } from './host.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const START_TIMEOUT_MS = 120_000;
/** A server ends by itself long before, whatever hangs in it. */
const STOP_TIMEOUT_MS = 120_000;
/** Characters of the log that are kept in memory at least. */
const KEPT_LOG = 4_000_000;

/** How a server of ours is started. */
export interface AppOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly args?: readonly string[];
  /** Folder with the project that it is started from: this one unless named. */
  readonly project?: string;
  /** Further options of Node. */
  readonly nodeOptions?: readonly string[];
  readonly host?: Host;
  /** File that its log is appended to. */
  readonly logFile?: string;
  /** Called when it ends without having been told to. */
  readonly onExit?: () => void;
  /** How long it may take until it is ready, ms: two minutes unless named. */
  readonly startTimeoutMs?: number;
}

/** Options of Node that an app is meant to run with: the Proxy keeps its young generation small, so that memory stays flat. */
function nodeOptionsOf(folder: string): string[] {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return manifest.config?.nodeOptions ?? [];
}

/**
 * A server of ours as a process of its own, on this machine or on a host that is played by a namespace. It ends when we
 * end, also when we are killed: its IPC channel then closes.
 */
export class AppProcess {
  /** What it said when it was ready: its URLs, and at the first start a one-time token. */
  readonly ready: Readonly<Record<string, string>>;
  readonly #child: ChildProcess;
  readonly #log: { text: string };
  #ending = false;

  private constructor(child: ChildProcess, ready: Readonly<Record<string, string>>, log: { text: string }) {
    this.#child = child;
    this.ready = ready;
    this.#log = log;
  }

  /** Starts `apps/<app>/src/main.ts` and waits until it says that it is ready. @throws ClusterError with its log; nothing of it runs then */
  static async start(app: string, options: AppOptions): Promise<AppProcess> {
    const folder = join(options.project ?? ROOT, 'apps', app);
    const node = [
      process.execPath,
      ...nodeOptionsOf(folder),
      ...(options.nodeOptions ?? []),
      join(folder, 'src', 'main.ts'),
      ...(options.args ?? []),
    ];
    const [program, ...args] = options.host?.namespace === undefined ? node : commandOn(options.host, undefined, node);
    // A process group of its own: Ctrl-C reaches us, and we stop our servers in order.
    const child = spawn(program!, args, {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', ...nodeEnvironment(), ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    const log = keepLog(child, options.logFile);
    const maxMs = options.startTimeoutMs ?? START_TIMEOUT_MS;
    const ready = await readyOf({ app, child, log, maxMs }).catch(async (error: ClusterError) => {
      await endOf(child, 'SIGTERM');
      throw error;
    });
    const process_ = new AppProcess(child, ready, log);
    child.once('exit', () => {
      if (!process_.#ending) options.onExit?.();
    });
    return process_;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Its log, from the start or as far as it is kept. */
  get log(): string {
    return this.#log.text;
  }

  get running(): boolean {
    return runs(this.#child);
  }

  /** Sends a signal and waits for the end; what does not end is killed. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#ending = true;
    await endOf(this.#child, signal);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

function runs(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!runs(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

function keepLog(child: ChildProcess, file: string | undefined): { text: string } {
  const log = { text: '' };
  if (file) mkdirSync(dirname(file), { recursive: true });
  const copy = file === undefined ? undefined : createWriteStream(file, { flags: 'a', mode: 0o600 });
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (data) => {
      copy?.write(data);
      log.text += String(data);
      // Now and then: each cut copies all of it.
      if (log.text.length > 2 * KEPT_LOG) log.text = log.text.slice(-KEPT_LOG);
    });
  }
  return log;
}

function readyOf(starting: {
  readonly app: string;
  readonly child: ChildProcess;
  readonly log: { readonly text: string };
  readonly maxMs: number;
}): Promise<Readonly<Record<string, string>>> {
  const { app, child, log, maxMs } = starting;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new ClusterError('ERR_CLUSTER_START', `${app} did not start: ${why}\n${log.text.slice(-4_000)}`));
    };
    const timer = setTimeout(() => fail(`it is not ready after ${maxMs / 1_000} s`), maxMs);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`it ended with ${code}`));
    child.once('message', (message) => {
      clearTimeout(timer);
      child.removeAllListeners('exit');
      resolve(message as Record<string, string>);
    });
  });
}
