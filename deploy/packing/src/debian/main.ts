import { existsSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT, readSource } from '../source.ts';
import { buildPackages } from './build.ts';
import { tryPackages } from './try.ts';

const HELP = `npm run packages -- [try]

  (nothing)  builds the packages into dist/packages
  try        boots an empty Debian in systemd-nspawn, installs the packages of dist/packages there (builds them when there are none),
             starts the services and lets a device read a page: root, and the Debian packages mmdebstrap and systemd-container
`;
const MIB = 1_048_576;
const FOLDER = join(ROOT, 'dist', 'packages');

function say(text: string): void {
  process.stdout.write(`packages: ${text}\n`);
}

function build(): void {
  for (const file of buildPackages(FOLDER, readSource()))
    say(`${relative(ROOT, file)}  ${(statSync(file).size / MIB).toFixed(0)} MiB`);
}

async function tryThem(): Promise<void> {
  if (!existsSync(FOLDER)) build();
  await tryPackages({ packages: FOLDER, say });
  process.exit();
}

const [command] = process.argv.slice(2);
if (command === undefined) build();
else if (command === 'try') await tryThem();
else process.stdout.write(HELP);
