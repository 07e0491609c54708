import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../source.ts';
import { FARMS, lintFarm, renderedFile, renderFarm } from './chart.ts';

const HELP = `npm run kubernetes -- COMMAND [--folder FOLDER]

  build   builds the API server of Kubernetes and Helm from the Go module proxy, once: Go 1.26, about ten minutes on two free cores
  render  writes the manifests of deploy/kubernetes/rendered anew
  judge   lints the chart, looks whether the manifests are those of the chart, and lets a real API server judge each of them
          (root, and the Debian package etcd-server)
`;

const CLUSTER = join(ROOT, 'deploy', 'kubernetes', 'cluster');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { folder: { type: 'string', default: process.env['K8S'] ?? '/var/tmp/sallyport-kubernetes' } },
});
const folder = resolve(values.folder);
const helm = join(folder, 'bin', 'helm');

function say(text: string): void {
  process.stdout.write(`kubernetes: ${text}\n`);
}

function runScript(name: string, ...args: string[]): void {
  execFileSync('bash', [join(CLUSTER, name), ...args], { stdio: 'inherit', env: { ...process.env, K8S: folder } });
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
  runScript('judge.sh', ...FARMS.map(renderedFile));
}

const commands: Readonly<Record<string, () => void>> = { build: () => runScript('build.sh'), render, judge };
const command = commands[positionals[0] ?? ''];
if (command) command();
else process.stdout.write(HELP);
