import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesIn } from '../payload.ts';
import { ROOT } from '../source.ts';

const FOLDER = join(ROOT, 'deploy', 'kubernetes');
/** The version of Kubernetes that manifests are made for, and what further APIs its cluster serves. */
const KUBERNETES = '1.34.4';
const CLUSTER = ['--kube-version', KUBERNETES, '--api-versions', 'custom.metrics.k8s.io/v1beta1'];

/** Farms that are rendered from the chart, and the values each is made with. */
const VALUES = {
  'one-node': ['one-node'],
  'high-availability': ['high-availability'],
  branch: ['branch'],
  'managed-database': ['one-node', 'managed-database'],
} as const;

/** One of them. */
export type Farm = keyof typeof VALUES;
/** All of them. */
export const FARMS = Object.keys(VALUES) as readonly Farm[];

/** File with the manifests of a farm. */
export function renderedFile(farm: Farm): string {
  return join(FOLDER, 'rendered', `${farm}.yaml`);
}

/** What judges values makes nothing of them. */
const SCHEMA = 'values.schema.json';

/** First line of manifests: what they were made from, so that a chart that was changed without them is noticed. */
export function markOf(farm: Farm): string {
  const chart = join(FOLDER, 'chart');
  const hash = createHash('sha256');
  const sources = filesIn(chart).filter((name) => name !== SCHEMA);
  for (const file of [...sources.map((name) => join(chart, name)), ...valuesFiles(farm)])
    hash.update(readFileSync(file)).update('\0');
  return `# Made from the chart and values/${VALUES[farm].join('.yaml, ')}.yaml by "npm run kubernetes -- render": ${hash.digest('hex').slice(0, 32)}\n`;
}

/** The manifests of a farm, by Helm. @throws Error with its words when values and chart do not fit */
export function renderFarm(helm: string, farm: Farm): string {
  const args = ['template', 'farm', join(FOLDER, 'chart'), '--namespace', 'sallyport', ...CLUSTER];
  return markOf(farm) + execFileSync(helm, [...args, ...valuesOptions(farm)], { encoding: 'utf8' });
}

/** Lets Helm judge the chart with the values of a farm. @throws Error when it finds something wrong */
export function lintFarm(helm: string, farm: Farm): void {
  const args = ['lint', '--strict', join(FOLDER, 'chart'), '--kube-version', KUBERNETES, ...valuesOptions(farm)];
  execFileSync(helm, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The files of values that a farm is rendered with, in the order of Helm. */
export function valuesFiles(farm: Farm): string[] {
  return VALUES[farm].map((name) => join(FOLDER, 'values', `${name}.yaml`));
}

function valuesOptions(farm: Farm): string[] {
  return valuesFiles(farm).flatMap((file) => ['--values', file]);
}
