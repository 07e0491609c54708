import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { serverCrypto } from '@sallyport/channel/sodium';
import { Device, memoryStorage } from '@sallyport/device';
import { nodeWebSocket } from '@sallyport/device/node';
import { AppProcess, type Host, TcpFaultProxy } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { DRIVER_ADDRESS, Network, waitFor } from '@sallyport/support';
import { Backend } from './backend.ts';
import { Operator } from './operator.ts';
import { RAW_CONTEXT, type RawSession } from './raw-channel.ts';

const PASSWORD = 'correct horse battery';
const PORTS = { devices: 8_440, health: 8_441, security: 8_443, admin: 8_444 };
/** Devices, the backend and the operator are where this process is. */
const DRIVER = { address: DRIVER_ADDRESS };

/** The main site, and two branches. */
export const SITE_NAMES = ['a', 'b', 'c'] as const;
export type SiteName = (typeof SITE_NAMES)[number];
type BySite<T> = Readonly<Record<SiteName, T>>;

/** Resources, and where each is: only at one place, at all by preference, or at the two that are equally good. */
const RESOURCES: Readonly<Record<string, readonly string[]>> = {
  office: ['a'],
  plant: ['b'],
  lab: ['c'],
  common: ['a'],
  all: ['b', 'c', 'a'],
  either: ['a,b'],
};

/** The line between two sites. */
export interface SiteLine {
  /** There and back, ms. */
  readonly delayMs: number;
  /** Each way. */
  readonly mbit: number;
}

/** A device with what its storage keeps of its session, and the name of the network that it is in. */
export interface BranchDevice {
  readonly device: Device;
  readonly session: () => Promise<RawSession>;
  network: string;
}

/** What it is made of. */
interface Parts {
  readonly network: Network;
  readonly backend: Backend;
  readonly operator: Operator;
  readonly folder: string;
  readonly security: { readonly host: Host; readonly process: AppProcess };
  readonly proxies: BySite<{ readonly host: Host; readonly process: AppProcess }>;
  readonly lines: Lines;
  readonly line: SiteLine;
}

interface Lines {
  readonly toSecurity: TcpFaultProxy;
  /** From the main site to the backend of the branch b. */
  readonly toBranch: TcpFaultProxy;
  /** From where devices are to the Proxy of each site. */
  readonly ways: BySite<TcpFaultProxy>;
}

/**
 * A main site a with Security and a Proxy, and branches b and c with a Proxy each, a slow line between each two of them. Devices are in b
 * at first, and so is the backend: `plant` is it by the branch's Proxy, `common` by the main site's, as with one entry for all.
 */
export class Branches {
  readonly #parts: Parts;
  #place: SiteName | 'each' = 'b';
  #line: SiteLine & { readonly lossShare: number };

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#line = { ...parts.line, lossShare: 0 };
  }

  static async start(line: SiteLine, leaseMs: number): Promise<Branches> {
    const network = new Network();
    const security = network.addHost('s1', '10.77.2.1');
    const hosts = {
      a: network.addHost('pa', '10.77.2.2'),
      b: network.addHost('pb', '10.77.3.2'),
      c: network.addHost('pc', '10.77.4.2'),
    };
    const backend = await Backend.start();
    const relay = (host: string, port: number): Promise<TcpFaultProxy> =>
      TcpFaultProxy.start({ host, port }, { host: DRIVER_ADDRESS });
    const way = (site: SiteName): Promise<TcpFaultProxy> => relay(hosts[site].address, PORTS.devices);
    const lines: Lines = {
      toSecurity: await relay(security.address, PORTS.security),
      toBranch: await relay(DRIVER_ADDRESS, Number(new URL(backend.url).port)),
      ways: { a: await way('a'), b: await way('b'), c: await way('c') },
    };
    const folder = mkdtempSync('/tmp/sallyport-sites-');
    const process = await startSecurity(security, { folder, leaseMs, url: `https://${urlOf(lines.toSecurity)}` });
    const operator = new Operator([process.ready['adminUrl']!], process.ready['ca']!);
    await operator.login(process.ready['oneTimeToken']!);
    await configure(operator, lines);
    const proxy = async (site: SiteName) => ({
      host: hosts[site],
      process: await startProxy(operator, hosts[site], { site, folder }),
    });
    const [a, b, c] = await Promise.all([proxy('a'), proxy('b'), proxy('c')]);
    const branches = new Branches({
      ...{ network, backend, operator, folder, lines, line },
      security: { host: security, process },
      proxies: { a, b, c },
    });
    await branches.#addResources();
    branches.heal();
    return branches;
  }

  get operator(): Operator {
    return this.#parts.operator;
  }

  get backend(): Backend {
    return this.#parts.backend;
  }

  /** Where devices reach the Proxy of a site. */
  urlOf(site: SiteName): string {
    return `ws://${urlOf(this.#parts.lines.ways[site])}`;
  }

  /** Process ids of the Proxies. */
  get pids(): BySite<number> {
    const { a, b, c } = this.#parts.proxies;
    return { a: a.process.pid, b: b.process.pid, c: c.process.pid };
  }

  /** How often Security has answered over the line. */
  get trips(): number {
    return this.#parts.lines.toSecurity.roundTrips;
  }

  /** A device of a user of its own, enrolled and signed in. */
  async device(user: string): Promise<BranchDevice> {
    const body = { password: PASSWORD, groups: ['staff'] };
    await this.operator.call(api.users.put, { params: { name: user }, body });
    const { link } = await this.operator.call(api.codes.issue, { body: { user } });
    const storage = memoryStorage();
    const parts = { storage, crypto: serverCrypto(), webSocket: nodeWebSocket, context: () => RAW_CONTEXT };
    const device = await Device.open({ ...parts, networkId: () => made.network });
    const session = async (): Promise<RawSession> => (await storage.load())!.session!;
    const made = { device, session, network: 'of b' };
    await device.enroll(link, { user, password: PASSWORD });
    await device.login({ user, password: PASSWORD });
    return made;
  }

  /** Counts from now on what goes over the lines to the main site, by its hosts. */
  countLine(): void {
    const { network, security, proxies } = this.#parts;
    for (const host of [security.host, proxies.a.host]) network.count(host, [proxies.b.host, proxies.c.host, DRIVER]);
  }

  /** Bytes of packets that went over the line since `countLine`, of beats and grants too. */
  lineBytes(): number {
    const { network, security, proxies } = this.#parts;
    return network.counted(security.host) + network.counted(proxies.a.host);
  }

  /** Ends the count. */
  stopCounting(): void {
    const { network, security, proxies } = this.#parts;
    for (const host of [security.host, proxies.a.host]) network.heal(host);
  }

  /** Devices are in the network of another site: connections of before lead nowhere, and the Proxy there is near. */
  move(site: SiteName): void {
    for (const way of Object.values(this.#parts.lines.ways)) way.strand();
    this.putDevices(site);
  }

  /** Devices are beside the Proxy of a site, or some beside each; their connections go on. */
  putDevices(place: SiteName | 'each'): void {
    this.#place = place;
    this.heal();
  }

  /** Nothing passes between devices and the Proxy of a site any more, and nobody is told. Security still reaches it, over the line. */
  silence(site: SiteName): void {
    this.#parts.lines.ways[site].faults.blackHole = true;
  }

  /** Nothing passes between Security and the other sites any more, and nobody is told; the operator still reaches it. */
  cutMainSite(): void {
    const { toSecurity, toBranch, ways } = this.#parts.lines;
    for (const line of [toSecurity, toBranch, ways.a]) line.faults.blackHole = true;
  }

  /** Lines are like this from now on, instead of as they were made, and lose a share of all packets. */
  worsen({ lossShare, ...line }: Partial<SiteLine> & { readonly lossShare: number }): void {
    this.#line = { ...this.#parts.line, ...line, lossShare };
    this.heal();
  }

  /** Lines are as they should be: slow, but for the way to the Proxy beside the devices. */
  heal(): void {
    const { toSecurity, toBranch, ways } = this.#parts.lines;
    for (const line of [toSecurity, toBranch, ...Object.values(ways)]) line.heal();
    const { delayMs, mbit, lossShare } = this.#line;
    const slow = { latencyMs: delayMs / 2, bytesPerMs: (mbit * 1_000) / 8, lossShare };
    const far = SITE_NAMES.filter((site) => this.#place !== site && this.#place !== 'each');
    for (const site of far) Object.assign(ways[site].faults, slow);
    for (const line of [toSecurity, toBranch]) Object.assign(line.faults, slow);
  }

  async stop(): Promise<void> {
    const { proxies, security, operator, backend, folder, lines } = this.#parts;
    for (const line of [lines.toSecurity, lines.toBranch, ...Object.values(lines.ways)]) line.close();
    await Promise.all(Object.values(proxies).map(({ process }) => process.end('SIGKILL')));
    await security.process.end();
    await operator.close();
    backend.close();
    rmSync(folder, { recursive: true, force: true });
  }

  async #addResources(): Promise<void> {
    const { operator, lines } = this.#parts;
    for (const [name, sites] of Object.entries(RESOURCES)) {
      const url = name === 'common' ? `http://${urlOf(lines.toBranch)}` : this.backend.url;
      const backend = { url, networks: ['10.77.0.0/16'] };
      const body = { kind: 'http' as const, authority: `${name}.corp`, backend, sites: [...sites] };
      await operator.call(api.resources.put, { params: { name }, body });
    }
    const policy = { groups: ['staff'], resources: Object.keys(RESOURCES), context: {} };
    await operator.call(api.policies.put, { params: { name: 'open' }, body: policy });
    await waitFor(async () => {
      const { proxies } = await operator.call(api.status.get);
      return proxies.filter(({ live }) => live).length === SITE_NAMES.length;
    }, 'leases of all Proxies');
  }
}

function urlOf({ port }: TcpFaultProxy): string {
  return `${DRIVER_ADDRESS}:${port}`;
}

function startSecurity(
  host: Host,
  { folder, leaseMs, url }: { readonly folder: string; readonly leaseMs: number; readonly url: string },
): Promise<AppProcess> {
  const environment = {
    SALLYPORT_DATA: join(folder, 'security'),
    SALLYPORT_PROXY_LISTEN: `${host.address}:${PORTS.security}`,
    SALLYPORT_ADMIN_LISTEN: `${host.address}:${PORTS.admin}`,
    SALLYPORT_PROXY_URL: url,
    SALLYPORT_NAMES: `${host.address},${DRIVER_ADDRESS}`,
    SALLYPORT_ADDRESS_BURST: '1000000',
    SALLYPORT_ADDRESS_PER_MINUTE: '1000000',
    SALLYPORT_LEASE_MS: String(leaseMs),
  };
  return AppProcess.start('security', { host, environment });
}

async function startProxy(
  operator: Operator,
  host: Host,
  { site, folder }: { readonly site: SiteName; readonly folder: string },
): Promise<AppProcess> {
  const { token } = await operator.call(api.proxies.invite, { body: { name: host.name, site } });
  const environment = {
    SALLYPORT_DATA: join(folder, host.name),
    SALLYPORT_LISTEN: `${host.address}:${PORTS.devices}`,
    SALLYPORT_HEALTH_LISTEN: `${host.address}:${PORTS.health}`,
    SALLYPORT_JOIN_TOKEN: token,
  };
  return AppProcess.start('proxy', { host, environment });
}

async function configure(operator: Operator, { ways }: Lines): Promise<void> {
  const body = {
    ...{ openBurst: 100_000, openRate: 100_000, channelsPerSession: 64, channelsPerInstallation: 64 },
    enrolPage: 'http://localhost/enroll',
    loginNeedsPassword: false,
  };
  await operator.call(api.realm.change, { body });
  await operator.call(api.apps.put, { params: { id: RAW_CONTEXT.id }, body: { groups: null } });
  await operator.call(api.groups.put, { params: { name: 'staff' } });
  for (const name of SITE_NAMES)
    await operator.call(api.sites.put, { params: { name }, body: { origins: [`ws://${urlOf(ways[name])}`] } });
}
