import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIsolated, runIsolated } from '@sallyport/support';
import { ROOT } from '../source.ts';
import { type FarmPlan, planFarm } from './plan.ts';
import { makeRoots, openWayToPackages, removeRoots, tryHosts } from './try.ts';
import { writeFarm } from './write.ts';

const HELP = `npm run farm -- --gate gate.example.com --certificate FILE --key FILE NAME=ADDRESS NAME=ADDRESS NAME=ADDRESS
npm run farm -- try

  writes dist/farm: a folder for each of three hosts of Debian 12, with its settings, certificates and packages (npm run packages),
  and what makes a highly available farm of them: install.sh on each, finish.sh on the first, join.sh on each.
  FILE: the certificate for devices with its chain, and its key, PEM.

  try: boots three empty Debians on a network of their own, walks these steps there, lets a device read pages, cuts the power of one
  host after the other and gives it back: root, the packages of dist/packages, and the Debian packages mmdebstrap and
  systemd-container
`;
const OUT = join(ROOT, 'dist', 'farm');

function nextSteps({ gate, hosts }: FarmPlan): string {
  const copies = hosts.map(
    ({ name, address }) =>
      `     scp -r dist/farm/${name} root@${address}: && ssh root@${address} sh ${name}/install.sh\n`,
  );
  return `dist/farm has a folder for each host, and desk with what belongs into a safe (ca.key, kek.json).
  1. each host, in any order:
${copies.join('')}  2. on ${hosts[0]!.name}:  sh ${hosts[0]!.name}/finish.sh
  3. on each:  sh NAME/join.sh TOKEN, as finish.sh says
  ${gate} leads to all three. What is in the way: sallyport doctor, on each.
`;
}

/** The machines are on a network of their own; packages come to them through this process, which is not. */
async function walk(): Promise<void> {
  if (isIsolated()) {
    await tryHosts((text) => process.stdout.write(`farm: ${text}\n`));
    process.exit();
  }
  makeRoots();
  process.once('exit', removeRoots);
  await openWayToPackages();
  runIsolated();
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { gate: { type: 'string' }, certificate: { type: 'string' }, key: { type: 'string' } },
    allowPositionals: true,
  });
  if (positionals[0] === 'try') return walk();
  const { gate, certificate, key } = values;
  if (gate === undefined || certificate === undefined || key === undefined) return void process.stdout.write(HELP);
  const devices = [certificate, key].map((file) => readFileSync(resolve(file), 'utf8').trimEnd()).join('\n');
  const plan = planFarm(gate, positionals);
  writeFarm(plan, { out: OUT, devices: `${devices}\n` });
  process.stdout.write(nextSteps(plan));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`farm: ${(error as Error).message}\n`);
  process.exit(1);
}
