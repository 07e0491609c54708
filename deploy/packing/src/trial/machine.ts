import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '@sallyport/support';

/** More open files than this machine allows are refused without CAP_SYS_RESOURCE, and with them the service. */
const OPEN_FILES = 20_000;
/** Characters that a command of a machine prints at most. */
const MAX_PRINTED = 64 * 1024 * 1024;
const execute = promisify(execFile);
/** A control group of its own in every hierarchy, so that no init takes the services of another for its own. */
const IN_GROUP = `name=$1; shift
for place in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
  [ -e "$place" ] || continue
  group=$(dirname "$place")/$name
  mkdir -p "$group" && echo $$ > "$group/cgroup.procs" || true
done 2>/dev/null
exec "$@"`;

/** A bare Debian that can be booted. */
export function makeDebian(root: string): void {
  const include = '--include=systemd,systemd-sysv,dbus,ca-certificates';
  execFileSync('mmdebstrap', ['--variant=minbase', include, '--quiet', 'bookworm', root], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // Names are found by what this machine asks.
  writeFileSync(join(root, 'etc/resolv.conf'), readFileSync('/etc/resolv.conf'));
  writeFileSync(join(root, 'etc/machine-id'), '');
}

/** Where a machine's files are, and in which network it is. */
export interface MachinePlace {
  readonly root: string;
  /** A host of a `Network`; absent: the network of this machine. */
  readonly host?: string;
}

/** A Debian that runs beside this machine, in a container of systemd-nspawn. */
export class Machine {
  readonly root: string;
  readonly #nspawn: ChildProcess;
  readonly #init: string;
  readonly #inside: readonly string[];
  readonly #group: string;

  private constructor(place: MachinePlace, nspawn: ChildProcess, { init, group }: { init: string; group: string }) {
    this.root = place.root;
    this.#group = group;
    this.#nspawn = nspawn;
    this.#init = init;
    this.#inside = place.host === undefined ? [] : ['--net'];
  }

  static async boot(place: MachinePlace): Promise<Machine> {
    const { root, host } = place;
    const options = ['--quiet', '--register=no', '--keep-unit', '--boot', `--directory=${root}`, '--console=pipe'];
    const network = host === undefined ? [] : [`--network-namespace-path=/run/netns/${host}`, `--hostname=${host}`];
    const group = `sallyport-${randomUUID()}`;
    const command = ['-c', IN_GROUP, 'sh', group, 'systemd-nspawn', ...options, ...network];
    const nspawn = spawn('sh', command, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [nspawn.stdout!, nspawn.stderr!])
      stream.on('data', (data) => {
        output += String(data);
      });
    let machine: Machine | undefined;
    const isUp = async (): Promise<boolean> => {
      if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${output}`);
      const [init] = readFileSync(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`, 'utf8').trim().split(' ');
      if (!init) return false;
      machine = new Machine(place, nspawn, { init, group });
      return /^(?:running|degraded)$/m.test(await machine.try('systemctl', 'is-system-running'));
    };
    await waitFor(isUp, 'a Debian that has booted', () => output);
    return machine!;
  }

  /** Runs a command there. @throws Error with its words */
  async run(...command: readonly string[]): Promise<string> {
    const spaces = ['--mount', '--uts', '--ipc', '--pid', '--cgroup', ...this.#inside, '--root', '--wd=/'];
    const args = ['--target', this.#init, ...spaces, '--', ...command];
    return (await execute('nsenter', args, { encoding: 'utf8', maxBuffer: MAX_PRINTED })).stdout;
  }

  /** Runs a command that may fail. */
  async try(...command: readonly string[]): Promise<string> {
    try {
      return await this.run(...command);
    } catch (error) {
      return String((error as { stdout?: string }).stdout ?? error);
    }
  }

  /** Lets a service have as many open files as this machine allows. */
  limitFiles(unit: string): void {
    const folder = join(this.root, 'etc/systemd/system', `${unit}.service.d`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'limits.conf'), `[Service]\nLimitNOFILE=${OPEN_FILES}\n`);
  }

  /** Waits until a service says that it is ready. */
  serves(unit: string, url: string): Promise<void> {
    const ask = `process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0; fetch(process.argv[1]).then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))`;
    const node = '/usr/lib/sallyport/node/bin/node';
    const so = async (): Promise<boolean> =>
      (await this.try('sh', '-c', `${node} --no-warnings -e '${ask}' ${url} && echo yes`)).trim() === 'yes';
    return waitFor(so, unit, () => `see journalctl -u ${unit} in ${this.root}`);
  }

  /** What systemd says of a service. */
  async about(unit: string): Promise<string> {
    const shown = await this.run('systemctl', 'show', unit, '-p', 'ActiveState', '-p', 'NRestarts', '-p', 'User');
    const level = /Overall exposure level for \S+: (\S+ \S+)/.exec(
      await this.try('systemd-analyze', 'security', '--no-pager', unit),
    );
    return `${shown.trim().split('\n').join(' ')}, exposure ${level?.[1] ?? 'unknown'}`;
  }

  /** Ends it as a power cut does. */
  async end(): Promise<void> {
    if (this.#nspawn.exitCode !== null || this.#nspawn.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#nspawn.once('exit', resolve));
    // The first process of its namespace takes all others with it.
    process.kill(Number(this.#init), 'SIGKILL');
    this.#nspawn.kill('SIGKILL');
    await ended;
    const groups = ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${this.#group}*`];
    await execute('find', [...groups, '-exec', 'rmdir', '{}', '+']).catch(() => undefined);
  }
}
