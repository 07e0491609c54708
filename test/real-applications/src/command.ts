import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));
const PATIENCE_MS = 120_000;

/** Where and with what a command runs. */
export interface CommandOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/** Runs a command to its end; gives what it printed. @throws Error with its output, when it fails */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
  });
  const output = { out: '', all: '' };
  child.stdout.on('data', (data) => {
    output.out += data;
    output.all += data;
  });
  child.stderr.on('data', (data) => {
    output.all += data;
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output.all.slice(-600).trim()}`);
  return output.out;
}

/** Runs `sallyport …` as a person would. */
export function sallyport(data: string, args: readonly string[], input = ''): Promise<string> {
  return run('node', [CLI, '--data', data, ...args], { input });
}

/** A program that runs until it is ended. */
export interface Running {
  readonly output: () => string;
  end(): Promise<void>;
}

/** Starts a program that goes on running. */
export function start(command: string, args: readonly string[], options: CommandOptions = {}): Running {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
  });
  let output = '';
  const hear = (data: Buffer): void => {
    output += data;
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.once('error', (error) => {
    output += String(error);
  });
  return { output: () => output, end: () => endOf(child) };
}

/** Starts `sallyport …` and waits until it has printed what matches. */
export async function startSallyport(data: string, args: readonly string[], until: RegExp): Promise<Running> {
  const running = start('node', [CLI, '--data', data, ...args]);
  await waitFor(() => until.test(running.output()), `sallyport ${args.join(' ')}`, running.output);
  return running;
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(hard);
}

/** Waits until something is so. @throws Error after two minutes, with what `said` tells */
export async function waitFor(
  so: () => boolean | Promise<boolean>,
  what: string,
  said: () => string = () => '',
): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await sleep(100))
    if (await so()) return;
  throw new Error(`${what} was waited for in vain: ${said().slice(-600)}`);
}

/** Waits until somebody listens on a port of this machine. */
export function listening(port: number, program: Running): Promise<void> {
  const isOpen = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  return waitFor(isOpen, `a program on port ${port}`, program.output);
}
