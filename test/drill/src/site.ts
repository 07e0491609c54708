import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type EnrolmentLink, parseLink } from '@sallyport/channel';
import { AppProcess, type Host } from '@sallyport/local-cluster';
import {
  apps,
  codes,
  groups,
  operators,
  policies,
  proxies,
  realm,
  resources,
  sites,
  status,
  users,
} from '@sallyport/security-api/admin';
import { AdminClient } from '@sallyport/security-client/admin';
import { DRIVER_ADDRESS, type Network, waitFor } from '@sallyport/support';
import { AUTHORITY } from './drill-device.ts';
import { FILL_APP, FILL_GROUP } from './filled.ts';

const PORTS = { devices: 8_440, health: 8_441, security: 8_443, admin: 8_444 };
/** Where Security is, whichever machine has the address. */
const ADDRESS = '10.77.1.1';
const GATE_ADDRESS = '10.77.3.1';
const REASON = 'drill';
const SITE = 'here';
const CALL_MS = 120_000;
const AGAIN_MS = 100;

/** A site that will burn: Security and a Proxy on one host. One more Proxy stands elsewhere and runs all the time. */
export class Site {
  readonly network: Network;
  readonly folder: string;
  /** Settings of Security but for its folder. */
  readonly settings: Readonly<Record<string, string>>;
  /** The machine that has the site's address at the moment. */
  host: Host;
  #machines = 1;
  #security: AppProcess | undefined;
  #proxies: AppProcess[] = [];
  #ca = '';
  #admin: AdminClient | undefined;

  private constructor(network: Network, folder: string, settings: Readonly<Record<string, string>>) {
    this.network = network;
    this.folder = folder;
    this.settings = {
      SALLYPORT_PROXY_LISTEN: `${ADDRESS}:${PORTS.security}`,
      SALLYPORT_ADMIN_LISTEN: `${ADDRESS}:${PORTS.admin}`,
      SALLYPORT_NAMES: ADDRESS,
      SALLYPORT_ADDRESS_BURST: '1000000',
      SALLYPORT_ADDRESS_PER_MINUTE: '1000000',
      ...settings,
    };
    this.host = network.addHost('machine1', ADDRESS);
  }

  /** Starts Security, which makes its realm, and both Proxies. */
  static async start(
    network: Network,
    folder: string,
    { backend, settings }: { readonly backend: string; readonly settings: Readonly<Record<string, string>> },
  ): Promise<Site> {
    const site = new Site(network, folder, settings);
    await site.startSecurity();
    await site.#seed(backend);
    const gate = network.addHost('gate', GATE_ADDRESS);
    await site.#addProxy('elsewhere', gate);
    await site.joinProxy();
    return site;
  }

  /** Folder of Security on the machine of the moment. */
  get data(): string {
    return join(this.folder, this.host.name, 'security');
  }

  get admin(): AdminClient {
    return this.#admin!;
  }

  async startSecurity(): Promise<void> {
    mkdirSync(this.data, { recursive: true });
    const environment = { ...this.settings, SALLYPORT_DATA: this.data };
    this.#security = await AppProcess.start('security', { host: this.host, environment });
    this.#ca = this.#security.ready['ca']!;
    const token = this.#security.ready['oneTimeToken'];
    if (token !== undefined) await this.#login(token);
  }

  /** The first operator, or the one after a restore. */
  async #login(token: string): Promise<void> {
    const open = this.#clientWith(undefined);
    const body = { token, name: `${REASON}-${this.#machines}`, request: randomUUID() };
    const { token: credential } = await open.call(operators.login, { body });
    await Promise.all([open.close(), this.#admin?.close()]);
    this.#admin = this.#clientWith(credential);
  }

  /** The Proxy of this machine joins; it takes the place of the one that burned. */
  async joinProxy(): Promise<void> {
    await this.#addProxy('here', this.host);
  }

  /** Waits until both Proxies hold a lease. */
  async live(): Promise<void> {
    const count = async (): Promise<number> =>
      (await this.admin.call(status.get)).proxies.filter(({ live }) => live).length;
    await waitFor(async () => (await count()) === 2, 'the leases of the Proxies');
  }

  /** What a device has to know of the gateway. */
  async link(): Promise<EnrolmentLink> {
    const { link } = await this.admin.call(codes.issue, { body: { user: 'ada' }, reason: REASON });
    return parseLink(link);
  }

  /** Every process on the machine dies, the network is gone, and so is whatever it had on its disks. */
  burn(): void {
    this.network.cut(this.host);
    this.network.killHost(this.host);
    rmSync(join(this.folder, this.host.name), { recursive: true, force: true });
  }

  /** An empty machine with the address of the one that burned. */
  replaceMachine(): void {
    this.#machines++;
    this.host = this.network.addHost(`machine${this.#machines}`, ADDRESS);
    this.network.forgetNeighbours();
    mkdirSync(this.data, { recursive: true });
  }

  async stop(): Promise<void> {
    await this.#admin?.close();
    for (const proxy of this.#proxies) await proxy.end('SIGKILL');
    await this.#security?.end('SIGKILL');
    this.network.killHost(this.host);
  }

  #clientWith(token: string | undefined): AdminClient {
    return new AdminClient({
      urls: [`https://${ADDRESS}:${PORTS.admin}`],
      ca: this.#ca,
      token,
      connectMs: 1_000,
      again: ({ status: answered = 500 }, _operation, { ms }) =>
        answered >= 500 && ms < CALL_MS ? AGAIN_MS : undefined,
    });
  }

  async #seed(backend: string): Promise<void> {
    const reason = REASON;
    const many = { openBurst: 100_000, openRate: 100_000, enrolPage: 'http://localhost/enroll' };
    await this.admin.call(realm.change, { body: many, reason });
    await this.admin.call(apps.put, { params: { id: FILL_APP }, body: { groups: null }, reason });
    await this.admin.call(groups.put, { params: { name: FILL_GROUP }, reason });
    const body = {
      kind: 'http',
      authority: AUTHORITY,
      backend: { url: backend, networks: [`${DRIVER_ADDRESS}/32`] },
    } as const;
    await this.admin.call(resources.put, { params: { name: 'wiki' }, body, reason });
    const policy = { groups: [FILL_GROUP], resources: ['wiki'], context: {} };
    await this.admin.call(policies.put, { params: { name: 'wiki' }, body: policy, reason });
    const origins = [ADDRESS, GATE_ADDRESS].map((address) => `ws://${address}:${PORTS.devices}`);
    await this.admin.call(sites.put, { params: { name: SITE }, body: { origins }, reason });
    await this.admin.call(users.put, { params: { name: 'ada' }, body: {}, reason });
  }

  async #addProxy(name: string, host: Host): Promise<void> {
    const body = { name, site: SITE, replace: true };
    const { token } = await this.admin.call(proxies.invite, { body, reason: REASON });
    const environment = {
      SALLYPORT_DATA: join(this.folder, host.name, 'proxy'),
      SALLYPORT_LISTEN: `${host.address}:${PORTS.devices}`,
      SALLYPORT_HEALTH_LISTEN: `${host.address}:${PORTS.health}`,
      SALLYPORT_JOIN_TOKEN: token,
    };
    this.#proxies.push(await AppProcess.start('proxy', { host, environment }));
  }
}
