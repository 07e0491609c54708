import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { AdminClient } from '@sallyport/security-client/admin';
import { freePort, waitFor } from '@sallyport/support';
import { Forward } from './forward.ts';

/** App context of all devices here. */
export const CONTEXT: AppContext = {
  id: 'fuzz',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'fuzz',
  posture: {},
  sdk: 'fuzz',
};
const PASSWORD = 'correct horse battery';
/** Lines of a log at level error or fatal: defects, never what a peer did. */
const DEFECT = /"level":[56]0/;
const REASON = 'fuzz';
const MANY = '1000000';
const SETUP_TRIES = 10;
const LATER_MS = 1_000;

/** The processes that are fuzzed: Security with its database, a Proxy, the phone page. */
export class Gateway {
  readonly origin: string;
  readonly proxyPort: number;
  readonly phonePort: number;
  readonly #folder: string;
  readonly #parts: readonly { readonly name: string; readonly process: AppProcess }[];
  readonly #admin: AdminClient;

  private constructor(of: {
    folder: string;
    proxyPort: number;
    phonePort: number;
    parts: { name: string; process: AppProcess }[];
    admin: AdminClient;
  }) {
    this.#folder = of.folder;
    this.proxyPort = of.proxyPort;
    this.phonePort = of.phonePort;
    this.origin = `ws://127.0.0.1:${of.proxyPort}`;
    this.#parts = of.parts;
    this.#admin = of.admin;
  }

  static async start(): Promise<Gateway> {
    const folder = mkdtempSync('/tmp/sallyport-fuzz-');
    chmodSync(folder, 0o755);
    const security = await AppProcess.start('security', {
      environment: {
        SALLYPORT_DATA: join(folder, 'security'),
        SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
        SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
        SALLYPORT_ADDRESS_BURST: MANY,
        SALLYPORT_ADDRESS_PER_MINUTE: MANY,
      },
    });
    const admin = await firstOperator(security.ready);
    const [proxyPort, phonePort] = [await freePort(), await freePort()];
    const { token } = await admin.call(api.proxies.invite, { body: { name: 'p1', site: 'here' }, reason: REASON });
    const proxy = await AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: join(folder, 'proxy'),
        SALLYPORT_LISTEN: `127.0.0.1:${proxyPort}`,
        SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${await freePort()}`,
        SALLYPORT_JOIN_TOKEN: token,
        SALLYPORT_HELLOS_PER_ADDRESS: MANY,
        SALLYPORT_OPENS_PER_SESSION: MANY,
      },
    });
    const phone = await AppProcess.start('phone', { environment: { SALLYPORT_LISTEN: `127.0.0.1:${phonePort}` } });
    const origins = [`ws://127.0.0.1:${proxyPort}`];
    await admin.call(api.sites.put, { params: { name: 'here' }, body: { origins }, reason: REASON });
    const realm = { openBurst: 1_000, openRate: 1_000, enrolPage: 'http://localhost/enroll' };
    await admin.call(api.realm.change, { body: realm, reason: REASON });
    for (const id of [CONTEXT.id, 'sallyport.cli'])
      await admin.call(api.apps.put, { params: { id }, body: { groups: null }, reason: REASON });
    await admin.call(api.groups.put, { params: { name: 'staff' }, reason: REASON });
    const parts = Object.entries({ security, proxy, phone }).map(([name, process]) => ({ name, process }));
    const gateway = new Gateway({ folder, proxyPort, phonePort, parts, admin });
    await gateway.#live();
    return gateway;
  }

  async addResource(name: string, url: string, kind: 'http' | 'tcp' = 'http'): Promise<void> {
    const backend = { url, networks: ['127.0.0.0/8'] };
    const resource = { kind, authority: `${name}.corp`, backend };
    await this.#admin.call(api.resources.put, { params: { name }, body: resource, reason: REASON });
    const policy = { groups: ['staff'], resources: [name], context: {} };
    await this.#admin.call(api.policies.put, { params: { name: `open-${name}` }, body: policy, reason: REASON });
  }

  /** A machine of a new user, enrolled by the command line, with its forward proxy. */
  async forward(user: string): Promise<Forward> {
    const link = await this.#link(user);
    const port = await freePort();
    return Forward.start({ folder: join(this.#folder, user), link, user, password: PASSWORD, port });
  }

  async #link(user: string): Promise<string> {
    const body = { password: PASSWORD, groups: ['staff'] };
    await this.#admin.call(api.users.put, { params: { name: user }, body, reason: REASON });
    return (await this.#admin.call(api.codes.issue, { body: { user }, reason: REASON })).link;
  }

  /** A signed-in device of a new user, and what it keeps; on a busy machine Security may say "later" meanwhile. */
  async device(user: string): Promise<{ device: Device; record: DeviceRecord }> {
    for (let left = SETUP_TRIES; ; left--) {
      try {
        return await this.#signedIn(user);
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, LATER_MS));
      }
    }
  }

  async #signedIn(user: string): Promise<{ device: Device; record: DeviceRecord }> {
    const link = await this.#link(user);
    const storage = memoryStorage();
    const device = await openDevice(storage, () => CONTEXT);
    await device.enroll(link, { user, password: PASSWORD });
    await device.login({ user, password: PASSWORD });
    return { device, record: (await storage.load()) as DeviceRecord };
  }

  /** What went wrong with the processes: ended ones, and lines of defects. */
  problems(): string[] {
    return this.#parts.flatMap(({ name, process }) => [
      ...(process.running ? [] : [`${name} ended:\n${process.log.slice(-4_000)}`]),
      ...process.log
        .split('\n')
        .filter((line) => DEFECT.test(line) || /uncaught/i.test(line))
        .slice(0, 5)
        .map((line) => `${name} logged a defect: ${line}`),
    ]);
  }

  async stop(): Promise<void> {
    for (const { process } of [...this.#parts].reverse()) await process.end();
    await this.#admin.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #live(): Promise<void> {
    const isLive = async (): Promise<boolean> => {
      const { proxies } = await this.#admin.call(api.status.get);
      return proxies.some(({ live }) => live);
    };
    await waitFor(isLive, 'the lease of the Proxy');
  }
}

/** Exchanges the one-time token of the first start. */
async function firstOperator({ adminUrl, ca, oneTimeToken }: AppProcess['ready']): Promise<AdminClient> {
  const place = { urls: [adminUrl!] as const, ca: ca! };
  const open = new AdminClient(place);
  const { token } = await open.call(api.operators.login, { body: { token: oneTimeToken!, name: REASON } });
  await open.close();
  return new AdminClient({ ...place, token });
}
