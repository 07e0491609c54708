import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Host, LocalCluster } from '@sallyport/local-cluster';
import type { Network } from '@sallyport/support';

const run = promisify(execFile);
const BASE_PORT = 4_000;
/** Size of the disk of a database host. It is a file system of its own, so that it can be full. */
const DISK = '1200m';

const startedAt = performance.now();

/** Says on standard error how far things are. */
export function say(text: string): void {
  process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
}

/** Takes down what `storesOn` made; the processes are gone already. */
export function discard(folder: string): void {
  const stores = join(folder, 'stores');
  for (const disk of mountsUnder(stores)) execFileSync('umount', ['-l', disk]);
  rmSync(folder, { recursive: true, force: true });
}

function mountsUnder(folder: string): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')[1] ?? '').filter((place) => place.startsWith(`${folder}/`));
}

/** What there is beside the three hosts. */
export interface StoresOptions {
  /** Host of the repository of an archive. */
  readonly archive?: Host | undefined;
  /** Hosts with a PostgreSQL of their own. */
  readonly lone?: readonly Host[];
}

/** Starts the database and Redis on three hosts, each with a disk of its own. */
export async function storesOn(
  network: Network,
  { archive, lone = [] }: StoresOptions = {},
): Promise<{ cluster: LocalCluster; folder: string }> {
  const folder = mkdtempSync('/tmp/sallyport-fault-');
  chmodSync(folder, 0o755);
  const hosts = [1, 2, 3].map((i) => network.addHost(`db${i}`, `10.77.1.${i}`));
  for (const { name } of [...hosts, ...(archive ? [archive] : []), ...lone]) {
    const disk = join(folder, 'stores', name);
    mkdirSync(disk, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=755`, 'tmpfs', disk]);
  }
  const cluster = await LocalCluster.start({
    folder: join(folder, 'stores'),
    hosts,
    basePort: BASE_PORT,
    samePorts: true,
    otherHosts: lone,
    ...(archive ? { archive } : {}),
    progress: say,
  });
  return { cluster, folder };
}

/** A program of PostgreSQL on the primary of the cluster; gives what it printed. */
export async function postgresTool(cluster: LocalCluster, program: string, ...args: string[]): Promise<string> {
  const [hosts, ports] = [0, 1].map((part) => cluster.databaseHosts.split(',').map((text) => text.split(':')[part]));
  const env = {
    ...process.env,
    PGHOST: hosts!.join(),
    PGPORT: ports!.join(),
    PGUSER: 'postgres',
    PGPASSWORD: cluster.place.secrets.superuser,
    PGSSLMODE: 'verify-ca',
    PGSSLROOTCERT: cluster.place.tls.ca,
    PGTARGETSESSIONATTRS: 'read-write',
  };
  return (await run(program, args, { env })).stdout;
}

/** A new database of Security's own role; a copy of another one, which nobody uses, where one is named. */
export async function createDatabase(cluster: LocalCluster, name: string, of?: string): Promise<void> {
  const template = of === undefined ? '' : ` template ${of}`;
  await postgresTool(cluster, 'psql', '-d', 'postgres', '-qc', `create database ${name} owner sallyport${template}`);
}
