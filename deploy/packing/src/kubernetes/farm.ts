import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sallyport, waitFor } from '@sallyport/support';
import { USER_ID } from '../images/system.ts';
import { EchoBackend, Load } from '../trial/load.ts';
import { TrialOperator } from '../trial/operator.ts';
import { Stores } from '../trial/stores.ts';
import { NAMESPACE, NODES_NETWORK, OUTSIDE, type RunningPod, type TrialCluster } from './cluster.ts';

/** Folder of the chart, in a folder with the project. */
export function chartOf(project: string): string {
  return join(project, 'deploy', 'kubernetes', 'chart');
}

/** What a farm is installed from. */
export interface InstalledVersion {
  /** Folder of its chart. */
  readonly chart: string;
  /** Tag of its images on the nodes. */
  readonly tag: string;
}

/** Where the backend of the farm listens, and where one does that no policy opens. */
export const BACKEND_PORTS = { opened: 8_080, closed: 8_081 };
const SECURITY_REPLICAS = 2;
/** Proxies that the autoscaler may have, and how much of what they asked for they may use, percent. */
export const PROXIES = { least: 2, most: 4, cpuPercent: 50 };
/** Devices that use the farm, with a channel each. */
export const DEVICES = 24;
const PAUSE_MS = 400;
/** How long a rollout may take, s: machines are shared. */
const ROLLOUT = '600s';
const COMES_WITHIN_MS = 600_000;

/** A farm that runs in a cluster, with devices that use it. */
export interface TrialFarm {
  readonly cluster: TrialCluster;
  readonly operator: TrialOperator;
  readonly backend: EchoBackend;
  readonly load: Load;
  readonly stores: Stores;
}

/** Installs a chart as `docs/kubernetes.md` says, sets the farm up, and lets devices begin. */
export async function installFarm(
  cluster: TrialCluster,
  { chart, tag }: InstalledVersion,
  say: (text: string) => void,
): Promise<TrialFarm> {
  const stores = await Stores.start({ folder: join(cluster.folder, 'stores'), address: OUTSIDE, names: [] });
  const issuer = await giveNamespace(cluster, stores);
  const values = join(cluster.folder, 'values.json');
  writeFileSync(values, JSON.stringify(valuesOf(issuer, tag)));
  await cluster.helm('install', 'farm', chart, '--values', values);
  await rolledOut(cluster, 'statefulset/farm-security');
  say('Security is ready');
  const ca = await readCa(cluster);
  await cluster.apply(configMap('sallyport-ca', { 'ca.pem': ca }));
  const operator = await firstOperator(cluster, ca);
  const backend = await EchoBackend.listen(OUTSIDE, BACKEND_PORTS.opened);
  await operator.setUp({
    site: 'main',
    origins: [`ws://farm-proxy.${NAMESPACE}.svc.cluster.local:80`],
    backend: { url: `http://${OUTSIDE}:${BACKEND_PORTS.opened}`, networks: [NODES_NETWORK] },
  });
  await allWell({ cluster, operator });
  say('Proxies have joined by the tokens of their service account');
  const devices = [];
  for (let i = 0; i < DEVICES; i++) devices.push(await operator.device(`u${i}`));
  return { cluster, operator, backend, stores, load: new Load(devices, backend, PAUSE_MS) };
}

/** Waits until every pod is ready, and so many Proxies at least hold a lease. */
export async function allWell({ cluster, operator }: Pick<TrialFarm, 'cluster' | 'operator'>): Promise<void> {
  const [atLeast, nodes] = [PROXIES.least, SECURITY_REPLICAS];
  const isWell = (pods: readonly RunningPod[], count: number): boolean =>
    pods.length >= count && pods.every(({ ready, ending }) => ready && !ending);
  let seen = '';
  const so = async (): Promise<boolean> => {
    const [security, proxies] = [await cluster.pods('security'), await cluster.pods('proxy')];
    seen = JSON.stringify([...security, ...proxies].map(({ name, ready, ending }) => ({ name, ready, ending })));
    if (!isWell(security, nodes) || !isWell(proxies, atLeast)) return false;
    const live = await operator.liveProxies();
    return proxies.every((pod) => live.some((proxy) => isProxyOf(pod, proxy)));
  };
  await waitFor(so, 'a farm whose pods are all ready', () => seen, COMES_WITHIN_MS);
}

/** Whether a Proxy is called by a pod and the beginning of its uid. */
function isProxyOf({ name, uid }: RunningPod, proxy: string): boolean {
  return proxy.startsWith(`${name}.`) && uid.startsWith(proxy.slice(name.length + 1));
}

/** Waits until a rollout is through. */
export async function rolledOut(cluster: TrialCluster, what: string): Promise<void> {
  await cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', what, `--timeout=${ROLLOUT}`);
}

/** Makes what `docs/kubernetes.md` wants before the chart; gives the issuer of the cluster. */
async function giveNamespace(cluster: TrialCluster, { ca, password }: Stores): Promise<string> {
  const kek = join(cluster.folder, 'kek.json');
  const made = await sallyport(['kek', 'new', kek]);
  if (made.code !== 0) throw new Error(made.stderr);
  const { issuer } = JSON.parse(await cluster.kubectl('get', '--raw', '/.well-known/openid-configuration'));
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels: restricted } });
  await cluster.apply(
    secret('sallyport-kek', { 'kek.json': readFileSync(kek, 'utf8') }),
    secret('sallyport-database', { password, 'ca.crt': ca }),
    secret('sallyport-redis', { password, 'ca.crt': ca }),
    configMap('sallyport-cluster-keys', { 'jwks.json': await cluster.kubectl('get', '--raw', '/openid/v1/jwks') }),
    ...Array.from({ length: SECURITY_REPLICAS }, (_, i) => volume(cluster, i)),
  );
  return issuer;
}

function secret(name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, stringData };
}

function configMap(name: string, data: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE }, data };
}

/** Nobody provisions volumes here: each is a folder, which both nodes see. */
function volume(cluster: TrialCluster, i: number): object {
  const path = join(cluster.folder, 'volumes', String(i));
  mkdirSync(path, { recursive: true, mode: 0o755 });
  chownSync(path, USER_ID, USER_ID);
  return {
    ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: `volume-${i}` } },
    spec: {
      ...{ storageClassName: 'local', accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' } },
      hostPath: { path, type: 'Directory' },
    },
  };
}

function valuesOf(issuer: string, tag: string): object {
  const nodes = [{ ipBlock: { cidr: NODES_NETWORK } }];
  const outside = [{ ipBlock: { cidr: `${OUTSIDE}/32` } }];
  const many = { SALLYPORT_ADDRESS_BURST: '100000', SALLYPORT_ADDRESS_PER_MINUTE: '100000' };
  return {
    image: { tag },
    cluster: { issuer },
    security: {
      ...{ replicas: SECURITY_REPLICAS, settings: many, drainSeconds: 5 },
      storage: { className: 'local', size: '64Mi' },
      resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } },
    },
    database: { hosts: `${OUTSIDE}:5432` },
    redis: { url: `rediss://${OUTSIDE}:6379` },
    proxy: {
      ...{ unreadySeconds: 5, drainSeconds: 10 },
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
      autoscaling: {
        ...{ enabled: true, minReplicas: PROXIES.least, maxReplicas: PROXIES.most },
        ...{ cpuPercent: PROXIES.cpuPercent, downAfterSeconds: 15 },
      },
    },
    networkPolicy: {
      ...{ operators: nodes, database: outside, redis: outside },
      prometheus: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      backends: [{ to: outside, ports: [{ protocol: 'TCP', port: BACKEND_PORTS.opened }] }],
    },
  };
}

function readCa(cluster: TrialCluster): Promise<string> {
  const script = 'fs.readFileSync("/var/lib/sallyport/security/ca.pem","utf8")';
  return cluster.exec(NAMESPACE, 'farm-security-0', '/usr/bin/node', '-p', script);
}

async function firstOperator(cluster: TrialCluster, ca: string): Promise<TrialOperator> {
  const command = ['/usr/bin/sallyport', 'operator', 'break-glass', '--name', 'olga', '--reason', 'first operator'];
  const printed = await cluster.exec(NAMESPACE, 'farm-security-0', ...command);
  const token = tokenIn(printed);
  return TrialOperator.login({ urls: [`https://farm-security.${NAMESPACE}.svc.cluster.local:8444`], ca }, token);
}

/** The one-time token in what `break-glass` prints. @throws Error when there is none */
function tokenIn(printed: string): string {
  const [, token] = /^(\S{20,})$/m.exec(printed) ?? [];
  if (token === undefined) throw new Error(`there is no token in: ${printed}`);
  return token;
}
