import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The file that `sallyport` runs. */
export const CLI: string = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

const PATIENCE_MS = 120_000;
const LEAVE_WITHIN_MS = 10_000;
const PRESSED_EVERY_MS = 50;

/** Where and with what a command runs; `environment` comes on top of this process's. */
export interface CommandOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** A group of processes of its own, as a shell makes one: Ctrl-C means all of it. Only where it runs on. */
  readonly ownGroup?: boolean;
}

/** The processes that a process has started; none once it has ended. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Sends a signal to a process, or to a group of them by its negative id; who has ended meanwhile needs none. */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. @throws Error when there is no such program */
export function runCommand(
  command: string,
  args: readonly string[],
  { input = '', cwd, environment }: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd,
    env: { ...process.env, ...environment },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    output.stdout += data;
  });
  child.stderr.on('data', (data) => {
    output.stderr += data;
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
}

/** A program that runs until it is ended. */
export interface Running {
  readonly child: ChildProcess;
  /** All that it printed. */
  readonly output: () => string;
  /** Asks it to end, and makes it after ten seconds. */
  end(): Promise<void>;
  /** Presses Ctrl-C at its terminal, again and again, until it has ended. It has a group of its own. */
  pressCtrlC(): Promise<void>;
  /** Kills what it has started, and waits for its own end. */
  killChildren(): Promise<void>;
  /** Kills it, and waits until what it had started has ended by itself. */
  killAlone(): Promise<void>;
  /** Kills it with all that it has started in its group, as a machine does that is switched off. It has a group of its own. */
  killAll(): Promise<void>;
}

/** Starts a program that goes on running. */
export function startCommand(command: string, args: readonly string[], options: CommandOptions = {}): Running {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
    detached: options.ownGroup ?? false,
  });
  let output = '';
  const hear = (data: Buffer | Error): void => {
    output += String(data);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.once('error', hear);
  return {
    child,
    output: () => output,
    end: () => endOf(child),
    pressCtrlC: () => pressCtrlC(child),
    killChildren: async () => {
      for (const pid of childrenOf(child.pid!)) signalTo(pid, 'SIGKILL');
      if (!hasEnded(child)) await new Promise((resolve) => child.once('exit', resolve));
    },
    killAlone: async () => {
      const left = childrenOf(child.pid!);
      child.kill('SIGKILL');
      await waitFor(
        () => !left.some(isAlive),
        'the end of what it had started',
        () => output,
      );
    },
    killAll: async () => {
      const left = [child.pid!, ...childrenOf(child.pid!)];
      signalTo(-child.pid!, 'SIGKILL');
      await waitFor(
        () => !left.some(isAlive),
        'the end of all of it',
        () => output,
      );
    },
  };
}

/** False for one that has ended, and only waits for somebody to ask how. */
export function isAlive(pid: number): boolean {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return state.slice(state.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}

async function pressCtrlC(child: ChildProcess): Promise<void> {
  for (; !hasEnded(child); await sleep(PRESSED_EVERY_MS)) signalTo(-child.pid!, 'SIGINT');
}

async function endOf(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), LEAVE_WITHIN_MS);
  await ended;
  clearTimeout(hard);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Starts `sallyport …` and waits until it has printed what matches. @throws Error with what it said, when it ends before */
export async function startSallyport(args: readonly string[], until: RegExp): Promise<Running> {
  const running = startCommand('node', [CLI, ...args]);
  const said = (): boolean => {
    if (hasEnded(running.child)) throw new Error(`sallyport ${args.join(' ')} ended:\n${running.output()}`);
    return until.test(running.output());
  };
  await waitFor(said, `sallyport ${args.join(' ')}`, running.output);
  return running;
}

/** Waits until something is so. @throws Error after two minutes unless said otherwise, with what `said` tells */
export async function waitFor(
  so: () => boolean | Promise<boolean>,
  what: string,
  said: () => string = () => '',
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await sleep(20))
    if (await so()) return;
  throw new Error(`${what} was waited for in vain: ${said().slice(-600)}`);
}

/** Waits until somebody listens on a port of this machine. */
export function listening(port: number, program: Running): Promise<void> {
  return waitFor(() => isListening(port), `a program on port ${port}`, program.output);
}

/** Whether somebody listens on a port of this machine. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Runs `sallyport …` as a person would. */
export function sallyport(
  args: readonly string[],
  input = '',
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  return runCommand('node', [CLI, ...args], { input, environment });
}
