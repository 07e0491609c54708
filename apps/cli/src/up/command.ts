import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type GlobalOptions, globalsOf, profileFile } from '../program.ts';
import { basePortOf, checkPorts, Running, stopOnSignals } from './running.ts';
import { countKept, ensureOperator, freshLink, INTRANET_AUTHORITY, inviteProxy, seed } from './seed.ts';
import { welcome } from './welcome.ts';

/** How far the last port is from the base. */
const SPAN = 40;

/** Ports of the parts, counted from a base. */
function portsFrom(
  base: number,
): Readonly<
  Record<
    'proxy' | 'health' | 'metrics' | 'security' | 'admin' | 'directory' | 'securityMetrics' | 'intranet' | 'phone',
    number
  >
> {
  const proxy = { proxy: base, health: base + 1, metrics: base + 2 };
  const security = { security: base + 3, admin: base + 4, directory: base + 5, securityMetrics: base + 6 };
  return { ...proxy, ...security, intranet: base + 10, phone: base + SPAN };
}

/** `sallyport up` */
export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description(
      'run everything on this machine: Security with its database, a Proxy, a sample intranet and the phone page',
    )
    .option('--base-port <n>', 'first port', '8440')
    .action((options: { basePort: string }, command: Command) =>
      up(globalsOf(command), basePortOf(options.basePort, SPAN)),
    );
}

async function up(globals: GlobalOptions, basePort: number): Promise<void> {
  const data = resolve(globals.data);
  const ports = portsFrom(basePort);
  await checkPorts(Object.values(ports));
  mkdirSync(data, { recursive: true });
  const running = new Running(data);
  stopOnSignals(running, data);
  try {
    await startAll(running, { globals, data, ports });
  } catch (error) {
    await running.stop();
    throw error;
  }
}

async function startAll(
  running: Running,
  place: { globals: GlobalOptions; data: string; ports: ReturnType<typeof portsFrom> },
): Promise<void> {
  const { globals, data, ports } = place;
  const { ready: security } = await running.start('security', {
    SALLYPORT_DATA: data,
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${ports.security}`,
    SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${ports.admin}`,
    SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${ports.directory}`,
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${ports.securityMetrics}`,
  });
  const { ready: intranet } = await running.startLasting('intranet', {
    SALLYPORT_LISTEN: `127.0.0.1:${ports.intranet}`,
    SALLYPORT_SHARE: join(data, 'share'),
    SALLYPORT_JWKS_URL: `${security['proxyUrl']}/v1/jwks`,
    // Security keeps it: it has the next CA, too, while one is replaced.
    SALLYPORT_CA: join(data, 'security', 'ca.pem'),
    SALLYPORT_AUTHORITY: INTRANET_AUTHORITY,
  });
  const admin = await ensureOperator(profileFile(globals), security as { adminUrl: string; ca: string });
  const urls = {
    security: [security['proxyUrl']!],
    intranet: intranet['url']!,
    phone: `http://phone.localhost:${ports.phone}`,
    proxy: `ws://localhost:${ports.proxy}`,
  };
  const quickStart = await seed(admin, join(data, 'cli', 'quick-start.json'), urls);
  const known = existsSync(join(data, 'proxy', 'identity.json'));
  await running.startLasting('proxy', {
    SALLYPORT_DATA: join(data, 'proxy'),
    SALLYPORT_LISTEN: `127.0.0.1:${ports.proxy}`,
    SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${ports.health}`,
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${ports.metrics}`,
    SALLYPORT_DRAIN_MS: '1000',
    ...(known ? {} : { SALLYPORT_JOIN_TOKEN: await inviteProxy(admin, 'proxy-1') }),
  });
  await running.startLasting('phone', { SALLYPORT_LISTEN: `127.0.0.1:${ports.phone}` });
  const [link, kept] = [await freshLink(admin), await countKept(admin)];
  await admin.close();
  process.stdout.write(welcome({ link, kept, quickStart, phone: urls.phone }));
  if (process.send) process.send({ type: 'ready', link, ...quickStart });
}
