import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { commandOn, type Host } from '@sallyport/local-cluster';
import { omission } from './omitted-rules.ts';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

/** A command that is under way. */
export interface CommandUnderWay {
  /** Ends it with all that it has started: who is killed alone is outlived by the program that does the work. */
  readonly kill: (signal?: NodeJS.Signals) => void;
  /** What it has said so far. */
  readonly said: () => string;
  readonly done: Promise<{ readonly code: number; readonly output: string }>;
}

/** Starts the operator's command line on a host. */
export function startOn(
  host: Host,
  order: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): CommandUnderWay {
  const [program, ...args] = commandOn(host, undefined, [process.execPath, ...omission(), CLI, ...order]);
  const child = spawn(program!, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const done = new Promise<{ code: number; output: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
  const kill = (signal: NodeJS.Signals = 'SIGKILL'): void => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal);
  };
  return { kill, said: () => output, done };
}

/** Runs it to its end. @throws Error with what it said when it failed */
export async function sallyportOn(
  host: Host,
  order: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, output } = await startOn(host, order, environment).done;
  if (code !== 0) throw new Error(`sallyport ${order.join(' ')} failed:\n${output}`);
  return output;
}
