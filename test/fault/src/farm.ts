import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AppContext } from '@sallyport/channel';
import { type Device, type DeviceError, type DeviceErrorCode, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import {
  AppProcess,
  type Daemon,
  type Host,
  haproxyOn,
  type LocalCluster,
  TcpFaultProxy,
} from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { DRIVER_ADDRESS, Network, waitFor } from '@sallyport/support';
import { Backend } from './backend.ts';
import { LonePostgres } from './lone-postgres.ts';
import { omission } from './omitted-rules.ts';
import { Operator } from './operator.ts';
import { createDatabase, discard, say, storesOn } from './stores.ts';

/** The app that the devices say they are. */
export const RIG_APP = 'rig.app';
const CONTEXT: AppContext = {
  id: RIG_APP,
  version: '1.0.0',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: 'rig',
  posture: { rooted: false },
  sdk: 'fault-rig',
};
const PASSWORD = 'correct horse battery';
const PORTS = { devices: 8_440, health: 8_441, security: 8_443, admin: 8_444 };
export const AUTHORITY = 'echo.corp';
/** The lease of the rig: longer than a failover of its database. */
export const LEASE_MS = 15_000;
const CLOCK_SHIFT = fileURLToPath(new URL('./clock-shift.ts', import.meta.url));
const JOURNAL = 'rig_journal';
/** A busy machine may let the database fail over at any time. */
const START_TRIES = 3;
/** The shortest that the settings allow. */
const AUTHORITY_MS = 5_000;

/** How large a farm is. */
export interface FarmSize {
  readonly nodes: number;
  readonly proxies: number;
  readonly leaseMs?: number;
  /** Puts a relay that can play a bad line before every Security node. */
  readonly badLines?: boolean;
  /** Keeps revocations in a PostgreSQL: another database of the realm's servers, or one in another place. */
  readonly journal?: boolean | 'elsewhere';
  /** Sends all WAL to a repository on a host of its own. */
  readonly archive?: boolean;
  /** Hosts with a PostgreSQL of their own, by name and address: nothing runs on them yet. */
  readonly lone?: Readonly<Record<string, string>>;
  /** Further settings of all Security nodes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Folder with the version that all servers run at first: this one unless named. */
  readonly project?: string | undefined;
}

/** A server of ours with what it takes to start it again. */
export interface Server {
  readonly name: string;
  readonly host: Host;
  readonly app: 'security' | 'proxy';
  environment: Record<string, string>;
  /** Folder with the version that it runs; undefined for this one. */
  project: string | undefined;
  process: AppProcess;
}

type Launched = Omit<Server, 'process'>;

/** A device whose user has a link. */
export interface Newcomer {
  readonly device: Device;
  /** Enrols and signs in. */
  readonly enter: () => Promise<void>;
}

/** Opens a device that knows nothing yet. */
export type OpenDevice = (context: () => AppContext) => Promise<Device>;

const openNewDevice: OpenDevice = (context) => openDevice(memoryStorage(), context);

/** A whole farm on hosts of its own: database, Redis, Security nodes, Proxies, load balancer, backend and operator. */
export class Farm {
  readonly network: Network;
  readonly cluster: LocalCluster;
  readonly backend: Backend;
  readonly folder: string;
  readonly nodes: Server[] = [];
  readonly proxies: Server[] = [];
  /** The lines to the Security nodes, when they may be bad. */
  readonly lines: TcpFaultProxy[] = [];
  readonly #leaseMs: number;
  readonly #journal: string | undefined;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #project: string | undefined;
  #balancer: Daemon | undefined;
  #operator: Operator | undefined;

  private constructor(parts: {
    network: Network;
    cluster: LocalCluster;
    backend: Backend;
    folder: string;
    leaseMs: number;
    journal: string | undefined;
    environment: Readonly<Record<string, string>> | undefined;
    project: string | undefined;
  }) {
    this.network = parts.network;
    this.cluster = parts.cluster;
    this.backend = parts.backend;
    this.folder = parts.folder;
    this.#leaseMs = parts.leaseMs;
    this.#journal = parts.journal;
    this.#environment = parts.environment ?? {};
    this.#project = parts.project;
  }

  static async start(size: FarmSize): Promise<Farm> {
    const { nodes, proxies, leaseMs = LEASE_MS, badLines = false } = size;
    const network = new Network();
    const elsewhere = size.journal === 'elsewhere' ? network.addHost('jr', '10.77.1.8') : undefined;
    const archive = size.archive ? network.addHost('repo', '10.77.1.9') : undefined;
    const lone = Object.entries(size.lone ?? {}).map(([name, address]) => network.addHost(name, address));
    const { cluster, folder } = await storesOn(network, {
      archive,
      lone: [...lone, ...(elsewhere ? [elsewhere] : [])],
    });
    const journal = size.journal ? await createJournal(cluster, elsewhere) : undefined;
    const farm = new Farm({
      network,
      cluster,
      backend: await Backend.start(),
      folder,
      leaseMs,
      journal,
      environment: size.environment,
      project: size.project,
    });
    // The first one makes the realm, whose key the others are given.
    farm.nodes.push(await farm.#startNode(1, badLines));
    const others = Array.from({ length: nodes - 1 }, (_, i) => farm.#startNode(i + 2, badLines));
    farm.nodes.push(...(await Promise.all(others)));
    await farm.#configure();
    await Promise.all(Array.from({ length: proxies }, (_, i) => farm.#addProxy(i + 1)));
    await farm.#balance();
    say(`${nodes} Security nodes, ${proxies} Proxies, HAProxy`);
    return farm;
  }

  get operator(): Operator {
    return this.#operator!;
  }

  /** A new device of a user of its own, enrolled and signed in. */
  async device(user: string, open: OpenDevice = openNewDevice): Promise<Device> {
    const { device, enter } = await this.newcomer(user, open);
    await enter();
    return device;
  }

  /** The same with nothing done but the link. */
  async newcomer(user: string, open: OpenDevice = openNewDevice): Promise<Newcomer> {
    await this.operator.call(api.users.put, {
      params: { name: user },
      body: { password: PASSWORD, groups: ['staff'] },
    });
    const { link } = await this.operator.call(api.codes.issue, { body: { user } });
    const device = await open(() => CONTEXT);
    const enter = async (): Promise<void> => {
      await patiently(() => device.enroll(link, { user, password: PASSWORD }));
      await this.login(device, user);
    };
    return { device, enter };
  }

  /** A device signs in again. */
  login(device: Device, user: string): Promise<void> {
    return patiently(() => device.login({ user, password: PASSWORD }));
  }

  /** Whether a device can sign in again. @throws DeviceError while nobody says whether it may */
  async signsIn(device: Device, user: string): Promise<boolean> {
    try {
      await patiently(() => device.login({ user, password: PASSWORD }), isUnsaid);
      return true;
    } catch (error) {
      if (isUnsaid(error)) throw error;
      return false;
    }
  }

  /** Whether a server can be started; one that could not is left alone. */
  async starts(server: Server, environment: Record<string, string> = {}): Promise<boolean> {
    return this.restart(server, { environment, tries: 1 }).then(
      () => true,
      () => false,
    );
  }

  /** Ends a server in order and starts another version of it in its place: of the folder, or this one. */
  async replace(server: Server, project: string | undefined): Promise<void> {
    await server.process.end('SIGTERM');
    server.project = project;
    await this.restart(server);
  }

  /** Starts a server anew on its host; again, unless told otherwise, when its start ends: the database may be failing over. */
  async restart(
    server: Server,
    options: { environment?: Record<string, string>; clockOffsetMs?: number; tries?: number } = {},
  ): Promise<void> {
    if (server.process.running) await server.process.end('SIGKILL');
    server.environment = { ...server.environment, ...options.environment };
    server.process = await this.#launch(server, options.clockOffsetMs ?? 0, options.tries);
  }

  /** Devices that begin from now on come to these Proxies, past the load balancer. */
  async lead(...to: readonly Server[]): Promise<void> {
    const origins = to.map(({ environment }) => `ws://${environment['SALLYPORT_LISTEN']}`);
    await this.operator.call(api.sites.put, { params: { name: 'here' }, body: { origins } });
  }

  /** The operator's program at one node only. */
  operatorAt({ host }: Server): Operator {
    return this.operator.at(`https://${host.address}:${PORTS.admin}`);
  }

  /** Waits until so many Proxies hold a live lease; processes of one identity are one Proxy. */
  async live(count: number = this.proxies.length): Promise<void> {
    const isLive = async (): Promise<boolean> =>
      (await this.status()).proxies.filter(({ live }) => live).length >= count;
    await waitFor(isLive, 'the leases of the Proxies');
  }

  /** Waits until this very Proxy process says that it may serve. */
  async ready({ host }: Server): Promise<void> {
    const ask = () => fetch(`http://${host.address}:${PORTS.health}/readyz`).catch(() => undefined);
    await waitFor(async () => (await ask())?.ok === true, `readiness of ${host.name}`);
  }

  status(): Promise<FarmStatus> {
    return this.operator.call(api.status.get);
  }

  /** Ends everything; the namespaces go with the process. */
  async stop(): Promise<void> {
    this.backend.close();
    await this.#operator?.close();
    for (const { process: server } of [...this.proxies, ...this.nodes]) await server.end('SIGKILL');
    await this.#balancer?.end('SIGKILL');
    this.network.killAll();
    discard(this.folder);
  }

  async #startNode(i: number, badLines: boolean): Promise<Server> {
    const prepared = this.prepareNode(`s${i}`, `10.77.2.${i}`);
    const line = badLines ? { SALLYPORT_PROXY_URL: await this.#addLine(prepared.host) } : {};
    return this.begin({ ...prepared, environment: { ...prepared.environment, ...line } });
  }

  /** A Security node on a host of its own, with everything but its start. */
  prepareNode(name: string, address: string): Launched {
    const host = this.network.addHost(name, address);
    const data = join(this.folder, host.name);
    // The key-encryption key of the first node is carried to the others, as an operator does.
    const [kek, first] = [join('security', 'kek.json'), this.nodes[0]?.name];
    mkdirSync(join(data, 'security'), { recursive: true, mode: 0o700 });
    if (first !== undefined) copyFileSync(join(this.folder, first, kek), join(data, kek));
    const environment = {
      ...this.cluster.securityEnvironment,
      SALLYPORT_DATA: data,
      SALLYPORT_NODE: host.name,
      SALLYPORT_PROXY_LISTEN: `${host.address}:${PORTS.security}`,
      SALLYPORT_ADMIN_LISTEN: `${host.address}:${PORTS.admin}`,
      ...(this.#journal ? this.#journalEnvironment() : {}),
      SALLYPORT_NAMES: `${host.address},${DRIVER_ADDRESS}`,
      SALLYPORT_ADDRESS_BURST: '1000000',
      SALLYPORT_ADDRESS_PER_MINUTE: '1000000',
      SALLYPORT_LEASE_MS: String(this.#leaseMs),
      ...this.#environment,
    };
    return { name, host, app: 'security', environment, project: this.#project };
  }

  /** Starts a server for the first time. */
  async begin(prepared: Launched): Promise<Server> {
    return { ...prepared, process: await this.#launch(prepared, 0) };
  }

  #journalEnvironment(): Record<string, string> {
    const { place } = this.cluster;
    return {
      SALLYPORT_JOURNAL: `postgresql://sallyport@${this.#journal}/${JOURNAL}`,
      SALLYPORT_JOURNAL_CA: place.tls.ca,
      SALLYPORT_JOURNAL_PASSWORD: place.secrets.sallyport,
      SALLYPORT_JOURNAL_AUTHORITY_MS: String(AUTHORITY_MS),
    };
  }

  async #addLine(host: Host): Promise<string> {
    const line = await TcpFaultProxy.start({ host: host.address, port: PORTS.security }, { host: DRIVER_ADDRESS });
    this.lines.push(line);
    return `https://${DRIVER_ADDRESS}:${line.port}`;
  }

  async #addProxy(i: number): Promise<void> {
    const host = this.network.addHost(`p${i}`, `10.77.3.${i}`);
    const body = { name: host.name, site: 'here' };
    const { token } = await this.operator.call(api.proxies.invite, { body });
    const environment = {
      SALLYPORT_DATA: join(this.folder, host.name),
      SALLYPORT_LISTEN: `${host.address}:${PORTS.devices}`,
      SALLYPORT_HEALTH_LISTEN: `${host.address}:${PORTS.health}`,
      SALLYPORT_JOIN_TOKEN: token,
      SALLYPORT_TRUSTED_HOPS: '1',
      SALLYPORT_UNREADY_MS: '1500',
    };
    const server = { name: host.name, host, app: 'proxy', environment, project: this.#project } as const;
    const process_ = await this.#launch(server, 0);
    this.proxies.push({ ...server, environment, process: process_ });
  }

  /** Starts a second process with the identity of a Proxy, as a host that was cloned, or a volume that two processes share; anew with what the folder is now, when there was one. */
  async addTwin(of: Server): Promise<Server> {
    const name = `${of.name}b`;
    const known = this.proxies.find((proxy) => proxy.name === name);
    const data = join(this.folder, name);
    rmSync(data, { recursive: true, force: true });
    cpSync(join(this.folder, of.name), data, { recursive: true });
    if (known) {
      await this.restart(known);
      return known;
    }
    const host = this.network.addHost(name, of.host.address.replace('10.77.3.', '10.77.5.'));
    const { SALLYPORT_JOIN_TOKEN: _, ...rest } = of.environment;
    const environment = {
      ...rest,
      SALLYPORT_DATA: data,
      SALLYPORT_LISTEN: `${host.address}:${PORTS.devices}`,
      SALLYPORT_HEALTH_LISTEN: `${host.address}:${PORTS.health}`,
    };
    const server = { name, host, app: 'proxy', environment, project: of.project } as const;
    const twin = { ...server, environment, process: await this.#launch(server, 0) };
    this.proxies.push(twin);
    return twin;
  }

  /** Starts a server, and anew when its start ends: whoever runs servers does so, too. */
  async #launch(server: Launched, clockOffsetMs: number, tries = START_TRIES): Promise<AppProcess> {
    for (let left = tries; ; left--) {
      try {
        return await this.#launchOnce(server, clockOffsetMs);
      } catch (error) {
        if (left === 1) throw error;
        say(`${server.name} is started again: ${String(error).split('\n', 1)}`);
      }
    }
  }

  #launchOnce(server: Launched, clockOffsetMs: number): Promise<AppProcess> {
    const shifted = clockOffsetMs === 0 ? [] : ['--import', CLOCK_SHIFT];
    return AppProcess.start(server.app, {
      host: server.host,
      ...(server.project === undefined ? {} : { project: server.project }),
      environment: {
        ...server.environment,
        CLOCK_OFFSET_MS: String(clockOffsetMs),
        CLOCK_STEP_MS: '-300000',
        RIG_WITHOUT: process.env['RIG_WITHOUT'],
      },
      nodeOptions: [...shifted, ...omission()],
      logFile: join(this.folder, 'logs', `${server.name}.log`),
    });
  }

  async #configure(): Promise<void> {
    const { ca, oneTimeToken } = this.nodes[0]!.process.ready;
    const urls = this.nodes.map(({ host }) => `https://${host.address}:${PORTS.admin}`);
    const operator = new Operator(urls, ca!);
    this.#operator = operator;
    await operator.login(oneTimeToken!);
    const realm = {
      openBurst: 100_000,
      channelsPerInstallation: 100_000,
      channelsPerUser: 100_000,
      openRate: 100_000,
      enrolPage: 'http://localhost/enroll',
      loginNeedsPassword: false,
    };
    await operator.call(api.realm.change, { body: realm });
    await operator.call(api.apps.put, { params: { id: CONTEXT.id }, body: { groups: null } });
    await operator.call(api.groups.put, { params: { name: 'staff' } });
    const backend = { url: this.backend.url, networks: ['10.77.0.0/16'] };
    const resource = { kind: 'http' as const, authority: AUTHORITY, backend };
    await operator.call(api.resources.put, { params: { name: 'echo' }, body: resource });
    const policy = { groups: ['staff'], resources: ['echo'], context: {}, methods: ['GET', 'POST'] };
    await operator.call(api.policies.put, { params: { name: 'staff-echo' }, body: policy });
  }

  async #balance(): Promise<void> {
    const host = this.network.addHost('lb', '10.77.4.1');
    mkdirSync(join(this.folder, 'stores', 'lb'), { recursive: true });
    const target =
      (healthPort?: number) =>
      ({ name, host: { address } }: Server, port: number) => ({
        name,
        address,
        port,
        ...(healthPort === undefined ? {} : { healthPort }),
      });
    const devices = {
      port: PORTS.devices,
      proxies: this.proxies.map((proxy) => target(PORTS.health)(proxy, PORTS.devices)),
    };
    const admin = { port: PORTS.admin, nodes: this.nodes.map((node) => target()(node, PORTS.admin)) };
    this.#balancer = haproxyOn(this.cluster.place, { host, devices, admin }).start();
    const origins = [`ws://${host.address}:${PORTS.devices}`];
    await this.operator.call(api.sites.put, { params: { name: 'here' }, body: { origins } });
    await this.live();
  }
}

/** Makes the database of the journal; gives the servers that it is at. */
async function createJournal(cluster: LocalCluster, elsewhere: Host | undefined): Promise<string> {
  if (!elsewhere) {
    await createDatabase(cluster, JOURNAL);
    return cluster.databaseHosts;
  }
  const own = new LonePostgres(cluster, elsewhere);
  await own.create(JOURNAL);
  return own.address;
}

/** The part of the status that the rig looks at. */
export interface FarmStatus {
  readonly nodes: readonly { readonly id: string; readonly state: string; readonly clockOffsetMs: number }[];
  readonly proxies: readonly { readonly name: string; readonly live: boolean; readonly node: string }[];
  readonly databaseServers: readonly { readonly name: string; readonly role: string; readonly sync: string }[];
  readonly bus: { readonly connected: boolean; readonly server: string };
  readonly degraded: readonly string[];
  readonly liveSessions: number;
  readonly audit: { readonly intact: boolean };
}

/** Nobody has said no. */
const UNSAID: ReadonlySet<DeviceErrorCode> = new Set([
  'OFFLINE',
  'SITE_UNAVAILABLE',
  'CONNECTION_LOST',
  'BAD_RESPONSE',
  'UNAVAILABLE',
  'CALM_DOWN',
  'LEASE_LOST',
]);

function isUnsaid(error: unknown): boolean {
  return UNSAID.has((error as DeviceError).code);
}

/** How often something that was refused is tried, and how long what nobody answered, ms. */
const ATTEMPTS = 10;
const PATIENCE_MS = 90_000;

/** Repeats what an impatient SDK call gave up on; only some errors, where told so. */
async function patiently(work: () => Promise<void>, again: (error: unknown) => boolean = () => true): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isEnough = isUnsaid(error) ? performance.now() > until : attempt >= ATTEMPTS;
      if (isEnough || !again(error)) throw error;
      await sleep(200 * Math.min(attempt, ATTEMPTS));
    }
  }
}
