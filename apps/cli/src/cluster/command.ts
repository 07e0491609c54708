import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type AppProcess,
  type ClusterError,
  haproxyOn,
  hasProgram,
  LocalCluster,
  serverUser,
} from '@sallyport/local-cluster';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { CliError } from '../output.ts';
import { globalsOf, profileFile } from '../program.ts';
import { startError } from '../start-error.ts';
import { say } from '../terminal.ts';
import { basePortOf, checkPorts, Running, stopOnSignals } from '../up/running.ts';
import {
  BRANCH,
  ensureOperator,
  freshLink,
  INTRANET_AUTHORITY,
  inviteProxy,
  type QuickStart,
  seed,
} from '../up/seed.ts';
import { branchProxies, layLine, startBranch } from './branch.ts';
import { inBranch, mainUrl } from './line.ts';
import { drawCluster } from './picture.ts';
import { CLUSTER_SPAN, type ClusterPorts, clusterPorts } from './ports.ts';

/** Where things are in the defaults: beside the one-machine set-up, so that both can be tried. */
const DATA = './data/cluster';
const ROOT_STORES = '/var/lib/sallyport/cluster';
const STORES = 3;

/** How large the farm is. */
interface Size {
  readonly nodes: number;
  readonly proxies: number;
  /** Proxies of a second site; 0 where there is none. */
  readonly branch: number;
}

/** Proxies of the second site. */
const BRANCH_PROXIES = 2;

interface ClusterUpOptions extends Record<'nodes' | 'proxies' | 'sites' | 'basePort' | 'stores', string> {
  readonly archive: boolean;
}

/** `sallyport cluster` */
export function addClusterCommand(program: Command): void {
  program
    .command('cluster')
    .description('a highly available farm, on this machine, for trying out')
    .command('up')
    .description(
      'run PostgreSQL with standbys under Patroni, Redis with Sentinels, Security nodes, Proxies and HAProxy on this machine',
    )
    .option('--nodes <n>', 'Security nodes', '2')
    .option('--proxies <n>', 'Proxies', '3')
    .option('--sites <n>', '2 for a branch with Proxies and an intranet of its own', '1')
    .option('--base-port <n>', 'first port', '25000')
    .option('--stores <folder>', `folder of databases and Redis; as root ${ROOT_STORES}`)
    .option('--no-archive', 'without an archive of the WAL; there is one where pgbackrest is installed')
    .action((options: ClusterUpOptions, command: Command) => {
      const globals = globalsOf(command);
      const data = resolve(globals.data === './data' ? DATA : globals.data);
      const stores = resolve(options.stores ?? (serverUser() ? ROOT_STORES : join(data, 'stores')));
      const branch = count('--sites', options.sites, 2) === 2 ? BRANCH_PROXIES : 0;
      const proxies = count('--proxies', options.proxies, 14 - branch);
      const size = { nodes: count('--nodes', options.nodes, 9), proxies, branch };
      const basePort = basePortOf(options.basePort, CLUSTER_SPAN);
      const profile = profileFile({ ...globals, data });
      const archive = options.archive && hasProgram('pgbackrest');
      return up({ data, stores, profile, size, archive, ports: clusterPorts(basePort) });
    });
}

function count(option: string, text: string, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new CliError(`${text} is not a number from 1 to ${most}`, `write one after ${option}`);
}

interface ClusterOfOurs {
  readonly data: string;
  readonly stores: string;
  readonly profile: string;
  readonly size: Size;
  /** All WAL goes to a repository, as on a host of its own. */
  readonly archive: boolean;
  readonly ports: ClusterPorts;
}

async function up(ours: ClusterOfOurs): Promise<void> {
  const { data, ports, size } = ours;
  const each = <T>(many: number, of: (i: number) => T): T[] => Array.from({ length: many }, (_, i) => of(i));
  const nodePorts = each(size.nodes, (i) => Object.values(ports.security(i))).flat();
  const proxyPorts = each(size.proxies + size.branch, (i) => Object.values(ports.proxy(i))).flat();
  const { devices, admin } = ports.balancer;
  await checkPorts([...each((STORES + 1) * 10, (i) => ports.stores + i), ...nodePorts, ...proxyPorts, devices, admin]);
  mkdirSync(data, { recursive: true });
  const running = new Running(data);
  stopOnSignals(running, `${data} and ${ours.stores}`);
  try {
    await startAll(running, ours);
  } catch (error) {
    await running.stop();
    throw error;
  }
}

async function startAll(running: Running, ours: ClusterOfOurs): Promise<void> {
  const cluster = await startStores(running, ours);
  const nodes: AppProcess[] = [];
  for (let i = 0; i < ours.size.nodes; i++) nodes.push(await startNode(running, ours, cluster, i));
  const admin = await ensureOperator(ours.profile, {
    ...(nodes[0]!.ready as { ca: string; oneTimeToken?: string }),
    adminUrl: `https://127.0.0.1:${ours.ports.security(0).admin}`,
  });
  const caFile = caFileOf(ours);
  const quickStart = await startIntranet(running, ours, { admin, caFile });
  const proxies: AppProcess[] = [];
  for (let i = 0; i < ours.size.proxies; i++) proxies.push(await startProxy(running, ours, { admin, i }));
  if (ours.size.branch > 0) {
    await layLine(running, ours);
    await startBranch(running, { ...ours, caFile }, admin);
    for (const [j, i] of branchProxies(ours.size).entries())
      await startProxy(running, ours, { admin, i, branch: j + 1 });
  }
  startBalancer(running, ours, cluster);
  await running.start('phone', { SALLYPORT_LISTEN: `127.0.0.1:${ours.ports.phone}` });
  // From now on over the load balancer, as operators would.
  const balanced = await ensureOperator(ours.profile, {
    ca: nodes[0]!.ready['ca']!,
    adminUrl: `https://127.0.0.1:${ours.ports.balancer.admin}`,
  });
  const out = `${quickStart.user} is out: npm run sallyport -- user enable ${quickStart.user}`;
  const link = (await freshLink(admin)) ?? out;
  await Promise.all([admin.close(), balanced.close()]);
  const primary = (await cluster.findPrimary()) ?? 0;
  const pids = { proxy: proxies[0]!.pid, node: nodes[0]!.pid };
  const folder = cluster.archive?.plan.databases[primary]?.folder;
  process.stdout.write(
    drawCluster({ ...ours, archive: folder, primary, link, quickStart, pids, redis: cluster.hosts.length }),
  );
  if (process.send) process.send({ type: 'ready', link, profile: ours.profile, ...quickStart });
}

async function startStores(running: Running, { stores, ports, archive }: ClusterOfOurs): Promise<LocalCluster> {
  mkdirSync(stores, { recursive: true, mode: 0o755 });
  const hosts = Array.from({ length: STORES }, (_, i) => ({ name: `db${i + 1}`, address: '127.0.0.1' }));
  const lb = { name: 'lb', address: '127.0.0.1' };
  process.stdout.write('  starting the stores: three etcd, PostgreSQL under Patroni, Redis and Sentinel\n');
  const cluster = await LocalCluster.start({
    folder: stores,
    hosts,
    otherHosts: [lb],
    ...(archive ? { archive: { name: 'repo', address: '127.0.0.1' } } : {}),
    basePort: ports.stores,
    progress: (text) => say`    ${text} … ok\n`,
  }).catch((error: ClusterError) => {
    throw startError(error, `logs are in ${join(stores, 'logs')}`);
  });
  running.add(() => cluster.stop());
  return cluster;
}

function startNode(running: Running, ours: ClusterOfOurs, cluster: LocalCluster, i: number): Promise<AppProcess> {
  const name = `s${i + 1}`;
  const folder = join(ours.data, name);
  const { proxies, admin } = ours.ports.security(i);
  shareKek(ours.data, folder, i);
  const environment = {
    ...cluster.securityEnvironment,
    SALLYPORT_DATA: folder,
    // All nodes are on this machine: one folder is the journal of all.
    SALLYPORT_JOURNAL: pathToFileURL(resolve(ours.data, 'journal')).href,
    SALLYPORT_PACKAGES: resolve(ours.data, 'packages'),
    SALLYPORT_NODE: name,
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${proxies}`,
    SALLYPORT_PROXY_URL: mainUrl(proxies),
    SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${admin}`,
  };
  return running.start('security', environment, { label: `security-${name}`, mayEnd: true });
}

/** A node keeps the CAs that count in a file, also while they are replaced: whoever reads it again follows. */
function caFileOf({ data }: Pick<ClusterOfOurs, 'data'>): string {
  return join(data, 's1', 'security', 'ca.pem');
}

/** Every node needs the same key-encryption keys; in production they come from your secret store. */
function shareKek(data: string, folder: string, i: number): void {
  const file = join('security', 'kek.json');
  if (i === 0 || existsSync(join(folder, file))) return;
  mkdirSync(join(folder, 'security'), { recursive: true, mode: 0o700 });
  copyFileSync(join(data, 's1', file), join(folder, file));
}

async function startIntranet(
  running: Running,
  { data, ports, size }: ClusterOfOurs,
  { admin, caFile }: { admin: AdminClient; caFile: string },
): Promise<QuickStart> {
  const { ready } = await running.start('intranet', {
    SALLYPORT_LISTEN: `127.0.0.1:${ports.intranet}`,
    SALLYPORT_SHARE: join(data, 'share'),
    SALLYPORT_JWKS_URL: `https://127.0.0.1:${ports.security(0).proxies}/v1/jwks`,
    SALLYPORT_CA: caFile,
    SALLYPORT_AUTHORITY: INTRANET_AUTHORITY,
  });
  const nodes = Array.from({ length: size.nodes }, (_, i) => mainUrl(ports.security(i).proxies));
  return seed(admin, join(data, 'cli', 'quick-start.json'), {
    security: nodes,
    intranet: ready['url']!,
    phone: `http://phone.localhost:${ports.phone}`,
    proxy: `ws://localhost:${ports.balancer.devices}`,
  });
}

async function startProxy(
  running: Running,
  { data, ports }: ClusterOfOurs,
  { admin, i, branch }: { admin: AdminClient; i: number; branch?: number },
): Promise<AppProcess> {
  const name = branch === undefined ? `p${i + 1}` : `b${branch}`;
  const folder = join(data, name);
  const { devices, health } = ports.proxy(i);
  const site = branch === undefined ? undefined : BRANCH;
  const known = existsSync(join(folder, 'identity.json'));
  const environment = {
    SALLYPORT_DATA: folder,
    SALLYPORT_LISTEN: `127.0.0.1:${devices}`,
    SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${health}`,
    SALLYPORT_TRUSTED_HOPS: branch === undefined ? '1' : '0',
    SALLYPORT_UNREADY_MS: '1500',
    SALLYPORT_DRAIN_MS: '2000',
    ...(known ? {} : { SALLYPORT_JOIN_TOKEN: await inviteProxy(admin, name, site) }),
    ...(site === undefined ? {} : inBranch()),
  };
  return running.start('proxy', environment, { label: `proxy-${name}`, mayEnd: true });
}

function startBalancer(running: Running, { size, ports }: ClusterOfOurs, cluster: LocalCluster): void {
  const address = '127.0.0.1';
  const proxies = Array.from({ length: size.proxies }, (_, i) => {
    const { devices, health } = ports.proxy(i);
    return { name: `p${i + 1}`, address, port: devices, healthPort: health };
  });
  const nodes = Array.from({ length: size.nodes }, (_, i) => ({
    name: `s${i + 1}`,
    address,
    port: ports.security(i).admin,
  }));
  const balancer = haproxyOn(cluster.place, {
    host: { name: 'lb', address },
    devices: { port: ports.balancer.devices, proxies },
    admin: { port: ports.balancer.admin, nodes },
  }).start();
  running.add(() => balancer.end());
  process.stdout.write('  starting HAProxy … ok\n');
}
