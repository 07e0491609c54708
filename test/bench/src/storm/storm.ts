import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import { Agent, request } from 'undici';
import { CONTEXT } from '../load/channel-lane.ts';
import { PORTS } from '../ports.ts';
import { describeMachine } from '../report.ts';
import type { Target } from './strangers.ts';

const RATE = '1000000';
const CREDENTIALS = { user: 'ada', password: 'bench password' };
const ENROLLING = 16;
/** How long strangers are there before the honest ones come, ms. */
const BEFORE_MS = 3_000;
const LOOK_MS = 100;
const MAX_LINES = 20;

const { values } = parseArgs({
  options: {
    logins: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '20' },
    verbose: { type: 'boolean', default: false },
    password: { type: 'boolean', default: false },
  },
});

/** A gateway of its own processes, whose limits by address are off: each try counts as if it came from another network. */
class StormGateway {
  readonly folder = mkdtempSync('/tmp/sallyport-storm-');
  readonly origin = `ws://127.0.0.1:${PORTS.proxy}`;
  security!: AppProcess;
  proxy!: AppProcess;
  #agent!: Agent;
  #token = '';

  async start(): Promise<void> {
    // As root the database runs as a user of its own, who must get through here.
    chmodSync(this.folder, 0o755);
    this.security = await AppProcess.start('security', {
      environment: {
        SALLYPORT_DATA: join(this.folder, 'data'),
        SALLYPORT_PROXY_LISTEN: `127.0.0.1:${PORTS.security}`,
        SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${PORTS.admin}`,
        SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${PORTS.auth}`,
        SALLYPORT_ADDRESS_BURST: RATE,
        SALLYPORT_ADDRESS_PER_MINUTE: RATE,
      },
    });
    this.#agent = new Agent({ connect: { ca: this.security.ready['ca']! }, headersTimeout: 600_000 });
    const oneTime = { token: this.security.ready['oneTimeToken'], name: 'bench' };
    this.#token = (await this.call('POST', '/v1/operators/login', oneTime))['token'] as string;
    await this.call('PATCH', '/v1/realm', {
      loginNeedsPassword: values.password,
      enrolPage: 'http://localhost/enroll',
    });
    await this.call('PUT', '/v1/groups/staff');
    await this.call('PUT', `/v1/users/${CREDENTIALS.user}`, { password: CREDENTIALS.password, groups: ['staff'] });
    await this.call('PUT', '/v1/sites/here', { origins: [this.origin] });
    const { token } = await this.call('POST', '/v1/join-tokens', { name: 'p0', site: 'here' });
    this.proxy = await AppProcess.start('proxy', {
      environment: {
        SALLYPORT_DATA: join(this.folder, 'p0'),
        SALLYPORT_LISTEN: `127.0.0.1:${PORTS.proxy}`,
        SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${PORTS.proxy + 10}`,
        SALLYPORT_JOIN_TOKEN: token as string,
        SALLYPORT_SOCKETS_PER_ADDRESS: RATE,
        SALLYPORT_HELLOS_PER_ADDRESS: RATE,
        SALLYPORT_OPENS_PER_SESSION: RATE,
      },
    });
  }

  async call(method: 'PUT' | 'POST' | 'PATCH', path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await request(`${this.security.ready['adminUrl']}${path}`, {
      method,
      headers: {
        'sallyport-reason': 'bench',
        ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      body: body ? JSON.stringify(body) : null,
      dispatcher: this.#agent,
    });
    const json = (await answer.body.json()) as Record<string, unknown>;
    if (answer.statusCode >= 400) throw new Error(`${method} ${path}: ${JSON.stringify(json)}`);
    return json;
  }

  /** Whether the Proxy may serve now: its lease lives. */
  async ready(): Promise<boolean> {
    const answer = await request(`http://127.0.0.1:${PORTS.proxy + 10}/readyz`);
    await answer.body.dump();
    return answer.statusCode === 200;
  }

  async stop(): Promise<void> {
    await this.proxy?.end('SIGKILL');
    await this.security?.end('SIGKILL');
    await this.#agent?.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Devices that are enrolled and not signed in. */
async function enrolAll(gateway: StormGateway, count: number): Promise<{ devices: Device[]; record: DeviceRecord }> {
  const devices: Device[] = [];
  const storage = memoryStorage();
  const one = async (kept = memoryStorage()): Promise<void> => {
    const device = await openDevice(kept, () => CONTEXT);
    const { link } = await gateway.call('POST', '/v1/codes', { user: CREDENTIALS.user });
    await device.enroll(link as string, CREDENTIALS);
    devices.push(device);
  };
  await one(storage);
  const lane = async (): Promise<void> => {
    while (devices.length < count) await one();
  };
  await Promise.all(Array.from({ length: ENROLLING }, lane));
  return { devices: devices.slice(0, count), record: (await storage.load())! };
}

/** Looks again and again whether the Proxy may serve. */
function watch(gateway: StormGateway): { stop(): { looks: number; unready: number } } {
  const seen = { looks: 0, unready: 0 };
  let on = true;
  void (async () => {
    while (on) {
      seen.looks += 1;
      if (!(await gateway.ready().catch(() => false)) && on) seen.unready += 1;
      await sleep(LOOK_MS);
    }
  })();
  return {
    stop() {
      on = false;
      return seen;
    },
  };
}

async function storm(devices: readonly Device[]): Promise<{ latencies: number[]; failures: Record<string, number> }> {
  const begunAt = performance.now();
  const latencies: number[] = [];
  const failures: Record<string, number> = {};
  const login = async (device: Device): Promise<void> => {
    try {
      await device.login(values.password ? CREDENTIALS : undefined);
      latencies.push(performance.now() - begunAt);
    } catch (error) {
      const { code = 'ERROR', message } = error as { code?: string; message: string };
      failures[code] = (failures[code] ?? 0) + 1;
      if (values.verbose)
        process.stderr.write(`${code} after ${Math.round(performance.now() - begunAt)} ms: ${message}\n`);
    }
  };
  await Promise.all(devices.map(login));
  return { latencies: latencies.sort((a, b) => a - b), failures };
}

async function measure(gateway: StormGateway): Promise<void> {
  await gateway.start();
  const { devices, record } = await enrolAll(gateway, Number(values.logins));
  const { proxyUrl, adminUrl, directoryUrl } = gateway.security.ready as Record<string, string>;
  const rate = Number(values.rate);
  const { kid, rs } = record;
  const workerData: Target = {
    origin: gateway.origin,
    proxyUrl: proxyUrl!,
    adminUrl: adminUrl!,
    directoryUrl: directoryUrl!,
    kid,
    rs,
    rate,
  };
  const strangers = rate > 0 ? new Worker(new URL('./strangers.ts', import.meta.url), { workerData }) : undefined;
  await sleep(BEFORE_MS);
  const watching = watch(gateway);
  const { latencies, failures } = await storm(devices);
  const { looks, unready } = watching.stop();
  const tries = await triesOf(strangers);
  await strangers?.terminate();
  const at = (part: number): string =>
    ((latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))] ?? 0) / 1_000).toFixed(1);
  const failed = Object.entries(failures).map(([code, count]) => `${code} ${count}`);
  process.stdout.write(
    [
      `machine: ${describeMachine()}`,
      `honest logins ${devices.length}${values.password ? ' with password' : ''}: in ${latencies.length}, not in: ${failed.join(', ') || 'none'}`,
      `p50 ${at(0.5)} s, p99 ${at(0.99)} s, last ${at(1)} s`,
      `the Proxy had no lease at ${unready} of ${looks} looks; leases lost: ${gateway.proxy.log.split('the lease is lost').length - 1}`,
      `strangers, tries by door at ${rate}/s each: ${JSON.stringify(tries)}`,
      '',
    ].join('\n'),
  );
  for (const device of devices) device.close();
  if (Object.keys(failures).length > 0) process.stderr.write(`${troublesOf(gateway)}\n`);
}

/** What the servers had to say of it. */
function troublesOf({ security, proxy }: StormGateway): string {
  const lines = [security, proxy].flatMap(({ log }) => log.split('\n')).filter((line) => /"level":[456]0/.test(line));
  return lines.slice(0, MAX_LINES).join('\n');
}

async function triesOf(strangers: Worker | undefined): Promise<unknown> {
  if (!strangers) return {};
  const told = new Promise((resolve) => strangers.once('message', resolve));
  strangers.postMessage('tries');
  return told;
}

const gateway = new StormGateway();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void gateway.stop().then(() => process.exit(1)));
try {
  await measure(gateway);
} finally {
  await gateway.stop();
}
process.exit(0);
