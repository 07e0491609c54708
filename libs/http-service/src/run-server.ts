import { flushCompileCache } from 'node:module';
import { assertVerifying, endProcess, readSettings, type Setting, type Values } from '@sallyport/settings';
import { createLog, type Log, written } from '@sallyport/telemetry';

/** How long ending in order may take beside what a server drains, ms; then it ends as it is. */
const END_MS = 20_000;

type Settings = Readonly<Record<string, Setting<unknown>>>;

/** What a server is while it starts. */
export interface Starting<S extends Settings> {
  readonly config: Values<S>;
  readonly log: Log;
  /**
   * What must be let go of however this process ends, also when the start fails or is broken off: a child process. Done last,
   * the newest first.
   */
  readonly release: (work: () => Promise<void>) => void;
  /** Ends the server by itself, in order and with exit status 1: whoever started it may start it again. False when it ends already. */
  readonly end: () => boolean;
}

/** A server that is up. */
export interface RunningServer {
  /** Ends it in order; called once. The process ends after it. */
  readonly stop: () => Promise<void> | void;
  /** How long `stop` lets others finish before it goes on, ms; absent: not at all. */
  readonly drainMs?: number;
  /** Tells that it is ready. A signal that comes meanwhile stops it in order already. */
  readonly ready: () => Ready | Promise<Ready>;
}

/** What a server that is up tells of itself. Never in the log: it may hold a token. */
export interface Ready {
  /** To a parent that started it with an IPC channel, beside `type: 'ready'`. */
  readonly message: Readonly<Record<string, unknown>>;
  /** To a person at the terminal, when there is no such parent; nothing when it is empty. */
  readonly words: () => string;
}

/** A server as its `main.ts` describes it. */
export interface Server<S extends Settings> {
  /** In the log. */
  readonly name: string;
  /** At the beginning of a sentence for people; absent: the name. */
  readonly title?: string;
  readonly settings: S;
  readonly start: (starting: Starting<S>) => Promise<RunningServer>;
}

/**
 * The life of a server as a process: reads its settings, starts it, tells that it is ready, and ends it in order at SIGTERM, at
 * SIGINT and when the parent that started it is gone. Exit status 0 after that; 1 when it could not start, when a signal broke
 * its start off, when it ended by itself, when it did not end within its time, and after a fault that nobody caught: nobody knows
 * in what state it is then.
 */
export async function runServer<S extends Settings>(server: Server<S>): Promise<void> {
  const life = new ServerLife(server.title ?? server.name);
  try {
    assertVerifying();
    const config = readSettings(server.settings);
    const level = (config as { readonly SALLYPORT_LOG_LEVEL?: string }).SALLYPORT_LOG_LEVEL;
    const log = createLog(server.name, level);
    life.guard(log);
    const release = (work: () => Promise<void>): void => life.release(work);
    await life.run(await server.start({ config, log, release, end: () => life.endItself() }));
  } catch (error) {
    await life.fail(error);
  }
}

/** One process from the first signal that it hears to its last. */
class ServerLife {
  readonly #title: string;
  readonly #releases: (() => Promise<void>)[] = [];
  #log: Log | undefined;
  #running: RunningServer | undefined;
  #ending = false;

  constructor(title: string) {
    this.#title = title;
  }

  release(work: () => Promise<void>): void {
    this.#releases.push(work);
  }

  /** From now on signals and faults end the server in order: the last net, under the guards of all handlers. */
  guard(log: Log): void {
    this.#log = log;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void this.#end());
    process.on('disconnect', () => void this.#end());
    process.on('uncaughtException', (error, origin) => {
      log.fatal({ err: error, origin }, 'a fault was caught by nobody: the server ends');
      process.exitCode = 1;
      setTimeout(() => process.exit(1), END_MS).unref();
      void this.#end();
    });
  }

  /** Takes a server that is up. */
  async run(running: RunningServer): Promise<void> {
    this.#running = running;
    const { message, words } = await running.ready();
    if (this.#ending) return;
    if (process.send) process.send({ type: 'ready', ...message });
    else process.stdout.write(words());
    // Where Node keeps what it has compiled: also the next start after a kill finds it.
    flushCompileCache();
  }

  endItself(): boolean {
    process.exitCode = 1;
    const first = !this.#ending;
    void this.#end();
    return first;
  }

  /** It could not start, or not say so: then it serves already, and ends in order. Where it ends already, that is no news. */
  async fail(error: unknown): Promise<void> {
    if (this.#ending) return;
    const { message, cause } = error as Error;
    process.stderr.write(`${this.#title} could not start: ${message}\n`);
    if (cause instanceof Error) process.stderr.write(`  because: ${cause.message}\n`);
    process.exitCode = 1;
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#running) process.exitCode = 1;
    try {
      if (this.#running) await this.#stop(this.#running);
    } catch (error) {
      process.exitCode = 1;
      this.#log?.fatal({ err: error }, 'the server could not end in order');
    }
    await this.#releaseAll();
    if (this.#log) await written(this.#log);
    await endProcess();
  }

  /** A part that waits for something which never comes keeps nothing from ending. @throws Error when the time is over */
  async #stop({ stop, drainMs = 0 }: RunningServer): Promise<void> {
    const limit = Promise.withResolvers<void>();
    const ms = drainMs + END_MS;
    const timer = setTimeout(() => {
      const open = process.getActiveResourcesInfo().join(', ');
      limit.reject(new Error(`it took longer than ${Math.round(ms / 1_000)} s; open: ${open}`));
    }, ms);
    await Promise.race([stop(), limit.promise]);
    clearTimeout(timer);
  }

  async #releaseAll(): Promise<void> {
    for (const work of this.#releases.splice(0).reverse())
      await work().catch((error: unknown) => this.#log?.error({ err: error }, 'a part could not be let go of'));
  }
}
