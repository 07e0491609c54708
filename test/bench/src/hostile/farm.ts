import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverCrypto } from '@sallyport/channel/sodium';
import { Device, memoryStorage } from '@sallyport/device';
import { AppProcess } from '@sallyport/local-cluster';
import { CONTEXT } from '../load/channel-lane.ts';
import { Operator } from '../operator.ts';
import { PORTS } from '../ports.ts';
import { cpuMicros, family, memoryMiB } from '../processes.ts';
import { type FarmDevice, webSocketFrom } from './farm-device.ts';

const PASSWORD = 'bench password';
const SITE = 'here';
/** Devices that enrol at once: each try costs Security a password hash. */
const ENROLLING = 4;
/** On a busy machine the database or Security may say "later" meanwhile. */
const TRIES = 10;
const LATER_MS = 1_000;
const CLI = fileURLToPath(new URL('../../../../apps/cli/src/main.ts', import.meta.url));

/** CPU time so far of what a farm is made of, microseconds. */
export type FarmCpu = Readonly<Record<'Proxies' | 'Security' | 'database', number>>;

/** Security with its database, Proxies, and users with devices. All limits are as delivered. */
export class Farm {
  readonly folder: string = mkdtempSync('/tmp/sallyport-hostile-');
  readonly #proxies: AppProcess[] = [];
  #security: AppProcess | undefined;
  #operator: Operator | undefined;
  #forward: ChildProcess | undefined;

  static async start(proxies: number): Promise<Farm> {
    const farm = new Farm();
    // As root the database runs as a user of its own, who must get through here.
    chmodSync(farm.folder, 0o755);
    try {
      await farm.#start(proxies);
      return farm;
    } catch (error) {
      await farm.stop();
      throw error;
    }
  }

  get origins(): readonly string[] {
    return this.#proxies.map((_, i) => `ws://127.0.0.1:${PORTS.proxy + i}`);
  }

  /** Addresses of Security's listeners. */
  get urls(): Readonly<Record<string, string>> {
    return this.#security!.ready;
  }

  cpu(): FarmCpu {
    const { pid } = this.#security!;
    return {
      Proxies: cpuMicros(this.#proxies.map((proxy) => proxy.pid)),
      Security: cpuMicros([pid]),
      database: cpuMicros(family(pid).filter((one) => one !== pid)),
    };
  }

  proxyMiB(): number {
    return memoryMiB(this.#proxies.map(({ pid }) => pid));
  }

  /** What went wrong with the processes: ended ones, lost leases, lines of defects. */
  problems(): string[] {
    const named = [...this.#proxies.map((proxy, i) => [`Proxy ${i + 1}`, proxy] as const)];
    return [...named, ['Security', this.#security!] as const].flatMap(([name, { running, log }]) => [
      ...(running ? [] : [`${name} ended: ${log.slice(-2_000)}`]),
      ...log
        .split('\n')
        .filter((line) => /"level":[56]0|the lease is lost/.test(line))
        .slice(0, 3)
        .map((line) => `${name}: ${line}`),
    ]);
  }

  async addResource(name: string, url: string): Promise<void> {
    const backend = { url, networks: ['127.0.0.0/8'] };
    await this.#operator!.call('PUT', `/v1/resources/${name}`, { kind: 'http', authority: `${name}.corp`, backend });
    const policy = { groups: ['staff'], resources: [name], context: {} };
    await this.#operator!.call('PUT', `/v1/policies/open-${name}`, policy);
  }

  /** Enrols and signs in one device for each user, from an address of its own. */
  async devices(users: readonly string[], network: number): Promise<FarmDevice[]> {
    const devices: FarmDevice[] = [];
    const left = users.map((user, i) => ({ user, address: `127.${network}.${i >> 7}.${(i & 127) + 1}` }));
    const lane = async (): Promise<void> => {
      for (let next = left.shift(); next; next = left.shift()) devices.push(await patiently(() => this.#device(next!)));
    };
    await Promise.all(Array.from({ length: ENROLLING }, lane));
    return devices;
  }

  /** A machine of a user with `device forward`, as a process of its own. */
  async forward(user: string, port: number): Promise<void> {
    const link = await this.#link(user);
    const data = join(this.folder, user);
    const enrol = run(['--data', data, 'device', 'enroll', link, '--user', user, '--password-stdin']);
    enrol.child.stdin!.end(PASSWORD);
    if ((await enrol.ended) !== 0) throw new Error(`the machine could not be enrolled:\n${enrol.output()}`);
    const forward = run(['--data', data, 'device', 'forward', '--port', String(port)]);
    this.#forward = forward.child;
    await forward.printed(/forward proxy at/);
  }

  get forwardRuns(): boolean {
    return this.#forward !== undefined && this.#forward.exitCode === null && this.#forward.signalCode === null;
  }

  async stop(): Promise<void> {
    this.#forward?.kill('SIGTERM');
    for (const proxy of this.#proxies) await proxy.end();
    await this.#security?.end();
    await this.#operator?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #start(proxies: number): Promise<void> {
    this.#security = await AppProcess.start('security', {
      environment: {
        SALLYPORT_DATA: join(this.folder, 'data'),
        SALLYPORT_PROXY_LISTEN: `127.0.0.1:${PORTS.security}`,
        SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${PORTS.admin}`,
        SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${PORTS.auth}`,
      },
    });
    this.#operator = await Operator.first(this.#security.ready);
    await this.#operator!.call('PATCH', '/v1/realm', { enrolPage: 'http://localhost/enroll' });
    for (const id of [CONTEXT.id, 'sallyport.cli'])
      await this.#operator!.call('PUT', `/v1/apps/${id}`, { groups: null });
    await this.#operator!.call('PUT', '/v1/groups/staff');
    for (let i = 0; i < proxies; i++) this.#proxies.push(await this.#proxy(i));
    await this.#operator!.call('PUT', `/v1/sites/${SITE}`, { origins: this.origins });
    while (!(await this.#allLive(proxies))) await new Promise((resolve) => setTimeout(resolve, 100));
  }

  async #proxy(i: number): Promise<AppProcess> {
    const { token } = await this.#operator!.call('POST', '/v1/join-tokens', { name: `p${i}`, site: SITE });
    return AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: join(this.folder, `p${i}`),
        SALLYPORT_LISTEN: `127.0.0.1:${PORTS.proxy + i}`,
        SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${PORTS.proxy + 10 + i}`,
        SALLYPORT_JOIN_TOKEN: token as string,
      },
    });
  }

  async #allLive(count: number): Promise<boolean> {
    const { proxies } = (await this.#operator!.call('GET', '/v1/status')) as unknown as {
      proxies: { live: boolean }[];
    };
    return proxies.filter(({ live }) => live).length === count;
  }

  async #link(user: string): Promise<string> {
    await this.#operator!.call('PUT', `/v1/users/${user}`, { password: PASSWORD, groups: ['staff'] });
    return (await this.#operator!.call('POST', '/v1/codes', { user }))['link'] as string;
  }

  async #device({ user, address }: { user: string; address: string }): Promise<FarmDevice> {
    const storage = memoryStorage();
    const webSocket = webSocketFrom(address);
    const device = await Device.open({ storage, crypto: serverCrypto(), webSocket, context: () => CONTEXT });
    const credentials = { user, password: PASSWORD };
    await device.enroll(await this.#link(user), credentials);
    await device.login(credentials);
    device.close();
    // Keys of the platform do not travel between processes, and nobody signs in again.
    const record = { ...(await storage.load())!, signingKey: { publicJwk: {}, privateKey: {} } };
    return { user, address, record };
  }
}

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, LATER_MS));
    }
  }
}

function run(args: readonly string[]) {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += String(data);
    });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const printed = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      child.stdout.on('data', () => {
        if (pattern.test(output)) resolve();
      });
      child.once('close', () => reject(new Error(`the command line ended:\n${output}`)));
    });
  return { child, ended, printed, output: () => output };
}
