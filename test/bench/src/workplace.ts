import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { AppContext } from '@sallyport/channel';
import { type Device, type DeviceStorage, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import { Agent, request } from 'undici';
import type { Workplace } from './workloads.ts';

const PASSWORD = 'bench password';
const PORTS = { proxy: 19_440, health: 19_441, security: 19_443, admin: 19_444 };
const CONTEXT: AppContext = {
  id: 'bench',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'bench',
  posture: {},
  sdk: 'bench',
};

/**
 * User and system time of a process and of its children that have ended, in microseconds: fields 14 to 17 of proc(5), 100
 * ticks a second on every Linux that Node runs on.
 */
function cpuMicros(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10_000;
  } catch {
    return 0;
  }
}

/** Resident memory of a process, MiB. */
export function rssMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** A process and all below it. */
function family(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return (
          readFileSync(`/proc/${name}/stat`, 'utf8')
            .replace(/^.*\) /, '')
            .split(' ')[1] === String(pid)
        );
      } catch {
        return false;
      }
    });
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

async function startBackend(): Promise<{ url: string; stop(): void }> {
  const small = Buffer.alloc(1024, 'x');
  const large = Buffer.alloc(65_536, 'y');
  const server = createServer((incoming, response) => {
    const [, kind, bytes] = (incoming.url ?? '').split('/');
    if (kind === 'small') return void response.end(small);
    if (kind === 'upload') {
      incoming.resume();
      return void incoming.on('end', () => response.end('ok'));
    }
    let left = Number(bytes);
    response.writeHead(200, { 'content-length': left });
    const more = (): void => {
      while (left > 0) {
        const part = large.subarray(0, Math.min(left, large.length));
        left -= part.length;
        if (!response.write(part)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop: () => void server.close() };
}

/** Starts Security with its own database, a Proxy and a backend, and seeds what the workloads need. */
export async function startWorkplace(): Promise<Workplace> {
  const folder = mkdtempSync('/tmp/sallyport-bench-');
  // As root the database runs as a user of its own, who must get through here.
  chmodSync(folder, 0o755);
  const backend = await startBackend();
  const security = await AppProcess.start('security', {
    environment: {
      SALLYPORT_DATA: join(folder, 'data'),
      SALLYPORT_PROXY_LISTEN: `127.0.0.1:${PORTS.security}`,
      SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${PORTS.admin}`,
      SALLYPORT_ADDRESS_BURST: '1000000',
      SALLYPORT_ADDRESS_PER_MINUTE: '1000000',
    },
  });
  const dispatcher = new Agent({ connect: { ca: security.ready['ca']! } });
  let token = '';
  const call = async (
    method: 'PUT' | 'POST' | 'PATCH' | 'GET',
    path: string,
    body?: object,
  ): Promise<Record<string, unknown>> => {
    const headers = {
      'sallyport-reason': 'bench',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    };
    const answer = await request(`${security.ready['adminUrl']}${path}`, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      dispatcher,
    });
    return (await answer.body.json()) as Record<string, unknown>;
  };
  token = (await call('POST', '/v1/operators/login', { token: security.ready['oneTimeToken'], name: 'bench' }))[
    'token'
  ] as string;
  await call('PATCH', '/v1/realm', { openBurst: 1_000_000, openRate: 1_000_000, enrolPage: 'http://localhost/enroll' });
  await call('PUT', '/v1/groups/staff');
  await call('PUT', '/v1/resources/wiki', {
    kind: 'http',
    authority: 'wiki.corp',
    backend: { url: backend.url, networks: ['127.0.0.0/8'] },
  });
  await call('PUT', '/v1/policies/wiki', { groups: ['staff'], resources: ['wiki'], context: {} });
  await call('PUT', '/v1/users/ada', { password: PASSWORD, groups: ['staff'] });
  await call('PUT', '/v1/sites/here', { origins: [`ws://127.0.0.1:${PORTS.proxy}`] });
  const { token: joinToken } = await call('POST', '/v1/join-tokens', { name: 'p1', site: 'here' });
  const proxy = await AppProcess.start('proxy', {
    environment: {
      SALLYPORT_DATA: join(folder, 'p1'),
      SALLYPORT_LISTEN: `127.0.0.1:${PORTS.proxy}`,
      SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${PORTS.health}`,
      SALLYPORT_JOIN_TOKEN: joinToken as string,
    },
  });
  const credentials = { user: 'ada', password: PASSWORD };
  const enrolled = async (storage: DeviceStorage = memoryStorage()): Promise<Device> => {
    const device = await openDevice(storage, () => CONTEXT);
    const { link } = await call('POST', '/v1/codes', { user: 'ada' });
    await device.enroll(link as string, credentials);
    return device;
  };
  return {
    credentials,
    enrolled,
    async signedIn() {
      const device = await enrolled();
      await device.login(credentials);
      return device;
    },
    needPassword: async (needed) => void (await call('PATCH', '/v1/realm', { loginNeedsPassword: needed })),
    proxyPid: proxy.pid,
    securityPid: security.pid,
    cpuMicros: () => [proxy.pid, ...family(security.pid)].reduce((sum, pid) => sum + cpuMicros(pid), 0),
    async stop() {
      for (const server of [proxy, security]) await server.end();
      backend.stop();
      await dispatcher.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
