import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from './output.ts';
import type { GlobalOptions } from './program.ts';
import { warn } from './terminal.ts';

/** A program that has said how it ends does so within that, ms, unless a system call of it hangs. */
const LEAVES_MS = 15_000;
/** Whoever wants it to end hears after so long that it has not, ms. */
const TELL_MS = 10_000;

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
  return (await endOfProgram(spawnOnHost(globals, program, 'inherit'))) === 0;
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
  const how = await endOfProgram(child);
  if (answer !== '') return answer;
  const words =
    typeof how === 'number' ? `it ended without an answer (exit status ${how})` : `it was broken off (${how})`;
  throw new CliError(words, 'the same command begins anew');
}

/** What a program says of its end. */
interface Word {
  /** It has done what it could, with this exit status. */
  readonly ended?: number;
  /** It heard a signal, and finishes what it is at. */
  readonly finishing?: true;
}

/**
 * Waits for the end of a program: its exit status, or the signal that ended it. One that has said how it ends and hangs in a system call, as
 * at a share whose server is gone, is left; so is one that does not end at a signal, when another one comes after that was told.
 */
export async function endOfProgram(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const { promise, resolve, reject } = Promise.withResolvers<number | NodeJS.Signals>();
  let [signals, isFinishing, isTold, isOver] = [0, false, false, false];
  let timer: NodeJS.Timeout | undefined;
  const after = (ms: number, work: () => void): void => {
    clearTimeout(timer);
    timer = setTimeout(work, ms);
  };
  const leave = (how: number | NodeJS.Signals): void => {
    letGoOf(child);
    resolve(how);
  };
  const tell = (): void => {
    isTold = true;
    warn`process ${child.pid} has not ended yet: it undoes what it began, or a target does not answer. The same again, and nobody waits for it\n`;
  };
  const pass = (signal: NodeJS.Signals): void => {
    if (isTold) return leave(signal);
    signals += 1;
    // Ctrl-C reaches both, and who presses it again waits for the other one still; whoever ends only this process means that one.
    if (signal === 'SIGTERM') child.kill(signal);
    if (!isOver && (!isFinishing || signals > 1)) after(TELL_MS, tell);
  };
  child.on('message', ({ ended, finishing }: Word) => {
    isOver ||= ended !== undefined;
    isFinishing ||= finishing === true;
    if (ended !== undefined) after(LEAVES_MS, () => leave(ended));
    else if (finishing && signals <= 1) clearTimeout(timer);
  });
  child.once('error', reject);
  child.once('close', (code, signal) => resolve(signal ?? code ?? 1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, pass);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    // Whoever presses Ctrl-C on and on still hears how it ended.
    if (signals > 0) process.on('SIGINT', () => undefined);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, pass);
  }
}

/** Nothing holds this process any more; the other one ends as soon as it can. */
function letGoOf(child: ChildProcess): void {
  child.kill('SIGKILL');
  child.stdout?.destroy();
  if (child.connected) child.disconnect();
  child.unref();
}

function spawnOnHost({ data }: GlobalOptions, program: HostProgram, output: 'inherit' | 'pipe'): ChildProcess {
  const { name, order = [], environment = {} } = program;
  const file = fileURLToPath(new URL(`../../security/src/commands/${name}.ts`, import.meta.url));
  const env = { SALLYPORT_DATA: resolve(data), ...process.env, ...environment };
  // What was restored from an archive lies in a folder of its own.
  const user = name === 'archive-command' ? {} : ownerOf(env.SALLYPORT_DATA);
  return spawn(process.execPath, [file, ...order], { ...user, env, stdio: ['inherit', output, 'inherit', 'ipc'] });
}

/** As root: the user whom Security's folder belongs to. What root writes there, or starts a database on, the service could not read. */
export function ownerOf(data: string): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const found = statSync(data, { throwIfNoEntry: false });
  return found ? { uid: found.uid, gid: found.gid } : {};
}
