import { execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freeBasePort } from '@sallyport/support';

/** This project. */
const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** What the empty machine has beside Node and npm. */
const PACKAGES = 'git,ca-certificates';
/** Where the phone page is, counted from the base port. */
const PHONE = 40;
const WAIT_MS = 30 * 60_000;
const PAUSE_MS = 200;
/** How the machine reaches its package registry is part of the machine. */
const KEPT_ENVIRONMENT = /^(?:npm_config_|NODE_EXTRA_CA_CERTS$|(?:https?|no)_proxy$)/i;

/** Something that was done, and when it was done, in seconds from the start. */
export interface Step {
  readonly what: string;
  readonly seconds: number;
}

/**
 * Installs this project, as it is committed, on a machine with nothing but Debian's smallest root, git, Node and npm, and
 * times how long it takes until the phone page answers. Making that machine is not counted. Needs root and mmdebstrap.
 */
export async function timeInstall(say: (text: string) => void): Promise<readonly Step[]> {
  const machine = mkdtempSync('/var/tmp/sallyport-machine-');
  try {
    say('making a machine: the smallest Debian');
    makeMachine(machine);
    return await installOn(machine, await freeBasePort(), say);
  } finally {
    rmSync(machine, { recursive: true, force: true });
  }
}

function makeMachine(root: string): void {
  const options = ['--variant=minbase', `--include=${PACKAGES}`, '--quiet'];
  execFileSync('mmdebstrap', [...options, 'bookworm', root], { stdio: ['ignore', 'ignore', 'inherit'] });
  cpSync(realpathSync(pathOf('node')), join(root, 'usr/bin/node'));
  const npm = dirname(dirname(realpathSync(pathOf('npm'))));
  cpSync(npm, join(root, 'usr/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/bin/npm'));
  for (const file of filesOfNetwork()) {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    cpSync(realpathSync(file), join(root, file), { force: true });
  }
  execFileSync('git', ['clone', '--quiet', '--bare', '--no-hardlinks', PROJECT, join(root, 'srv/sallyport.git')]);
}

/** The Node of the machine, not the one that `npm run` puts before it. */
function pathOf(program: string): string {
  const path = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  const command = ['-c', `command -v ${program}`];
  return execFileSync('/bin/sh', command, { encoding: 'utf8', env: { PATH: path.join(':') } }).trim();
}

function filesOfNetwork(): string[] {
  const config = (name: string): string => execFileSync('npm', ['config', 'get', name], { encoding: 'utf8' }).trim();
  const files = ['/etc/resolv.conf', '/etc/hosts', config('globalconfig'), config('userconfig'), config('cafile')];
  const certificates = process.env['NODE_EXTRA_CA_CERTS'];
  return [...files, ...(certificates === undefined ? [] : [certificates])].filter(isFile);
}

function isFile(path: string): boolean {
  try {
    return path.startsWith('/') && realpathSync(path) !== '';
  } catch {
    return false;
  }
}

async function installOn(machine: string, basePort: number, say: (text: string) => void): Promise<readonly Step[]> {
  const commands = [
    'git clone --quiet /srv/sallyport.git /root/sallyport',
    'echo cloned',
    'cd /root/sallyport',
    `npm start -- --base-port ${basePort}`,
  ];
  const kept = Object.entries(process.env).filter(([name]) => KEPT_ENVIRONMENT.test(name));
  const env = { ...Object.fromEntries(kept), HOME: '/root', PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LANG: 'C.UTF-8' };
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  const steps: Step[] = [];
  const running = runOn(machine, commands.join(' && '), { env });
  running.heard((line) => {
    if (!/^(?:cloned|setup: .*|Sallyport is up.*)$/.test(line)) return;
    steps.push({ what: line, seconds: seconds() });
    say(line);
  });
  try {
    await running.until(() => answers(basePort + PHONE));
    return [...steps, { what: 'the phone page answers', seconds: seconds() }];
  } finally {
    await running.end();
  }
}

interface Machine {
  heard(line: (text: string) => void): void;
  until(so: () => Promise<boolean>): Promise<void>;
  end(): Promise<void>;
}

/** Runs a shell on the machine, with processes and mounts of its own that end with it. */
function runOn(machine: string, command: string, options: SpawnOptions): Machine {
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child=SIGKILL'];
  const enter = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" sh -c "$2"`;
  const child = spawn('unshare', [...namespaces, 'sh', '-c', enter, 'sh', machine, command], {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let output = '';
  let hear: (line: string) => void = () => undefined;
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (data) => {
      const lines = String(data).split('\n');
      output += String(data);
      for (const line of lines) hear(line.trim());
    });
  return {
    heard: (line) => {
      hear = line;
    },
    until: async (so) => {
      for (const deadline = performance.now() + WAIT_MS; performance.now() < deadline; await sleep(PAUSE_MS)) {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output.slice(-3_000)}`);
        if (await so()) return;
      }
      throw new Error(`it did not come up:\n${output.slice(-3_000)}`);
    },
    end: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, headers: { host: `phone.localhost:${port}` } }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.once('error', () => resolve(false));
    asked.end();
  });
}
