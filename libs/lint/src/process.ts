import { existsSync, readFileSync, statSync } from 'node:fs';
import { judgeEnvironment, type KnownServer } from './environment.ts';
import { parseEnvironmentFile, type SetVariable } from './environment-file.ts';
import { formatFault, type LintFault } from './fault.ts';

/** A server that is about to start. */
export interface StartingServer {
  readonly server: KnownServer;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where its settings usually stand: faults then have lines. */
  readonly file: string;
}

/** What would be wrong with a server that is started with these settings. */
function judgeStart({ server, environment, file }: StartingServer): LintFault[] {
  const lines = new Map(readable(file).map(({ name, line }) => [name, line]));
  const variables = Object.entries(environment)
    .filter((entry): entry is [string, string] => entry[1] !== undefined && /^(SALLYPORT|NODE)_/.test(entry[0]))
    .map(([name, value]): SetVariable => {
      const line = lines.get(name);
      return line === undefined ? { name, value } : { name, value, line };
    });
  return judgeEnvironment({ where: file, variables, place: 'host' }, server);
}

/** The file belongs to root as a rule, and the server does not: then there are no lines. */
function readable(file: string): SetVariable[] {
  try {
    return existsSync(file) && statSync(file).isFile() ? parseEnvironmentFile(readFileSync(file, 'utf8')) : [];
  } catch {
    return [];
  }
}

/** Tells on standard error what is wrong; gives the exit status: 1 when the server must not start like that. */
export function checkStart(starting: StartingServer): number {
  const faults = judgeStart(starting);
  for (const fault of faults) process.stderr.write(`${formatFault(fault)}\n`);
  return faults.some(({ severity }) => severity === 'error') ? 1 : 0;
}
