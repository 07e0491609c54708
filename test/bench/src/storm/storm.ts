import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type Device, type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import { ChildPostgres, type DatabaseAddress } from '@sallyport/store-sql';
import { request } from 'undici';
import { CONTEXT } from '../load/channel-lane.ts';
import { Operator } from '../operator.ts';
import { PORTS } from '../ports.ts';
import { describeMachine } from '../report.ts';
import type { SeenBeats } from './beats.ts';
import type { Target } from './strangers.ts';

const RATE = '1000000';
const CREDENTIALS = { user: 'ada', password: 'bench password' };
const ENROLLING = 16;
/** How long strangers are there before the honest ones come, ms. */
const BEFORE_MS = 3_000;
const LOOK_MS = 100;
const MAX_LINES = 20;

/** How honest devices sign in: by the proof of the enrolment that they have just made, or with the password. */
const ROUNDS = ['resume', 'password'] as const;
type Round = (typeof ROUNDS)[number];

const { values } = parseArgs({
  options: {
    logins: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '20' },
    rounds: { type: 'string', default: ROUNDS.join(',') },
    verbose: { type: 'boolean', default: false },
  },
});
const rounds = values.rounds.split(',').map((name): Round => {
  const round = ROUNDS.find((one) => one === name);
  if (round === undefined) throw new Error(`there is no round ${name}: ${ROUNDS.join(', ')}`);
  return round;
});

/** A gateway of its own processes, whose limits by address are off: each try counts as if it came from another network. */
class StormGateway {
  readonly folder = mkdtempSync('/tmp/sallyport-storm-');
  readonly origin = `ws://127.0.0.1:${PORTS.proxy}`;
  security!: AppProcess;
  proxy!: AppProcess;
  operator!: Operator;

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
    this.operator = await Operator.first(this.security.ready);
    await this.operator.call('PATCH', '/v1/realm', { loginNeedsPassword: true, enrolPage: 'http://localhost/enroll' });
    await this.operator.call('PUT', `/v1/apps/${CONTEXT.id}`, { groups: null });
    await this.operator.call('PUT', '/v1/groups/staff');
    await this.operator.call('PUT', `/v1/users/${CREDENTIALS.user}`, {
      password: CREDENTIALS.password,
      groups: ['staff'],
    });
    await this.operator.call('PUT', '/v1/sites/here', { origins: [this.origin] });
    const { token } = await this.operator.call('POST', '/v1/join-tokens', { name: 'p0', site: 'here' });
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

  /** Where the database of Security is. */
  get database(): DatabaseAddress {
    const data = join(this.folder, 'data');
    const passwordFile = join(data, 'security', 'database-password');
    return ChildPostgres.addressOf({ folder: join(data, 'database'), passwordFile });
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
    await this.operator?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Devices that are enrolled and not signed in. */
async function enrolAll(gateway: StormGateway, count: number): Promise<{ devices: Device[]; record: DeviceRecord }> {
  const devices: Device[] = [];
  const storage = memoryStorage();
  const one = async (kept = memoryStorage()): Promise<void> => {
    const device = await openDevice(kept, () => CONTEXT);
    const { link } = await gateway.operator.call('POST', '/v1/codes', { user: CREDENTIALS.user });
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

async function storm(
  devices: readonly Device[],
  round: Round,
): Promise<{ latencies: number[]; failures: Record<string, number> }> {
  const begunAt = performance.now();
  const latencies: number[] = [];
  const failures: Record<string, number> = {};
  const login = async (device: Device): Promise<void> => {
    try {
      await device.login(round === 'password' ? CREDENTIALS : undefined);
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

const NAMES: Readonly<Record<Round, string>> = {
  resume: 'by the proof of an enrolment',
  password: 'with the password',
};

/** One storm, with what there is to say of it; true when all got in and nothing was missed. */
async function measureRound(
  gateway: StormGateway,
  { devices, round, beats }: { devices: readonly Device[]; round: Round; beats: Worker },
): Promise<boolean> {
  await ask<SeenBeats>(beats);
  const lostBefore = lostLeases(gateway);
  const watching = watch(gateway);
  const { latencies, failures } = await storm(devices, round);
  const { looks, unready } = watching.stop();
  const { beats: beaten, longestMs, missed } = await ask<SeenBeats>(beats);
  const lost = lostLeases(gateway) - lostBefore;
  const at = (part: number): string =>
    ((latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))] ?? 0) / 1_000).toFixed(1);
  const failed = Object.entries(failures).map(([code, count]) => `${code} ${count}`);
  process.stdout.write(
    [
      `${devices.length} honest sign-ins at once ${NAMES[round]}: in ${latencies.length}, not in: ${failed.join(', ') || 'none'}`,
      `  p50 ${at(0.5)} s, p99 ${at(0.99)} s, last ${at(1)} s`,
      `  beats ${beaten}, missed ${missed}, longest between two ${(longestMs / 1_000).toFixed(1)} s; leases lost ${lost}, no lease at ${unready} of ${looks} looks`,
      '',
    ].join('\n'),
  );
  return failed.length === 0 && lost === 0 && missed === 0;
}

function lostLeases({ proxy }: StormGateway): number {
  return proxy.log.split('the lease is lost').length - 1;
}

async function measure(gateway: StormGateway): Promise<boolean> {
  const begunAt = performance.now();
  process.stdout.write(`machine: ${describeMachine()}\n`);
  await gateway.start();
  const { devices, record } = await enrolAll(gateway, Number(values.logins));
  process.stdout.write(`${devices.length} devices are enrolled after ${seconds(begunAt)} s\n`);
  const { proxyUrl, adminUrl, directoryUrl } = gateway.security.ready as Record<string, string>;
  const rate = Number(values.rate);
  const { kid, rs } = record;
  const where = { origin: gateway.origin, proxyUrl: proxyUrl!, adminUrl: adminUrl!, directoryUrl: directoryUrl! };
  const workerData: Target = { ...where, kid, rs, rate };
  const strangers = rate > 0 ? new Worker(new URL('./strangers.ts', import.meta.url), { workerData }) : undefined;
  const beats = new Worker(new URL('./beats.ts', import.meta.url), { workerData: gateway.database });
  let isWell = true;
  for (const round of rounds) {
    await sleep(BEFORE_MS);
    isWell = (await measureRound(gateway, { devices, round, beats })) && isWell;
  }
  const tries = strangers ? await ask(strangers) : {};
  await strangers?.terminate();
  await beats.terminate();
  process.stdout.write(`strangers, tries by door at ${rate}/s each: ${JSON.stringify(tries)}\n`);
  process.stdout.write(
    `${isWell ? 'all got in, no beat was missed' : 'NOT ALL IS WELL'}; ${seconds(begunAt)} s in all\n`,
  );
  for (const device of devices) device.close();
  if (!isWell) process.stderr.write(`${troublesOf(gateway)}\n`);
  return isWell;
}

function seconds(begunAt: number): string {
  return ((performance.now() - begunAt) / 1_000).toFixed(0);
}

/** Asks a thread for what it has counted. */
async function ask<T>(worker: Worker): Promise<T> {
  const told = new Promise<T>((resolve) => worker.once('message', resolve));
  worker.postMessage('tell');
  return told;
}

/** What the servers had to say of it. */
function troublesOf({ security, proxy }: StormGateway): string {
  const lines = [security, proxy].flatMap(({ log }) => log.split('\n')).filter((line) => /"level":[456]0/.test(line));
  return lines.slice(0, MAX_LINES).join('\n');
}

const gateway = new StormGateway();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void gateway.stop().then(() => process.exit(1)));
let isWell = false;
try {
  isWell = await measure(gateway);
} finally {
  await gateway.stop();
}
process.exit(isWell ? 0 : 1);
