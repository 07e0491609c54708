import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIsolated, runIsolated } from '@sallyport/support';
import { areBuilt, buildImages } from '../images/build.ts';
import { ROOT, readSource } from '../source.ts';
import { FARMS, lintFarm, renderedFile, renderFarm } from './chart.ts';
import { clearCluster } from './cluster.ts';
import { runInCluster, STEP_NAMES, type StepName } from './run.ts';
import { judgeBySchemas } from './schemas.ts';

const HELP = `npm run kubernetes -- [COMMAND] [--folder FOLDER]

  run [STEP…]     (without a command, too) brings up a cluster of two nodes on this machine, installs the chart, lets devices use the
                  farm, takes the steps (${STEP_NAMES.join(', ')}; all unless named) and prints a tally. Builds images that are
                  missing or of another commit (--as-built: takes those that lie in dist/images). With --before PROJECT the farm
                  begins with another version: a folder with it, and its images in dist/images. Root, ten to twenty minutes, and the
                  Debian packages containerd, runc, etcd-server, containernetworking-plugins, conntrack, ipset, iptables, ethtool,
                  mmdebstrap, postgresql and redis-server
  build [judge]   builds Kubernetes and what belongs to it from the Go module proxy, once: Go 1.26 and gcc, half an hour on two free
                  cores; with "judge" only what that needs
  render          writes the manifests of deploy/kubernetes/rendered anew
  judge           lints the chart, looks whether the manifests are those of the chart, and lets the schemas of the newest three
                  versions of Kubernetes (a package of PyPI) and a real API server judge each of them (root, and the Debian packages
                  etcd-server and python3-venv)
`;

const CLUSTER = join(ROOT, 'deploy', 'kubernetes', 'cluster');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: process.env['K8S'] ?? '/var/tmp/sallyport-kubernetes' },
    before: { type: 'string' },
    'as-built': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const folder = resolve(values.folder);
const helm = join(folder, 'bin', 'helm');
const [name = 'run', ...args] = positionals;

function say(text: string): void {
  process.stdout.write(`kubernetes: ${text}\n`);
}

function runScript(script: string, ...more: string[]): void {
  execFileSync('bash', [join(CLUSTER, script), ...more], { stdio: 'inherit', env: { ...process.env, K8S: folder } });
}

function render(): void {
  for (const farm of FARMS) writeFileSync(renderedFile(farm), renderFarm(helm, farm));
  say('the manifests are written');
}

function judge(): void {
  for (const farm of FARMS) {
    lintFarm(helm, farm);
    if (renderFarm(helm, farm) !== readFileSync(renderedFile(farm), 'utf8'))
      throw new Error(`rendered/${farm}.yaml is not what the chart gives: npm run kubernetes -- render`);
  }
  say('the chart is well formed, and the manifests are its own');
  const { objects, versions } = judgeBySchemas(folder, FARMS);
  say(`${objects} objects are valid by the schemas of Kubernetes ${versions.join(', ')}`);
  runScript('judge.sh', ...FARMS.map(renderedFile));
}

async function run(): Promise<void> {
  const images = join(ROOT, 'dist', 'images');
  if (!isIsolated()) {
    if (!existsSync(join(folder, 'bin', 'prometheus-adapter')))
      throw new Error(`a part of Kubernetes is not in ${folder}: npm run kubernetes -- build`);
    if (!(values['as-built'] || areBuilt(images))) buildImages(images, say);
    clearCluster(folder);
    process.once('exit', () => clearCluster(folder));
    return runIsolated();
  }
  // Sockets and namespaces of the nodes are no business of this machine's.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  const before = values.before === undefined ? undefined : resolve(values.before);
  const steps = (args.length > 0 ? args : STEP_NAMES) as readonly StepName[];
  const held = await runInCluster({ built: folder, images, version: readSource().version, before, steps, say });
  process.exit(held ? 0 : 1);
}

const commands: Readonly<Record<string, () => void | Promise<void>>> = {
  run,
  build: () => runScript('build.sh', ...args),
  render,
  judge,
};
const command = values.help ? undefined : commands[name];
if (command) await command();
else process.stdout.write(HELP);
