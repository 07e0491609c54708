import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Farm, Server } from './farm.ts';
import { omission } from './omitted-rules.ts';
import { createDatabase, postgresTool } from './stores.ts';

const run = promisify(execFile);
const COMMAND = fileURLToPath(new URL('../../../apps/security/src/commands/realm-command.ts', import.meta.url));

/** Dumps a database, and restores it as so many others as are named: nobody uses them yet. */
export async function copyDatabase(farm: Farm, from: string, names: readonly string[]): Promise<void> {
  const file = join(farm.folder, `${from}.dump`);
  const [first, ...others] = names as [string, ...string[]];
  await postgresTool(farm.cluster, 'pg_dump', '-Fc', '-f', file, from);
  await createDatabase(farm.cluster, first);
  await postgresTool(farm.cluster, 'pg_restore', '-d', first, file);
  // Nobody is connected to the first one yet: its files are copied.
  for (const name of others) await createDatabase(farm.cluster, name, first);
  rmSync(file);
}

export async function dropDatabase(farm: Farm, name: string): Promise<void> {
  await postgresTool(farm.cluster, 'psql', '-d', 'postgres', '-qc', `drop database ${name} with (force)`);
}

/** The operator's offline command with the settings of a node, on a database. Gives what it said. @throws Error with that */
export async function realmCommand(node: Server, database: string, ...order: readonly string[]): Promise<string> {
  const env = { ...process.env, ...node.environment, SALLYPORT_DATABASE_NAME: database };
  const who = ['--actor', 'rig', '--reason', 'fault rig'];
  const { stdout } = await run(process.execPath, [...omission(), COMMAND, ...order, ...who], { env });
  return stdout;
}

/** A server that is to be up within a lease takes so many starts of a command at most. */
const LEASE_STARTS = 8;
/** With the hold behind it an operator still gets an answer in the minute that a node waits. */
const LONGEST_MS = 40_000;

/** A lease during which a server of ours starts on this machine, as busy as it is: so long at least, ms. */
export async function leaseToStartIn(leastMs: number): Promise<number> {
  const startedAt = performance.now();
  await run(process.execPath, [...omission(), COMMAND, '--help']);
  return Math.round(Math.min(LONGEST_MS, Math.max(leastMs, LEASE_STARTS * (performance.now() - startedAt))));
}
