import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, finishProviderSignIn, memoryStorage, type StoredProvider } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import type { Client } from 'ldapts';
import { CONTEXT, Gateway } from '../gateway.ts';
import { type Leaving, WatchedBackend, Worker, watchLeaving } from './leavers.ts';
import { ldapInput, settled, sync } from './operate.ts';
import { dnOf, loginOf, PERSON_PASSWORD, standardTree } from './people.ts';
import { CLIENT_ID, CLIENT_SECRET, RealProvider } from './provider.ts';
import { PlainBrowser } from './provider-browser.ts';
import { entraUser, ScimClient } from './scim-client.ts';
import { RealLdap } from './slapd.ts';

const REDIRECT = 'com.example.app:/signed-in';

/** A company with all its directories at once, and people who leave by each way. */
export class Company {
  readonly gateway: Gateway;
  readonly ldap: RealLdap;
  readonly provider: RealProvider;
  readonly backend: WatchedBackend;
  readonly scim: ScimClient;
  readonly #root: Client;
  #people = 0;

  private constructor(of: Pick<Company, 'gateway' | 'ldap' | 'provider' | 'backend' | 'scim'>, root: Client) {
    this.gateway = of.gateway;
    this.ldap = of.ldap;
    this.provider = of.provider;
    this.backend = of.backend;
    this.scim = of.scim;
    this.#root = root;
  }

  /** `people` in LDAP; everybody may reach `desk.corp`. */
  static async start(people: number): Promise<Company> {
    const port = await freePort();
    const ldap = await RealLdap.start(standardTree(people));
    const backend = await WatchedBackend.start();
    const gateway = await Gateway.start({
      proxies: 2,
      environment: { SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${port}` },
    });
    const trust = join(gateway.folder, 'ca.pem');
    writeFileSync(trust, gateway.security.ready.ca!);
    const logoutUri = `https://127.0.0.1:${port}/oidc/idp/backchannel-logout`;
    const provider = await RealProvider.start({ redirects: [REDIRECT], logoutUri, trust });
    const { operator } = gateway;
    await operator.call(api.directories.put, { params: { name: 'corp' }, body: ldapInput(ldap) });
    await operator.call(api.directories.put, {
      params: { name: 'push' },
      body: { kind: 'scim', stage: 'active', settings: {} },
    });
    const issued = await operator.call(api.directories.token, { params: { name: 'push' }, body: {} });
    const settings = {
      issuer: provider.issuer,
      ca: provider.ca,
      clientId: CLIENT_ID,
      redirects: [REDIRECT],
      accounts: 'push',
    };
    const secrets = { clientSecret: CLIENT_SECRET };
    await operator.call(api.directories.put, {
      params: { name: 'idp' },
      body: { kind: 'oidc', stage: 'active', settings, secrets },
    });
    await settled(operator, 'corp');
    const scim = new ScimClient(issued['url'] as string, gateway.security.ready.ca!, issued['token'] as string);
    const group = await scim.call('POST', '/Groups', { displayName: 'Everybody' });
    if (group.status !== 201) throw new Error(`no group: ${JSON.stringify(group.body)}`);
    const desk = {
      kind: 'http' as const,
      authority: 'desk.corp',
      backend: { url: backend.url, networks: ['127.0.0.0/8'] },
    };
    await operator.call(api.resources.put, { params: { name: 'desk' }, body: desk });
    const groups = ['all@corp', 'everybody@push'];
    await operator.call(api.policies.put, {
      params: { name: 'desk' },
      body: { groups, resources: ['desk'], context: {} },
    });
    const company = new Company({ gateway, ldap, provider, backend, scim }, await ldap.root());
    company.#group = group.body['id'] as string;
    return company;
  }

  #group = '';

  /** Each way of leaving, by its name; each takes one new person to work and puts them out. */
  readonly ways: Readonly<Record<string, () => Promise<Leaving>>> = {
    'SCIM: active = false': () =>
      this.#pushed((id) => this.scim.patch(`/Users/${id}`, { op: 'Replace', path: 'active', value: 'False' })),
    'SCIM: DELETE user': () => this.#pushed((id) => this.scim.call('DELETE', `/Users/${id}`)),
    'SCIM: out of the group': () =>
      this.#pushed((id) =>
        this.scim.patch(`/Groups/${this.#group}`, { op: 'Remove', path: 'members', value: [{ value: id }] }),
      ),
    'OIDC: back-channel logout': () => this.#pushed((_id, browser) => browser.signOut(this.provider.endSession)),
    'LDAP: deleted, by the sync': () => this.#synced((dn) => this.#root.del(dn)),
    'operator: user disable': () => this.#local(),
  };

  async #pushed(putOut: (id: string, browser: PlainBrowser) => Promise<unknown>): Promise<Leaving> {
    const login = `p${this.#people++}`;
    const { body } = await this.scim.call('POST', '/Users', entraUser(login, { externalId: login }));
    const id = body['id'] as string;
    await this.scim.patch(`/Groups/${this.#group}`, { op: 'Add', path: 'members', value: [{ value: id }] });
    const device = await openDevice(memoryStorage(), () => CONTEXT);
    const link = await this.gateway.link(`${login}@corp.example`);
    const browser = new PlainBrowser(this.provider.ca);
    await device.enroll(link, await this.#atProvider(device, { login, link, browser }));
    await device.login();
    const leaving = await watchLeaving(new Worker(login, device, this.backend), () => putOut(id, browser));
    await browser.close();
    return leaving;
  }

  async #atProvider(device: Device, of: { login: string; link: string; browser: PlainBrowser }) {
    const [entry] = (await device.providers(of.link)) as [StoredProvider];
    const { url, pending } = device.beginProviderSignIn(entry, REDIRECT);
    return finishProviderSignIn(pending, await of.browser.signIn(url, of.login));
  }

  /** The acknowledgement is the end of the sync that the removal is found by. */
  async #synced(remove: (dn: string) => Promise<unknown>): Promise<Leaving> {
    const i = this.#people++;
    const device = await this.#inLdap(i);
    return watchLeaving(new Worker(loginOf(i), device, this.backend), async () => {
      await remove(dnOf(i));
      await sync(this.gateway.operator, 'corp');
    });
  }

  async #inLdap(i: number): Promise<Device> {
    const device = await openDevice(memoryStorage(), () => CONTEXT);
    await device.enroll(await this.gateway.link(loginOf(i)), { user: loginOf(i), password: PERSON_PASSWORD });
    await device.login();
    return device;
  }

  async #local(): Promise<Leaving> {
    const i = this.#people++;
    const device = await this.#inLdap(i);
    const putOut = () => this.gateway.operator.call(api.users.disable, { params: { name: loginOf(i) } });
    return watchLeaving(new Worker(loginOf(i), device, this.backend), putOut);
  }

  async stop(): Promise<void> {
    await this.scim.close();
    await this.#root.unbind();
    await this.gateway.stop();
    await Promise.all([this.ldap.stop(), this.provider.stop(), this.backend.close()]);
  }
}
