import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url));

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; `environment` comes on top of this process's. */
export function runCommand(
  command: string,
  args: readonly string[],
  input = '',
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
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

/** Runs `sallyport …` as a person would. */
export function sallyport(
  args: readonly string[],
  input = '',
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  return runCommand('node', [CLI, ...args], input, environment);
}

/** Starts `sallyport …` and waits until it has printed what matches. */
export function startSallyport(
  args: readonly string[],
  until: RegExp,
): Promise<{ child: ChildProcess; output: () => string }> {
  const child = spawn('node', [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  return new Promise((resolve, reject) => {
    const hear = (data: Buffer): void => {
      output += String(data);
      if (until.test(output)) resolve({ child, output: () => output });
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`sallyport ${args.join(' ')} ended with ${code}:\n${output}`)));
  });
}
