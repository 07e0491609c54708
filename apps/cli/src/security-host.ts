import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from './output.ts';
import type { GlobalOptions } from './program.ts';

/** A program of Security that works on the key file and the database of this host. */
export interface HostProgram {
  readonly name:
    | 'archive-command'
    | 'backup-command'
    | 'backup-targets'
    | 'break-glass'
    | 'escrow-command'
    | 'kek-command'
    | 'realm-command'
    | 'restore-command'
    | 'standby-command';
  readonly order?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs it with the settings of this host's Security server, its words on this terminal; true when it did its work. */
export async function runOnSecurityHost(globals: GlobalOptions, program: HostProgram): Promise<boolean> {
  return (await endOf(spawnOnHost(globals, program, 'inherit'))) === 0;
}

/**
 * Runs it likewise, and gives what it answers; what it says while it works is on this terminal.
 * @throws CliError when it ended without an answer
 */
export async function askSecurityHost(globals: GlobalOptions, program: HostProgram): Promise<string> {
  const child = spawnOnHost(globals, program, 'pipe');
  let answer = '';
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    answer += text;
  });
  const how = await endOf(child);
  if (answer !== '') return answer;
  const words =
    typeof how === 'number' ? `it ended without an answer (exit status ${how})` : `it was broken off (${how})`;
  throw new CliError(words, 'the same command begins anew');
}

/** Waits for the end of a program: its exit status, or the signal that ended it. */
async function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const pass = (signal: NodeJS.Signals): void => {
    // Ctrl-C reaches both, and who presses it again waits for the other one still; whoever ends only this process means that one.
    if (signal === 'SIGTERM') child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, pass);
  try {
    return await new Promise((done, failed) => {
      child.once('error', failed);
      child.once('close', (code, signal) => done(signal ?? code ?? 1));
    });
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, pass);
  }
}

function spawnOnHost({ data }: GlobalOptions, program: HostProgram, output: 'inherit' | 'pipe'): ChildProcess {
  const { name, order = [], environment = {} } = program;
  const file = fileURLToPath(new URL(`../../security/src/commands/${name}.ts`, import.meta.url));
  const env = { SALLYPORT_DATA: resolve(data), ...process.env, ...environment };
  // What was restored from an archive lies in a folder of its own.
  const user = name === 'archive-command' ? {} : ownerOf(env.SALLYPORT_DATA);
  return spawn(process.execPath, [file, ...order], { ...user, env, stdio: ['inherit', output, 'inherit'] });
}

/** As root: the user whom Security's folder belongs to. What root writes there, or starts a database on, the service could not read. */
export function ownerOf(data: string): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const found = statSync(data, { throwIfNoEntry: false });
  return found ? { uid: found.uid, gid: found.gid } : {};
}
