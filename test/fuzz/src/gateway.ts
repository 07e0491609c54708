import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import { freePort, waitFor } from '@sallyport/support';
import { Agent, request } from 'undici';
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
  readonly #admin: Admin;

  private constructor(of: {
    folder: string;
    proxyPort: number;
    phonePort: number;
    parts: { name: string; process: AppProcess }[];
    admin: Admin;
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
    const admin = new Admin(security.ready['adminUrl']!, security.ready['ca']!);
    await admin.login(security.ready['oneTimeToken']!);
    const [proxyPort, phonePort] = [await freePort(), await freePort()];
    const { token } = await admin.call('POST', '/v1/join-tokens', { name: 'p1', site: 'here' });
    const proxy = await AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: join(folder, 'proxy'),
        SALLYPORT_LISTEN: `127.0.0.1:${proxyPort}`,
        SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${await freePort()}`,
        SALLYPORT_JOIN_TOKEN: token as string,
        SALLYPORT_HELLOS_PER_ADDRESS: MANY,
        SALLYPORT_OPENS_PER_SESSION: MANY,
      },
    });
    const phone = await AppProcess.start('phone', { environment: { SALLYPORT_LISTEN: `127.0.0.1:${phonePort}` } });
    await admin.call('PUT', '/v1/sites/here', { origins: [`ws://127.0.0.1:${proxyPort}`] });
    await admin.call('PATCH', '/v1/realm', { openBurst: 1_000, openRate: 1_000, enrolPage: 'http://localhost/enroll' });
    for (const id of [CONTEXT.id, 'sallyport.cli']) await admin.call('PUT', `/v1/apps/${id}`, { groups: null });
    await admin.call('PUT', '/v1/groups/staff');
    const parts = Object.entries({ security, proxy, phone }).map(([name, process]) => ({ name, process }));
    const gateway = new Gateway({ folder, proxyPort, phonePort, parts, admin });
    await gateway.#live();
    return gateway;
  }

  async addResource(name: string, url: string, kind: 'http' | 'tcp' = 'http'): Promise<void> {
    const backend = { url, networks: ['127.0.0.0/8'] };
    await this.#admin.call('PUT', `/v1/resources/${name}`, { kind, authority: `${name}.corp`, backend });
    const policy = { groups: ['staff'], resources: [name], context: {} };
    await this.#admin.call('PUT', `/v1/policies/open-${name}`, policy);
  }

  /** A machine of a new user, enrolled by the command line, with its forward proxy. */
  async forward(user: string): Promise<Forward> {
    const link = await this.#link(user);
    const port = await freePort();
    return Forward.start({ folder: join(this.#folder, user), link, user, password: PASSWORD, port });
  }

  async #link(user: string): Promise<string> {
    await this.#admin.call('PUT', `/v1/users/${user}`, { password: PASSWORD, groups: ['staff'] });
    return (await this.#admin.call('POST', '/v1/codes', { user })).link as string;
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
      const { proxies } = (await this.#admin.call('GET', '/v1/status')) as { proxies: { live: boolean }[] };
      return proxies.some(({ live }) => live);
    };
    await waitFor(isLive, 'the lease of the Proxy');
  }
}

class Admin {
  readonly #url: string;
  readonly #agent: Agent;
  #token = '';

  constructor(url: string, ca: string) {
    this.#url = url;
    this.#agent = new Agent({ connect: { ca }, headersTimeout: 120_000 });
  }

  async login(oneTimeToken: string): Promise<void> {
    const { token } = await this.call('POST', '/v1/operators/login', { token: oneTimeToken, name: 'fuzz' });
    this.#token = token as string;
  }

  async call(method: 'GET' | 'PUT' | 'POST' | 'PATCH', path: string, body?: object): Promise<Record<string, unknown>> {
    const headers = {
      'sallyport-reason': 'fuzz',
      ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    };
    const text = body ? JSON.stringify(body) : null;
    const answer = await request(`${this.#url}${path}`, { method, dispatcher: this.#agent, headers, body: text });
    const json = (await answer.body.json()) as Record<string, unknown>;
    if (answer.statusCode >= 400) throw new Error(`${method} ${path}: ${JSON.stringify(json)}`);
    return json;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
