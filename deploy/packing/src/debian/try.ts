import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { waitFor } from '@sallyport/support';
import { AUTHORITY, TrialOperator } from '../trial/operator.ts';

const HERE = '127.0.0.1';
const PORTS = { devices: 8_440, admin: 8_444, backend: 8_080 };
const PAGE = 'a page of the intranet\n';
const PACKAGES = '/packages';
const SETTINGS = '/etc/sallyport';
/** More open files than this machine allows are refused without CAP_SYS_RESOURCE, and with them the service. */
const OPEN_FILES = 20_000;

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
    makeDebian(root, packages);
    machine = await Machine.boot(root);
    say('an empty Debian is up, with systemd as its init');
    const began = performance.now();
    const told = (text: string): void =>
      say(`${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${text}`);
    install(machine);
    told('the packages are installed');
    machine.run('systemctl', 'enable', '--now', 'sallyport-security');
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
    machine.run('systemctl', 'enable', '--now', 'sallyport-proxy');
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
    for (const unit of ['sallyport-security', 'sallyport-proxy']) told(`${unit}: ${machine.about(unit)}`);
  } finally {
    await machine?.end();
    rmSync(root, { recursive: true, force: true });
  }
}

/** A bare Debian that can be booted, with our packages in a folder. */
function makeDebian(root: string, packages: string): void {
  const include = '--include=systemd,systemd-sysv,dbus,ca-certificates';
  execFileSync('mmdebstrap', ['--variant=minbase', include, '--quiet', 'bookworm', root], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  mkdirSync(join(root, PACKAGES));
  for (const name of readdirSync(packages).filter((file) => file.endsWith('.deb')))
    cpSync(join(packages, name), join(root, PACKAGES, name));
  // Names are found by what this machine asks.
  writeFileSync(join(root, 'etc/resolv.conf'), readFileSync('/etc/resolv.conf'));
  writeFileSync(join(root, 'etc/machine-id'), '');
}

function install(machine: Machine): void {
  const names = machine.run('sh', '-c', `ls ${PACKAGES}/*.deb`).trim().split('\n');
  const wanted = names.filter((name) => !name.includes('sallyport-cli'));
  machine.run('apt-get', 'update', '-qq');
  machine.run('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '-y', '-qq', ...wanted);
  for (const unit of ['sallyport-security', 'sallyport-proxy']) {
    const folder = `/etc/systemd/system/${unit}.service.d`;
    machine.run('mkdir', '-p', folder);
    machine.run('sh', '-c', `printf '[Service]\\nLimitNOFILE=${OPEN_FILES}\\n' > ${folder}/limits.conf`);
  }
  machine.run('systemctl', 'daemon-reload');
}

async function firstOperator(machine: Machine, root: string): Promise<TrialOperator> {
  const printed = machine.run(
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

/** A Debian that runs beside this machine, in a container of systemd-nspawn. */
class Machine {
  readonly #nspawn: ChildProcess;
  readonly #init: string;

  private constructor(nspawn: ChildProcess, init: string) {
    this.#nspawn = nspawn;
    this.#init = init;
  }

  static async boot(root: string): Promise<Machine> {
    const options = ['--quiet', '--register=no', '--keep-unit', '--boot', `--directory=${root}`, '--console=pipe'];
    const nspawn = spawn('systemd-nspawn', options, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [nspawn.stdout!, nspawn.stderr!])
      stream.on('data', (data) => {
        output += String(data);
      });
    let machine: Machine | undefined;
    const isUp = (): boolean => {
      if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${output}`);
      const [init] = readFileSync(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`, 'utf8').trim().split(' ');
      if (!init) return false;
      machine = new Machine(nspawn, init);
      return /^(?:running|degraded)$/m.test(machine.try('systemctl', 'is-system-running'));
    };
    await waitFor(isUp, 'a Debian that has booted', () => output);
    return machine!;
  }

  /** Runs a command there. @throws Error with its words */
  run(...command: readonly string[]): string {
    const inside = ['--target', this.#init, '--mount', '--uts', '--ipc', '--pid', '--cgroup', '--root', '--wd=/'];
    return execFileSync('nsenter', [...inside, '--', ...command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Runs a command that may fail. */
  try(...command: readonly string[]): string {
    try {
      return this.run(...command);
    } catch (error) {
      return String((error as { stdout?: string }).stdout ?? error);
    }
  }

  /** Waits until a service says that it is ready. */
  serves(unit: string, url: string): Promise<void> {
    const ask = `process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0; fetch(process.argv[1]).then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))`;
    const node = '/usr/lib/sallyport/node/bin/node';
    const so = (): boolean =>
      this.try('sh', '-c', `${node} --no-warnings -e '${ask}' ${url} && echo yes`).trim() === 'yes';
    return waitFor(so, unit, () => this.try('journalctl', '-n', '20', '--no-pager', '-u', unit));
  }

  /** What systemd says of a service. */
  about(unit: string): string {
    const shown = this.run('systemctl', 'show', unit, '-p', 'ActiveState', '-p', 'NRestarts', '-p', 'User');
    const level = /Overall exposure level for \S+: (\S+ \S+)/.exec(
      this.try('systemd-analyze', 'security', '--no-pager', unit),
    );
    return `${shown.trim().split('\n').join(' ')}, exposure ${level?.[1] ?? 'unknown'}`;
  }

  /** Ends it. */
  async end(): Promise<void> {
    if (this.#nspawn.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#nspawn.once('exit', resolve));
    this.#nspawn.kill('SIGKILL');
    await ended;
  }
}
