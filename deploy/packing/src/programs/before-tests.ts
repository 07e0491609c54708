import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../source.ts';
import { bundlePrograms, PROGRAM_LIST } from './bundle.ts';

/** Programs that tests start again and again. */
const ENTRIES = [
  'apps/*/src/{main,lint}.ts',
  'apps/security/src/commands/{*-command,backup-worker,break-glass}.ts',
  'test/{drill,fault}/src/main.ts',
];
/** Whatever may be part of one. */
const SOURCES = ['{apps,libs,test}/*/src/**/*.ts', 'deploy/packing/src/programs/*', 'package-lock.json'];
const KEPT_MS = 24 * 3_600_000;

/**
 * Before tests run: bundles the programs that they start, and has Node start those instead of the sources (`from-bundle.mjs`).
 * Reading two thousand modules takes a second of the processor at every start, and tests start some thousands of programs. What is
 * unchanged is not bundled again.
 */
export async function setup(): Promise<void> {
  const folder = join(ROOT, 'node_modules/.cache/programs');
  const into = join(folder, fingerprint());
  forgetOld(folder);
  if (statSync(into, { throwIfNoEntry: false }) === undefined) await bundleInto(into);
  // It is as old as its last use: no run that begins later takes it away from this one.
  utimesSync(into, new Date(), new Date());
  const hook = pathToFileURL(join(import.meta.dirname, 'from-bundle.mjs'));
  hook.searchParams.set('programs', join(into, PROGRAM_LIST));
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} --import=${hook.href}`.trim();
}

/** Whoever makes the same at the same time makes it elsewhere: the folder is there once it is whole. */
async function bundleInto(into: string): Promise<void> {
  const made = join(dirname(into), `${process.pid}`);
  await bundlePrograms(ROOT, globSync(ENTRIES, { cwd: ROOT }).sort(), made);
  try {
    renameSync(made, into);
  } catch (error) {
    rmSync(made, { recursive: true });
    if (statSync(into, { throwIfNoEntry: false }) === undefined) throw error;
  }
}

function fingerprint(): string {
  const hash = createHash('sha256');
  for (const file of globSync(SOURCES, { cwd: ROOT, exclude: ['**/node_modules'] }).sort())
    hash.update(`${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest('hex').slice(0, 16);
}

/** A run of tests takes less than a day: what is older is nobody's. */
function forgetOld(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of globSync('*', { cwd: folder })) {
    const old = join(folder, name);
    if (Date.now() - statSync(old).mtimeMs > KEPT_MS) rmSync(old, { recursive: true, force: true });
  }
}
