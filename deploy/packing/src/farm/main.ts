import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createTls } from '@sallyport/local-cluster';
import { ROOT } from '../source.ts';
import { filesOf } from './files.ts';
import { type FarmHost, type FarmPlan, planFarm } from './plan.ts';
import { finishScript, installScript, joinScript } from './scripts.ts';

const HELP = `npm run farm -- --gate gate.example.com --certificate FILE --key FILE NAME=ADDRESS NAME=ADDRESS NAME=ADDRESS

  writes dist/farm: a folder for each of three hosts of Debian 12, with its settings, certificates and packages (npm run packages),
  and what makes a highly available farm of them: install.sh on each, finish.sh on the first, join.sh on each.
  FILE: the certificate for devices with its chain, and its key, PEM.
`;
const OUT = join(ROOT, 'dist', 'farm');
const DEBS = join(ROOT, 'dist', 'packages');

interface FarmTls {
  readonly folder: string;
  /** Certificate and key for devices, PEM. */
  readonly devices: string;
}

function writeHost(plan: FarmPlan, host: FarmHost, { folder: tls, devices }: FarmTls): void {
  const place = join(OUT, host.name);
  const write = (path: string, text: string): void => writeFileSync(join(place, path), text, { mode: 0o600 });
  for (const name of ['files', 'tls', 'packages']) mkdirSync(join(place, name), { recursive: true, mode: 0o700 });
  const files = filesOf(plan, host);
  for (const { path, text } of files) write(join('files', basename(path)), text);
  write('files/database-password', `SALLYPORT_DATABASE_PASSWORD=${plan.secrets.sallyport}\n`);
  for (const name of ['ca.pem', 'server.pem', 'server.key']) cpSync(join(tls, name), join(place, 'tls', name));
  write('tls/devices.pem', devices);
  cpSync(join(OUT, 'desk', 'kek.json'), join(place, 'kek.json'));
  for (const name of readdirSync(DEBS).filter((file) => isOfServers(file)))
    cpSync(join(DEBS, name), join(place, 'packages', name));
  write('install.sh', installScript(host, files));
  write('join.sh', joinScript());
  if (host === plan.hosts[0]) write('finish.sh', finishScript(plan));
}

/** `sallyport-security` has the command, too. */
function isOfServers(file: string): boolean {
  return file.endsWith('.deb') && !file.startsWith('sallyport-cli');
}

function writeFarm(plan: FarmPlan, devices: string): void {
  if (!existsSync(DEBS)) throw new Error('there are no packages yet: npm run packages');
  if (existsSync(OUT)) throw new Error(`${relative(ROOT, OUT)} is there already, with keys in it: put it aside first`);
  try {
    const desk = join(OUT, 'desk');
    mkdirSync(desk, { recursive: true, mode: 0o700 });
    const addresses = plan.hosts.map(({ address }) => address);
    createTls(desk, addresses, undefined);
    execFileSync(process.execPath, [join(ROOT, 'apps/cli/src/main.ts'), 'kek', 'new', join(desk, 'kek.json')]);
    for (const host of plan.hosts) writeHost(plan, host, { folder: desk, devices });
  } catch (error) {
    rmSync(OUT, { recursive: true, force: true });
    throw error;
  }
}

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

function main(): void {
  const { values, positionals } = parseArgs({
    options: { gate: { type: 'string' }, certificate: { type: 'string' }, key: { type: 'string' } },
    allowPositionals: true,
  });
  const { gate, certificate, key } = values;
  if (gate === undefined || certificate === undefined || key === undefined) return void process.stdout.write(HELP);
  const devices = [certificate, key].map((file) => readFileSync(resolve(file), 'utf8').trimEnd()).join('\n');
  const plan = planFarm(gate, positionals);
  writeFarm(plan, `${devices}\n`);
  process.stdout.write(nextSteps(plan));
}

try {
  main();
} catch (error) {
  process.stderr.write(`farm: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
