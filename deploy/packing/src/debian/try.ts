import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Machine, makeDebian } from '../trial/machine.ts';
import { AUTHORITY, TrialOperator } from '../trial/operator.ts';

const HERE = '127.0.0.1';
const PORTS = { devices: 8_440, admin: 8_444, backend: 8_080 };
const PAGE = 'a page of the intranet\n';
const PACKAGES = '/packages';
const SETTINGS = '/etc/sallyport';

/** Where a trial finds packages, and what it tells. */
export interface PackageTrial {
  readonly packages: string;
  readonly say: (text: string) => void;
}

/**
 * Boots an empty Debian (systemd as its init) beside this machine, on its network, installs the packages there, starts the services by
 * their units and lets a device read a page through them. @throws Error when something does not come up
 */
export async function tryPackages({ packages, say }: PackageTrial): Promise<void> {
  const root = mkdtempSync('/var/tmp/sallyport-debian-');
  let machine: Machine | undefined;
  try {
    makeDebian(root);
    mkdirSync(join(root, PACKAGES));
    for (const name of readdirSync(packages).filter((file) => file.endsWith('.deb')))
      cpSync(join(packages, name), join(root, PACKAGES, name));
    machine = await Machine.boot({ root });
    say('an empty Debian is up, with systemd as its init');
    const began = performance.now();
    const told = (text: string): void =>
      say(`${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${text}`);
    await install(machine);
    told('the packages are installed');
    await machine.run('systemctl', 'enable', '--now', 'sallyport-security');
    await machine.serves('sallyport-security', 'https://127.0.0.1:8443/readyz');
    told('sallyport-security is up');
    const operator = await firstOperator(machine, root);
    const backend = await startBackend();
    const origins = [`ws://${HERE}:${PORTS.devices}`];
    const url = `http://${HERE}:${PORTS.backend}`;
    await operator.setUp({ site: 'here', origins, backend: { url, networks: ['127.0.0.0/8'] } });
    const token = await operator.invite('proxy-1', 'here');
    writeFileSync(
      join(root, SETTINGS, 'proxy.env'),
      `SALLYPORT_DATA=/var/lib/sallyport-proxy\nSALLYPORT_JOIN_TOKEN=${token}\n`,
    );
    await machine.run('systemctl', 'enable', '--now', 'sallyport-proxy');
    await machine.serves('sallyport-proxy', 'http://127.0.0.1:8441/readyz');
    told('sallyport-proxy is up');
    const device = await operator.device('ada');
    const text = await (await device.fetch(`http://${AUTHORITY}/`)).text();
    device.close();
    if (text !== PAGE) throw new Error(`the page was ${text}`);
    told('a device has enrolled, signed in and read a page');
    await operator.close();
    backend.closeAllConnections();
    backend.close();
    for (const unit of ['sallyport-security', 'sallyport-proxy']) told(`${unit}: ${await machine.about(unit)}`);
  } finally {
    await machine?.end();
    rmSync(root, { recursive: true, force: true });
  }
}

async function install(machine: Machine): Promise<void> {
  const names = (await machine.run('sh', '-c', `ls ${PACKAGES}/*.deb`)).trim().split('\n');
  const wanted = names.filter((name) => !name.includes('sallyport-cli'));
  await machine.run('apt-get', 'update', '-qq');
  await machine.run('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '-y', '-qq', ...wanted);
  for (const unit of ['sallyport-security', 'sallyport-proxy']) machine.limitFiles(unit);
  await machine.run('systemctl', 'daemon-reload');
}

async function firstOperator(machine: Machine, root: string): Promise<TrialOperator> {
  const printed = await machine.run(
    ...[
      'systemd-run',
      '--quiet',
      '--pipe',
      '--wait',
      '--uid=sallyport',
      '-p',
      `EnvironmentFile=${SETTINGS}/security.env`,
    ],
    ...['sallyport', 'operator', 'break-glass', '--name', 'olga', '--reason', 'first operator'],
  );
  const [, token = ''] = /^(\S{20,})$/m.exec(printed) ?? [];
  const ca = readFileSync(join(root, 'var/lib/sallyport/security/ca.pem'), 'utf8');
  return TrialOperator.login({ urls: [`https://${HERE}:${PORTS.admin}`], ca }, token);
}

async function startBackend() {
  const backend = createServer((_request, response) => response.end(PAGE));
  await new Promise<void>((resolve) => backend.listen(PORTS.backend, HERE, resolve));
  return backend;
}
