import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import type { Device, DeviceStorage } from '@sallyport/device';
import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { freePort, scratchFolder } from '@sallyport/support';
import { Agent, request } from 'undici';
import { layDatabase } from '../../../libs/store-sql/test/real-postgres.ts';
import { Operator } from './operator.ts';

/** App context of the test devices. */
export const CONTEXT: AppContext = {
  id: 'test.app',
  version: '1.0.0',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: 'test',
  posture: { rooted: false },
  sdk: 'end-to-end',
};

/** The apps of all devices of these tests. */
const APPS = [CONTEXT.id, 'an.app', 'sallyport.cli', 'sallyport.phone'] as const;

/** Far longer than it takes: a machine may be slow. */
const LIVE_WITHIN_MS = 120_000;

export const PASSWORD = 'correct horse battery';

/** A whole gateway of real processes: Security with its own database, and as many Proxies as asked for. */
export class Gateway {
  readonly folder: string;
  readonly operator: Operator;
  readonly proxies: AppProcess[] = [];
  readonly origins: string[] = [];
  security: AppProcess;
  securityEnvironment: Readonly<Record<string, string>>;
  readonly #proxyEnvironments: Record<string, string>[] = [];

  private constructor(
    folder: string,
    security: AppProcess,
    operator: Operator,
    environment: Readonly<Record<string, string>>,
  ) {
    this.folder = folder;
    this.security = security;
    this.operator = operator;
    this.securityEnvironment = environment;
  }

  static async start(
    options: {
      proxies?: number;
      settings?: object;
      environment?: Record<string, string>;
      proxyEnvironment?: Record<string, string>;
    } = {},
  ): Promise<Gateway> {
    const folder = scratchFolder();
    const environment = {
      SALLYPORT_DATA: join(folder, 'security-data'),
      SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
      SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
      SALLYPORT_ADDRESS_BURST: '100000',
      SALLYPORT_ADDRESS_PER_MINUTE: '100000',
      ...options.environment,
    };
    if (!options.environment?.['SALLYPORT_DATABASE_HOSTS']) await layDatabaseIn(environment.SALLYPORT_DATA);
    const security = await AppProcess.start('security', { environment });
    const { adminUrl, ca, oneTimeToken } = security.ready;
    const operator = new Operator(adminUrl!, ca!);
    await operator.login(oneTimeToken!);
    const gateway = new Gateway(folder, security, operator, environment);
    await operator.call(api.realm.change, {
      body: {
        openBurst: 100_000,
        openRate: 100_000,
        enrolPage: 'http://localhost/enroll',
        ...options.settings,
      },
    });
    for (const id of APPS) await operator.call(api.apps.put, { params: { id }, body: { groups: null } });
    for (let i = 0; i < (options.proxies ?? 1); i++) await gateway.addProxy(options.proxyEnvironment);
    await operator.call(api.sites.put, { params: { name: 'here' }, body: { origins: gateway.origins } });
    return gateway;
  }

  async addProxy(environment: Record<string, string> = {}, site = 'here'): Promise<AppProcess> {
    const name = `p${this.proxies.length + 1}`;
    const { token } = await this.operator.call(api.proxies.invite, { body: { name, site } });
    const port = await freePort();
    const all = {
      SALLYPORT_DATA: join(this.folder, name),
      SALLYPORT_LISTEN: `127.0.0.1:${port}`,
      SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${await freePort()}`,
      SALLYPORT_METRICS_LISTEN: `127.0.0.1:${await freePort()}`,
      SALLYPORT_JOIN_TOKEN: token as string,
      ...environment,
    };
    const proxy = await AppProcess.start('proxy', { environment: all });
    this.proxies.push(proxy);
    this.#proxyEnvironments.push(all);
    this.origins.push(`ws://127.0.0.1:${port}`);
    await this.live(this.proxies.length);
    return proxy;
  }

  /** Waits until so many Proxies hold a live lease. */
  async live(count: number): Promise<void> {
    for (const deadline = performance.now() + LIVE_WITHIN_MS; performance.now() < deadline; ) {
      const { proxies } = (await this.operator.call(api.status.get)) as { proxies: { live: boolean }[] };
      if (proxies.filter(({ live }) => live).length >= count) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the Proxies did not get their leases');
  }

  /** Starts a Proxy that ended again, on its old ports. */
  async restartProxy(index: number): Promise<void> {
    await this.proxies[index]!.end('SIGKILL');
    this.proxies[index] = await AppProcess.start('proxy', {
      environment: this.#proxyEnvironments[index]!,
    });
  }

  /** What a Proxy was started with. */
  proxyEnvironment(index: number): Readonly<Record<string, string>> {
    return this.#proxyEnvironments[index]!;
  }

  /** Stops Security with a signal and starts it again, with other settings from then on if there are any. */
  async restartSecurity(signal: NodeJS.Signals = 'SIGTERM', environment: Record<string, string> = {}): Promise<void> {
    await this.security.end(signal);
    this.securityEnvironment = { ...this.securityEnvironment, ...environment };
    this.security = await AppProcess.start('security', { environment: this.securityEnvironment });
  }

  /** Opens a resource to everybody in the group `staff`. */
  async addResource(name: string, authority: string, url: string, kind: 'http' | 'tcp' = 'http'): Promise<void> {
    await this.operator.call(api.groups.put, { params: { name: 'staff' } });
    await this.operator.call(api.resources.put, {
      params: { name },
      body: {
        kind,
        authority,
        backend: { url, networks: ['127.0.0.0/8'] },
      },
    });
    await this.operator.call(api.policies.put, {
      params: { name: `open-${name}` },
      body: { groups: ['staff'], resources: [name], context: {} },
    });
  }

  async addUser(name: string, groups: readonly string[] = ['staff']): Promise<void> {
    await this.operator.call(api.groups.put, { params: { name: 'staff' } });
    await this.operator.call(api.users.put, { params: { name }, body: { password: PASSWORD, groups } });
  }

  async link(user: string): Promise<string> {
    return (await this.operator.call(api.codes.issue, { body: { user } }))['link'] as string;
  }

  /** A new device of a user, enrolled and signed in. */
  async device(user: string, storage: DeviceStorage = memoryStorage(), context: AppContext = CONTEXT): Promise<Device> {
    const device = await openDevice(storage, () => context);
    await device.enroll(await this.link(user), { user, password: PASSWORD });
    await device.login({ user, password: PASSWORD });
    return device;
  }

  /** A device that was closed, opened again with what it has kept. */
  async reopen(storage: DeviceStorage, context: AppContext = CONTEXT): Promise<Device> {
    const device = await openDevice(storage, () => context);
    await device.resume();
    return device;
  }

  /** Posts a form to the listener for directories; gives the status. */
  async directoryCall(path: string, body: string): Promise<number> {
    const agent = new Agent({ connect: { ca: this.security.ready.ca! } });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const url = `${this.security.ready.directoryUrl}${path}`;
    const answer = await request(url, { method: 'POST', dispatcher: agent, headers, body });
    await answer.body.dump();
    await agent.destroy();
    return answer.statusCode;
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies) proxy.kill('SIGCONT');
    await Promise.all(this.proxies.map((proxy) => proxy.end('SIGKILL')));
    await this.security.end();
    await this.operator.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Lays a database into the data folder of a Security server, where its first start finds it as its own. */
async function layDatabaseIn(data: string): Promise<void> {
  await layDatabase({ folder: join(data, 'database'), passwordFile: join(data, 'security', 'database-password') });
}
