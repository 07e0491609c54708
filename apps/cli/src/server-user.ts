import { spawn } from 'node:child_process';
import { commandOn, serverUser } from '@sallyport/local-cluster';
import { undoAtSignals } from '@sallyport/settings';

/** This machine, for whatever runs as the user of the database. */
const HERE = { name: 'this host', address: '127.0.0.1' };

/** Home of `postgres` on Debian. */
const SERVER_HOME = '/var/lib/postgresql';

/** What a program said, and how it ended. */
export interface Ended {
  readonly printed: string;
  readonly said: string;
  readonly code: number;
}

/** A command line as the user whom the database's files belong to: as root that is `postgres`. */
export function asServer(command: readonly string[]): [program: string, ...args: string[]] {
  return commandOn(HERE, serverUser(), command) as [string, ...string[]];
}

/** Runs a program as the database's user to its end. */
export async function runAsServer(command: readonly string[]): Promise<Ended> {
  const [program, ...args] = asServer(command);
  // What is in our own home is not that user's to read; its own holds passwords of the database.
  const env = { ...process.env, ...(serverUser() ? { HOME: SERVER_HOME } : {}) };
  const child = spawn(program, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { printed: '', said: '' };
  child.stdout.on('data', (data) => (texts.printed += String(data)));
  child.stderr.on('data', (data) => (texts.said += String(data)));
  const ended = new Promise<number>((done, failed) => {
    child.once('error', failed);
    // What a signal ended says so as a shell would.
    child.once('close', (exitCode, signal) => done(exitCode ?? (signal === 'SIGSEGV' ? 139 : 128)));
  });
  // It writes into what is undone next.
  const forget = undoAtSignals(() => {
    child.kill();
    return ended;
  });
  const code = await ended.finally(forget);
  return { ...texts, code };
}
