import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Closure, Package } from './lock.ts';

/** What of a package nobody runs: types, maps, documents, tests. Its licence stays. */
const UNUSED_FILES = /\.(?:d\.[cm]?ts|[cm]?ts|map|md|markdown|flow|h|cc|c|gyp|gypi|html)$/i;
const UNUSED_FOLDERS = new Set([
  'test',
  'tests',
  '__tests__',
  'docs',
  'doc',
  'example',
  'examples',
  'benchmark',
  'benchmarks',
  '.github',
  'browser',
]);
const LICENCE = /^(?:licen[cs]e|copying|notice)/i;

/**
 * Puts what a program needs while it runs into a folder, as it lies in the project: our projects as sources, which Node runs, and
 * packages beside them. What belongs to other platforms, and what nobody runs, stays out. @throws Error when a package is not
 * installed as the lock file says
 */
export function copyPayload(root: string, { projects, packages }: Closure, into: string): void {
  for (const project of projects) copyProject(root, project, into);
  // A package in the folder of another one comes after it.
  for (const one of packages) copyPackage(root, one, into);
}

function copyProject(root: string, project: string, into: string): void {
  for (const part of ['src', 'migrations', 'package.json']) {
    const from = join(root, project, part);
    if (existsSync(from)) cpSync(from, join(into, project, part), { recursive: true });
  }
  const link = join(into, 'node_modules', '@sallyport', basename(project));
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), join(into, project)), link);
}

function copyPackage(root: string, { name, version, folder, optional }: Package, into: string): void {
  const from = join(root, folder);
  if (!isInstalled(from, version)) {
    // Packages of other platforms are in the lock file and were not installed.
    if (optional) return;
    throw new Error(`${name} ${version} is not installed in ${folder}, as the lock file says: npm ci`);
  }
  cpSync(from, join(into, folder), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (file) => isRun(relative(from, file)),
  });
}

function isInstalled(folder: string, version: string): boolean {
  const manifest = join(folder, 'package.json');
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version;
}

/** True for a file or folder of a package, by its path in it, that may run here. */
function isRun(path: string): boolean {
  const [first = '', second] = path.split('/');
  if (first === 'node_modules' || first === '.bin') return false;
  if (first === 'prebuilds' && second !== undefined) return second === `${process.platform}-${process.arch}`;
  if (UNUSED_FOLDERS.has(first)) return false;
  return LICENCE.test(basename(path)) || !UNUSED_FILES.test(path);
}

/** Files of a folder by their paths in it, sorted; a link is a file, wherever it leads. */
export function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const found = entries.flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(folder, entry.name)).map((file) => `${entry.name}/${file}`) : [entry.name],
  );
  return found.sort();
}
