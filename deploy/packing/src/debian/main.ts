import { statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT, readSource } from '../source.ts';
import { buildPackages } from './build.ts';

const MIB = 1_048_576;
for (const file of buildPackages(join(ROOT, 'dist', 'packages'), readSource()))
  process.stdout.write(`packages: ${relative(ROOT, file)}  ${(statSync(file).size / MIB).toFixed(0)} MiB\n`);
