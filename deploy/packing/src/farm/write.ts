import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { createTls } from '@sallyport/local-cluster';
import { ROOT } from '../source.ts';
import { filesOf } from './files.ts';
import type { FarmHost, FarmPlan } from './plan.ts';
import { finishScript, installScript, joinScript } from './scripts.ts';

const DEBS = join(ROOT, 'dist', 'packages');

/** Where a farm is written, and what devices are shown: certificate with its chain and key, PEM. */
export interface FarmPlace {
  readonly out: string;
  readonly devices: string;
}

function writeHost(plan: FarmPlan, host: FarmHost, { out, devices }: FarmPlace): void {
  const [place, desk] = [join(out, host.name), join(out, 'desk')];
  const write = (path: string, text: string): void => writeFileSync(join(place, path), text, { mode: 0o600 });
  for (const name of ['files', 'tls', 'packages']) mkdirSync(join(place, name), { recursive: true, mode: 0o700 });
  const files = filesOf(plan, host);
  for (const { path, text } of files) write(join('files', basename(path)), text);
  write('files/database-password', `SALLYPORT_DATABASE_PASSWORD=${plan.secrets.sallyport}\n`);
  for (const name of ['ca.pem', 'server.pem', 'server.key']) cpSync(join(desk, name), join(place, 'tls', name));
  write('tls/devices.pem', devices);
  cpSync(join(desk, 'kek.json'), join(place, 'kek.json'));
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

/** Writes a folder for each host, and `desk`. @throws Error where there is one already, or no packages are */
export function writeFarm(plan: FarmPlan, place: FarmPlace): void {
  const { out } = place;
  if (!existsSync(DEBS)) throw new Error('there are no packages yet: npm run packages');
  if (existsSync(out)) throw new Error(`${relative(ROOT, out)} is there already, with keys in it: put it aside first`);
  try {
    const desk = join(out, 'desk');
    mkdirSync(desk, { recursive: true, mode: 0o700 });
    const addresses = plan.hosts.map(({ address }) => address);
    createTls(desk, addresses, undefined);
    execFileSync(process.execPath, [join(ROOT, 'apps/cli/src/main.ts'), 'kek', 'new', join(desk, 'kek.json')]);
    for (const host of plan.hosts) writeHost(plan, host, place);
  } catch (error) {
    rmSync(out, { recursive: true, force: true });
    throw error;
  }
}
