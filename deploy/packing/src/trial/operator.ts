import { type Device, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { AdminClient } from '@sallyport/security-client/admin';

/** What devices of a trial ask for. */
export const AUTHORITY = 'intranet.corp';
const APP = 'trial.app';
const PASSWORD = 'correct horse battery';
const reason = 'trial of a farm';

const CONTEXT = {
  id: APP,
  version: '1.0.0',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '6',
  osPatch: '',
  model: 'trial',
  posture: { rooted: false },
  sdk: 'trial',
};

/** Where the admin API of a farm is: any of its nodes. */
export interface AdminSide {
  readonly urls: readonly [string, ...string[]];
  readonly ca: string;
}

/** What a farm is set up with. */
export interface SetUp {
  readonly site: string;
  /** Where devices find it, like `ws://10.1.2.3:80`. */
  readonly origins: readonly string[];
  readonly backend: { readonly url: string; readonly networks: readonly string[] };
}

/** A device whose user has a link. */
export interface Newcomer {
  readonly device: Device;
  /** Enrols and signs in; again, it goes on where it failed. */
  readonly enter: () => Promise<void>;
}

const CONNECT_MS = 5_000;
const AGAIN_MS = 200;
const PATIENCE_MS = 60_000;

/** The operator of a farm that is tried: sets it up, and makes devices. */
export class TrialOperator {
  readonly #client: AdminClient;

  private constructor(side: AdminSide, token?: string) {
    this.#client = new AdminClient({
      ...{ urls: side.urls, ca: side.ca, token, connectMs: CONNECT_MS },
      again: ({ status = 500 }, _operation, { ms }) => (status >= 500 && ms < PATIENCE_MS ? AGAIN_MS : undefined),
    });
  }

  /** Exchanges a one-time token. */
  static async login(side: AdminSide, oneTimeToken: string): Promise<TrialOperator> {
    const stranger = new TrialOperator(side);
    const body = { token: oneTimeToken, name: 'olga' };
    const { token } = await stranger.#client.call(api.operators.login, { body });
    await stranger.close();
    return new TrialOperator(side, token);
  }

  /** One resource for everybody of a group, at one site. */
  async setUp({ site, origins, backend }: SetUp): Promise<void> {
    const open = { openBurst: 100_000, openRate: 100_000, enrolPage: 'http://localhost/enroll' };
    await this.#client.call(api.realm.change, { reason, body: open });
    await this.#client.call(api.sites.put, { reason, params: { name: site }, body: { origins: [...origins] } });
    await this.#client.call(api.apps.put, { reason, params: { id: APP }, body: { groups: null } });
    await this.#client.call(api.groups.put, { reason, params: { name: 'staff' } });
    const { url, networks } = backend;
    await this.#client.call(api.resources.put, {
      ...{ reason, params: { name: 'intranet' } },
      body: { kind: 'http', authority: AUTHORITY, backend: { url, networks: [...networks] } },
    });
    const body = { groups: ['staff'], resources: ['intranet'], context: {} };
    await this.#client.call(api.policies.put, { reason, params: { name: 'staff-intranet' }, body });
  }

  /** A new device of a user of its own, enrolled and signed in. */
  async device(name: string): Promise<Device> {
    const { device, enter } = await this.newcomer(name);
    await enter();
    return device;
  }

  /** The same with nothing done but the link. */
  async newcomer(name: string): Promise<Newcomer> {
    await this.putUser(name);
    const { link } = await this.#client.call(api.codes.issue, { reason, body: { user: name } });
    const device = await openDevice(memoryStorage(), () => CONTEXT);
    const credentials = { user: name, password: PASSWORD };
    let isEnrolled = false;
    const enter = async (): Promise<void> => {
      if (!isEnrolled) await device.enroll(link, credentials);
      isEnrolled = true;
      await device.login(credentials);
    };
    return { device, enter };
  }

  /** A user who may ask for pages. */
  async putUser(name: string): Promise<void> {
    const body = { password: PASSWORD, groups: ['staff'] };
    await this.#client.call(api.users.put, { reason, params: { name }, body });
  }

  /** A join token for a Proxy. */
  async invite(name: string, site: string): Promise<string> {
    return (await this.#client.call(api.proxies.invite, { reason, body: { name, site } })).token;
  }

  /** Names of the Proxies that hold a lease. */
  async liveProxies(): Promise<string[]> {
    const { proxies } = await this.#client.call(api.status.get);
    return proxies.filter(({ live }) => live).map(({ name }) => name);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
