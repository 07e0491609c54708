import { spawnSync } from 'node:child_process';

/** How a program of this machine ended. */
export interface ProgramEnd {
  readonly ok: boolean;
  /** What it said, both ways, without spaces around. */
  readonly output: string;
}

/** Runs a program to its end; undefined when this machine has none of that name. */
export type RunProgram = (program: string, args: readonly string[], input?: string) => ProgramEnd | undefined;

/** Runs it for real. What asks for a password does so on the terminal. */
export const runProgram: RunProgram = (program, args, input = '') => {
  const { error, status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8', timeout: 120_000 });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
  return { ok: status === 0, output: `${stdout}${stderr}`.trim() };
};
