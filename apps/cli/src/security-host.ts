import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
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
  const child = spawnOnHost(globals, program, 'inherit');
  const pass = (signal: NodeJS.Signals): void => {
    // Ctrl-C reaches both; whoever ends only this process means the other one.
    if (signal === 'SIGTERM') child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, pass);
  const code = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, pass);
  return code === 0;
}

/** Runs it likewise, and gives what it answers; what it says while it works is on this terminal. */
export async function askSecurityHost(globals: GlobalOptions, program: HostProgram): Promise<string> {
  const child = spawnOnHost(globals, program, 'pipe');
  let answer = '';
  for await (const text of child.stdout!.setEncoding('utf8')) answer += text;
  return answer;
}

function spawnOnHost({ data }: GlobalOptions, program: HostProgram, output: 'inherit' | 'pipe'): ChildProcess {
  const { name, order = [], environment = {} } = program;
  const file = fileURLToPath(new URL(`../../security/src/commands/${name}.ts`, import.meta.url));
  const env = { SALLYPORT_DATA: resolve(data), ...process.env, ...environment };
  return spawn(process.execPath, [file, ...order], { env, stdio: ['inherit', output, 'inherit'] });
}
