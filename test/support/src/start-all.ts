import { fork } from 'node:child_process';
import { join } from 'node:path';
import { CLI } from './command.ts';
import { freePorts } from './ports.ts';

/** `up` takes some of so many ports from its first one on. */
const PORTS_OF_UP = 45;

/** What `npm start` runs, started by a test. */
export interface StartedAll {
  readonly link: string;
  readonly user: string;
  readonly password: string;
  /** Everything that it said so far. */
  readonly said: () => string;
  /** Ends it as Ctrl-C does; gives everything that it said. */
  stop(): Promise<string>;
}

/** The same of `cluster up`. */
const PORTS_OF_CLUSTER = 95;

/** First port of a whole set-up; its phone page listens forty above. */
export function freeBasePort(): Promise<number> {
  return freePorts(PORTS_OF_UP);
}

/** Runs what `npm start` runs, on ports of its own. @throws Error with what it said, when it ends before it is up */
export function startAll(folder: string, basePort: number): Promise<StartedAll> {
  return start(['--data', folder, 'up', '--base-port', String(basePort)]);
}

/** Runs `cluster up` with these options, on ports of its own and all in one folder. @throws Error like `startAll` */
export async function startCluster(folder: string, options: readonly string[]): Promise<StartedAll> {
  const place = ['--base-port', String(await freePorts(PORTS_OF_CLUSTER)), '--stores', join(folder, 'stores')];
  return start(['--data', join(folder, 'data'), 'cluster', 'up', ...place, ...options]);
}

async function start(args: readonly string[]): Promise<StartedAll> {
  const child = fork(CLI, args, { silent: true });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (data) => {
      output += data;
    });
  const ready = await new Promise<Omit<StartedAll, 'said' | 'stop'>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as StartedAll));
    child.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${output}`)));
  });
  const stop = async (): Promise<string> => {
    if (child.exitCode !== null || child.signalCode !== null) return output;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    return output;
  };
  return { ...ready, said: () => output, stop };
}
