import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyring, type Keyring, PURPOSES, type RealmStore, sealedStore } from '@sallyport/access';
import { formatHex, parseBase64Url } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { type Device, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import { ChildPostgres, SqlStore } from '@sallyport/store-sql';
import { addPushedPeople } from '../../../libs/access/test/sample-accounts.ts';
import { sampleSession } from '../../../libs/access/test/sample-session.ts';
import { CONTEXT } from './load/channel-lane.ts';
import { AUTHORITY, type LaneKind, type LaneSession } from './load/lane.ts';
import { Operator } from './operator.ts';
import { PORTS } from './ports.ts';
import { cpuMicros, family, memoryMiB } from './processes.ts';
import { Provider } from './provider.ts';
import type { Subject } from './subject.ts';
import { publishUpdate, type Update } from './update.ts';

const PASSWORD = 'bench password';
const REALM = 'main';
const SITE = 'here';
/** Whose sessions there are. */
const USERS = 64;
const CREDENTIALS = { user: 'ada', password: PASSWORD };
const HOUR_MS = 3_600_000;
const RATE = 1_000_000;
/** Sessions that are written at once. */
const BATCH = 1_000;

/** Our gateway: Security with its own database, and as many Proxies as a work asks for. */
export class Gateway {
  readonly #folder: string;
  readonly #profileFolder: string | undefined;
  readonly #security: AppProcess;
  /** Who changes what a work needs changed. */
  readonly operator: Operator;
  readonly #store: SqlStore;
  readonly #keyring: Keyring;
  /** As Security writes to it. */
  readonly #sealed: RealmStore;
  readonly #proxies: AppProcess[] = [];
  /** The installation that the others are copies of. */
  #sample = '';
  #update: Promise<Update> | undefined;

  private constructor(
    folder: string,
    { security, operator }: { security: AppProcess; operator: Operator },
    profileFolder: string | undefined,
  ) {
    this.#profileFolder = profileFolder;
    this.#folder = folder;
    this.#security = security;
    this.operator = operator;
    const data = join(folder, 'data');
    const passwordFile = join(data, 'security', 'database-password');
    this.#store = new SqlStore(ChildPostgres.addressOf({ folder: join(data, 'database'), passwordFile }));
    const kek = JSON.parse(readFileSync(join(data, 'security', 'kek.json'), 'utf8')) as {
      current: number;
      keys: Record<string, string>;
    };
    const keys = Object.entries(kek.keys).map(([id, key]) => [Number(id), parseBase64Url(key)] as const);
    this.#keyring = createKeyring(serverCrypto(), new Map(keys), kek.current);
    this.#sealed = sealedStore(this.#store.in(REALM), this.#keyring, () => undefined);
  }

  /**
   * Starts Security and one Proxy in a folder, with one user, one resource and no limits on rates. With a profile folder
   * the Proxies leave their CPU profiles there.
   */
  static async start(folder: string, profileFolder?: string): Promise<Gateway> {
    const security = await AppProcess.start('security', {
      environment: {
        SALLYPORT_DATA: join(folder, 'data'),
        SALLYPORT_PROXY_LISTEN: `127.0.0.1:${PORTS.security}`,
        SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${PORTS.admin}`,
        SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${PORTS.directory}`,
        SALLYPORT_ADDRESS_BURST: String(RATE),
        SALLYPORT_ADDRESS_PER_MINUTE: String(RATE),
      },
    });
    const gateway = new Gateway(folder, { security, operator: await Operator.first(security.ready) }, profileFolder);
    await gateway.#seed();
    await gateway.useProxies(1);
    await gateway.#firstInstallation();
    return gateway;
  }

  get proxyPids(): readonly number[] {
    return this.#proxies.map(({ pid }) => pid);
  }

  get securityPids(): readonly number[] {
    return family(this.#security.pid);
  }

  /** The gateway as a subject; `suite` 1 is ChaChaPoly, 2 AES-GCM. */
  subject(suite: 1 | 2): Subject {
    const pids = (): number[] => [...this.proxyPids, ...this.securityPids];
    return {
      name: `Sallyport, ${suite === 1 ? 'ChaChaPoly' : 'AES-GCM'}`,
      lanes: async (lanes) => this.lanes(await this.sessions(lanes), suite),
      cpuMicros: () => cpuMicros(pids()),
      parts: () => this.#parts(cpuMicros),
      memoryMiB: () => memoryMiB(pids()),
      memoryParts: () => this.#parts(memoryMiB),
    };
  }

  #parts(measure: (pids: readonly number[]) => number): Record<string, number> {
    return {
      Proxies: measure(this.proxyPids),
      Security: measure([this.#security.pid]),
      database: measure(this.securityPids.filter((pid) => pid !== this.#security.pid)),
    };
  }

  /** Channels for sessions, one after the other over the Proxies. */
  lanes(sessions: readonly LaneSession[], suite: 1 | 2): LaneKind {
    const origins = this.#proxies.map((_, i) => `ws://127.0.0.1:${PORTS.proxy + i}`);
    return { kind: 'channel', suite, origins, sessions };
  }

  /** Makes sure that so many Proxies run. */
  async useProxies(count: number): Promise<void> {
    while (this.#proxies.length > count) await this.#proxies.pop()!.end();
    while (this.#proxies.length < count) this.#proxies.push(await this.#startProxy(this.#proxies.length));
  }

  /** Fresh processes for what only these can show. */
  async restartProxies(): Promise<void> {
    const count = this.#proxies.length;
    await this.useProxies(0);
    await this.useProxies(count);
  }

  proxyMiB(): number {
    return memoryMiB(this.proxyPids);
  }

  /**
   * Writes live sessions straight into the store: thousands of logins would take minutes. Each has an installation of its own,
   * because a session that opens a channel ends the others of its installation; and they are of many users, as in life,
   * because a backend's connections are shared out by user.
   */
  async sessions(count: number): Promise<LaneSession[]> {
    const sessions: LaneSession[] = Array.from({ length: count }, () => ({
      sid: randomBytes(16),
      secret: randomBytes(32),
      audience: `${REALM}/${SITE}`,
    }));
    const userIds = (await this.sql<{ id: string }>("select id from users where name like 'u%'")).map(({ id }) => id);
    for (let at = 0; at < count; at += BATCH)
      await this.#sealed.transaction(async ({ tables, now }) => {
        const sample = (await tables.installations.find({ id: this.#sample }))!;
        const { generation } = (await tables.realms.find({ id: 'realm' }))!;
        for (const [i, { sid, secret }] of sessions.slice(at, at + BATCH).entries()) {
          const id = formatHex(sid);
          const userId = userIds[(at + i) % userIds.length]!;
          await tables.installations.insert({ ...sample, id, userId, deviceStatic: randomBytes(32) });
          const about = {
            userId,
            installationId: id,
            secret: this.#keyring.wrap(secret, PURPOSES.session(REALM, id)),
            app: `${CONTEXT.id}@${CONTEXT.version}`,
            createdAt: now(),
            expiresAt: now() + 12 * HOUR_MS,
            generation,
          };
          await tables.sessions.insert(sampleSession(id, about));
        }
      });
    return sessions;
  }

  /** Runs a statement in the database. */
  sql<Row extends object>(text: string): Promise<Row[]> {
    return this.#store.query<Row>(text);
  }

  /** An enrolled device that is not signed in, on the SDK. */
  async device(): Promise<{ device: Device; login(withPassword: boolean): Promise<void> }> {
    const device = await openDevice(memoryStorage(), () => CONTEXT);
    const { link } = await this.operator.call('POST', '/v1/codes', { user: CREDENTIALS.user });
    await device.enroll(link as string, CREDENTIALS);
    return { device, login: (withPassword) => device.login(withPassword ? CREDENTIALS : undefined) };
  }

  /** An update of the size of the large file, for whoever is in the group staff. */
  update(): Promise<Update> {
    const { ready } = this.#security;
    this.#update ??= publishUpdate({ folder: this.#folder, ready, operator: this.operator });
    return this.#update;
  }

  /** A provider that has pushed so many people, with their ids there. */
  async provider(people: number): Promise<{ provider: Provider; ids: readonly string[] }> {
    await this.operator.call('PUT', '/v1/directories/corp', { kind: 'scim', stage: 'active', settings: {} });
    const { url, token } = await this.operator.call('POST', '/v1/directories/corp/tokens', { endOthers: true });
    const ids = Array.from({ length: people }, (_, i) => `p${i}`);
    await addPushedPeople(this.#sealed, 'corp', ids);
    const provider = new Provider({ base: url as string, token: token as string, ca: this.#security.ready.ca! });
    return { provider, ids };
  }

  async stop(): Promise<void> {
    await this.#store.close();
    for (const server of [...this.#proxies, this.#security]) await server.end();
    await this.operator.close();
  }

  async #seed(): Promise<void> {
    const channels = { channelsPerInstallation: RATE, channelsPerUser: RATE };
    const opens = { openBurst: RATE, openRate: RATE };
    await this.operator.call('PATCH', '/v1/realm', { ...opens, ...channels, enrolPage: 'http://localhost/enroll' });
    await this.operator.call('PUT', `/v1/apps/${CONTEXT.id}`, { groups: null });
    await this.operator.call('PUT', '/v1/groups/staff');
    await this.operator.call('PUT', '/v1/resources/wiki', {
      kind: 'http',
      authority: AUTHORITY,
      backend: { url: `http://127.0.0.1:${PORTS.backend}`, networks: ['127.0.0.0/8'] },
    });
    await this.operator.call('PUT', '/v1/policies/wiki', { groups: ['staff'], resources: ['wiki'], context: {} });
    await this.operator.call('PUT', '/v1/users/ada', { password: PASSWORD, groups: ['staff'] });
    for (let i = 0; i < USERS; i++) await this.operator.call('PUT', `/v1/users/u${i}`, { groups: ['staff'] });
    await this.operator.call('PUT', `/v1/sites/${SITE}`, { origins: [`ws://127.0.0.1:${PORTS.proxy}`] });
  }

  async #startProxy(i: number): Promise<AppProcess> {
    const { token } = await this.operator.call('POST', '/v1/join-tokens', { name: `p${i}`, site: SITE, replace: true });
    return AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: join(this.#folder, `p${i}-${Date.now()}`),
        SALLYPORT_LISTEN: `127.0.0.1:${PORTS.proxy + i}`,
        SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${PORTS.proxy + 10 + i}`,
        SALLYPORT_JOIN_TOKEN: token as string,
        SALLYPORT_MAX_SOCKETS: String(RATE),
        SALLYPORT_SOCKETS_PER_ADDRESS: String(RATE),
        SALLYPORT_HELLOS_PER_ADDRESS: String(RATE),
        SALLYPORT_OPENS_PER_SESSION: String(RATE),
      },
      nodeOptions: this.#profileFolder ? ['--cpu-prof', `--cpu-prof-dir=${this.#profileFolder}`] : [],
    });
  }

  /** One real login makes the installation whose sessions are written later. */
  async #firstInstallation(): Promise<void> {
    const { device, login } = await this.device();
    await login(true);
    device.close();
    const [row] = await this.sql<{ id: string }>('select id from installations limit 1');
    this.#sample = row!.id;
  }
}
