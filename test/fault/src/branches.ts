import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import { type Device, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess, type Host } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { DRIVER_ADDRESS, Network, waitFor } from '@sallyport/support';
import { Backend } from './backend.ts';
import { Operator } from './operator.ts';
import { TcpFaultProxy } from './tcp-fault.ts';

/** App context of devices in the branch. */
export const BRANCH_CONTEXT: AppContext = {
  ...{ id: 'rig.app', version: '1.0.0', build: '1', signer: new Uint8Array(32), os: 'linux', osVersion: '6' },
  ...{ osPatch: '', model: 'rig', posture: { rooted: false }, sdk: 'fault-rig' },
};
const PASSWORD = 'correct horse battery';
const PORTS = { devices: 8_440, health: 8_441, security: 8_443, admin: 8_444 };
/** Devices, the branch's backend and the operator are where this process is: in the branch. */
const BRANCH = { address: DRIVER_ADDRESS };

/** The line between the sites. */
export interface SiteLine {
  /** There and back, ms. */
  readonly delayMs: number;
  /** Each way. */
  readonly mbit: number;
}

/** A session as its device keeps it. */
export interface BranchSession {
  readonly sid: Uint8Array;
  readonly secret: Uint8Array;
}

/** What it is made of. */
interface Parts {
  readonly network: Network;
  readonly backend: Backend;
  readonly operator: Operator;
  readonly folder: string;
  readonly hosts: { readonly security: Host; readonly main: Host; readonly branch: Host };
  readonly lines: Readonly<Record<'toSecurity' | 'toMain' | 'toBranch', TcpFaultProxy>>;
  readonly line: SiteLine;
  readonly processes: readonly AppProcess[];
}

/**
 * A main site with Security and a Proxy, a branch with a Proxy, devices and a backend, and a slow line between. The resource `plant` is
 * the branch's, and `common` is the same backend through the main site: as with one entry for all.
 */
export class TwoSites {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async start(line: SiteLine, leaseMs: number): Promise<TwoSites> {
    const network = new Network();
    const hosts = {
      security: network.addHost('s1', '10.77.2.1'),
      main: network.addHost('pa', '10.77.2.2'),
      branch: network.addHost('pb', '10.77.3.2'),
    };
    const backend = await Backend.start();
    const lines = {
      toSecurity: await TcpFaultProxy.start({ host: hosts.security.address, port: PORTS.security }),
      toMain: await TcpFaultProxy.start({ host: hosts.main.address, port: PORTS.devices }),
      toBranch: await TcpFaultProxy.start({ host: DRIVER_ADDRESS, port: Number(new URL(backend.url).port) }),
    };
    const folder = mkdtempSync('/tmp/sallyport-sites-');
    const security = await startSecurity(hosts.security, {
      folder,
      leaseMs,
      url: `https://${urlOf(lines.toSecurity)}`,
    });
    const operator = new Operator([security.ready['adminUrl']!], security.ready['ca']!);
    await operator.login(security.ready['oneTimeToken']!);
    await configure(operator);
    const processes = [
      security,
      await startProxy(operator, hosts.main, { site: 'a', folder }),
      await startProxy(operator, hosts.branch, { site: 'b', folder }),
    ];
    const sites = new TwoSites({ network, backend, operator, folder, hosts, lines, line, processes });
    await sites.#addResources();
    sites.heal();
    return sites;
  }

  get operator(): Operator {
    return this.#parts.operator;
  }

  get backend(): Backend {
    return this.#parts.backend;
  }

  /** Where devices reach the branch's Proxy. */
  get branchUrl(): string {
    return originOf(this.#parts.hosts.branch);
  }

  /** A device of a user of its own in the branch, enrolled and signed in; its session, as it is kept. */
  async device(user: string): Promise<{ readonly device: Device; readonly session: () => Promise<BranchSession> }> {
    const body = { password: PASSWORD, groups: ['staff'] };
    await this.operator.call(api.users.put, { params: { name: user }, body });
    const { link } = await this.operator.call(api.codes.issue, { body: { user } });
    const storage = memoryStorage();
    const device = await openDevice(storage, () => BRANCH_CONTEXT);
    await device.enroll(link, { user, password: PASSWORD });
    await device.login({ user, password: PASSWORD });
    return { device, session: async () => (await storage.load())!.session! };
  }

  /** Counts from now on what goes over the line, by the main site's hosts. */
  countLine(): void {
    const { network, hosts } = this.#parts;
    for (const host of [hosts.security, hosts.main]) network.count(host, [hosts.branch, BRANCH]);
  }

  /** Bytes of packets that went over the line since `countLine`. */
  lineBytes(): number {
    const { network, hosts } = this.#parts;
    return network.counted(hosts.security) + network.counted(hosts.main);
  }

  /** Ends the count. */
  stopCounting(): void {
    const { network, hosts } = this.#parts;
    for (const host of [hosts.security, hosts.main]) network.heal(host);
  }

  /** Nothing passes between the sites any more, and nobody is told; the operator still reaches Security. */
  cut(): void {
    for (const line of Object.values(this.#parts.lines)) line.faults.blackHole = true;
  }

  /** The line is as it should be: slow. */
  heal(): void {
    const { delayMs, mbit } = this.#parts.line;
    for (const line of Object.values(this.#parts.lines)) {
      line.heal();
      Object.assign(line.faults, { latencyMs: delayMs / 2, bytesPerMs: (mbit * 1_000) / 8 });
    }
  }

  async stop(): Promise<void> {
    const { processes, operator, backend, folder, lines } = this.#parts;
    for (const line of Object.values(lines)) line.close();
    await Promise.all(processes.slice(1).map((process) => process.end('SIGKILL')));
    await processes[0]!.end();
    await operator.close();
    backend.close();
    rmSync(folder, { recursive: true, force: true });
  }

  async #addResources(): Promise<void> {
    const { operator, hosts, lines } = this.#parts;
    for (const [name, site, url] of [
      ['plant', 'b', this.backend.url],
      ['common', 'a', `http://${urlOf(lines.toBranch)}`],
    ] as const) {
      const backend = { url, networks: ['10.77.0.0/16'] };
      const body = { kind: 'http' as const, authority: `${name}.corp`, backend, sites: [site] };
      await operator.call(api.resources.put, { params: { name }, body });
    }
    const policy = { groups: ['staff'], resources: ['plant', 'common'], context: {} };
    await operator.call(api.policies.put, { params: { name: 'open' }, body: policy });
    for (const [name, origin] of [
      ['a', `ws://${urlOf(lines.toMain)}`],
      ['b', originOf(hosts.branch)],
    ] as const)
      await operator.call(api.sites.put, { params: { name }, body: { origins: [origin] } });
    await waitFor(async () => {
      const { proxies } = await operator.call(api.status.get);
      return proxies.filter(({ live }) => live).length === 2;
    }, 'leases of both Proxies');
  }
}

function originOf({ address }: Host): string {
  return `ws://${address}:${PORTS.devices}`;
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
  { site, folder }: { readonly site: string; readonly folder: string },
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

async function configure(operator: Operator): Promise<void> {
  const body = {
    openBurst: 100_000,
    openRate: 100_000,
    enrolPage: 'http://localhost/enroll',
    loginNeedsPassword: false,
  };
  await operator.call(api.realm.change, { body });
  await operator.call(api.apps.put, { params: { id: BRANCH_CONTEXT.id }, body: { groups: null } });
  await operator.call(api.groups.put, { params: { name: 'staff' } });
  for (const name of ['a', 'b'])
    await operator.call(api.sites.put, { params: { name }, body: { origins: ['ws://10.77.0.9:1'] } });
}
