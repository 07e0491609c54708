import { createServer } from 'node:net';
import { join } from 'node:path';
import { AppProcess, type ClusterError } from '@sallyport/local-cluster';
import { SAME_SIGNAL_MS } from '@sallyport/settings';
import { CliError } from '../output.ts';
import { startError } from '../start-error.ts';
import { say, warn } from '../terminal.ts';
import { Lasting } from './lasting.ts';

/** Everything that a command started on this machine; stopped in reverse order. */
export class Running {
  readonly #stops: (() => Promise<void>)[] = [];
  readonly #data: string;
  #stopping = false;

  constructor(data: string) {
    this.#data = data;
  }

  /** Starts one of our servers and says so; `label` names it when there are several of an app. */
  async start(
    app: string,
    environment: Readonly<Record<string, string>>,
    options: { label?: string; mayEnd?: boolean } = {},
  ): Promise<AppProcess> {
    const { label = app, mayEnd = false } = options;
    say`  starting ${label} … `;
    const logFile = join(this.#data, 'logs', `${label}.log`);
    const onExit = (): void => void (mayEnd ? this.#sayEnd(label) : this.#died(label, logFile));
    const started = await AppProcess.start(app, {
      environment: { ...process.env, ...environment },
      logFile,
      onExit,
    }).catch((error: ClusterError) => notStarted(error, logFile));
    this.add(() => started.end());
    process.stdout.write('ok\n');
    return started;
  }

  /** Like `start`, for a part whose end is no reason to stop the others: it is started again, and a line says so. */
  async startLasting(app: string, environment: Readonly<Record<string, string>>): Promise<AppProcess> {
    say`  starting ${app} … `;
    const logFile = join(this.#data, 'logs', `${app}.log`);
    const options = { environment: { ...process.env, ...environment }, logFile };
    const lasting = new Lasting({
      start: (onExit) => AppProcess.start(app, { ...options, onExit }),
      say: (text) => {
        if (!this.#stopping) warn`${app} ${text}; its log is in ${logFile}\n`;
      },
    });
    this.add(() => lasting.end());
    const started = await lasting.begin<AppProcess>().catch((error: ClusterError) => notStarted(error, logFile));
    process.stdout.write('ok\n');
    return started;
  }

  /** Something else to stop at the end. */
  add(stop: () => Promise<void>): void {
    this.#stops.push(stop);
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    for (const stop of this.#stops.reverse()) await stop();
  }

  #sayEnd(label: string): void {
    if (!this.#stopping) warn`${label} ended; the others go on\n`;
  }

  async #died(label: string, logFile: string): Promise<void> {
    if (this.#stopping) return;
    warn`\n${label} ended unexpectedly; its log is in ${logFile}\n`;
    await this.stop();
    process.exit(1);
  }
}

/** Ctrl-C and SIGTERM stop everything in order; whoever presses it again hears that it goes on, and breaks nothing off. */
export function stopOnSignals(running: Running, data: string): void {
  let isStopping = false;
  let heardAt = Number.NEGATIVE_INFINITY;
  const stop = (): void => {
    if (performance.now() < heardAt + SAME_SIGNAL_MS) return;
    heardAt = performance.now();
    process.stdout.write(isStopping ? '\nstill stopping …\n' : '\nstopping …\n');
    if (isStopping) return;
    isStopping = true;
    void running.stop().then(() => {
      say`stopped; everything is kept in ${data}\n`;
      process.exit(0);
    });
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

/** Says that a part does not run, and why. @throws CliError */
function notStarted(error: ClusterError, logFile: string): never {
  process.stdout.write('no\n');
  throw startError(error, `the whole log is in ${logFile}`);
}

const LAST_PORT = 65_535;

/** The first of the ports that a command takes, of which the last is `span` above it. @throws CliError */
export function basePortOf(text: string, span: number): number {
  const port = Number(text);
  const most = LAST_PORT - span;
  if (/^\d{1,5}$/.test(text) && port > 0 && port <= most) return port;
  throw new CliError(`${text} is no first port`, `write a number from 1 to ${most} after --base-port`);
}

/** @throws CliError for the first port that is taken */
export async function checkPorts(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (!free)
      throw new CliError(
        `port ${port} is taken`,
        'is Sallyport running already? otherwise choose other ports with --base-port',
      );
  }
}
