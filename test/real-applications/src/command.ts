import { type CommandOptions, runCommand, sallyport as runSallyport } from '@sallyport/support';

/** Runs a command to its end; gives what it printed. @throws Error with its output, when it fails */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args, options);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${`${stdout}\n${stderr}`.slice(-600).trim()}`);
  return stdout;
}

/** Runs `sallyport …` as a person would; gives what it printed. @throws Error with its output, when it fails */
export async function sallyport(data: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await runSallyport(['--data', data, ...args], input);
  if (code !== 0)
    throw new Error(`sallyport ${args.join(' ')} ended with ${code}: ${`${stdout}\n${stderr}`.slice(-600).trim()}`);
  return stdout;
}
