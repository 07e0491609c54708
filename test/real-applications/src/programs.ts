import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Application, Programs } from './application.ts';
import { run } from './command.ts';

const FOLDER = fileURLToPath(new URL('../../../node_modules/.cache/real-applications/', import.meta.url));

/** Programs of nobody: for applications that need none. */
export const NO_PROGRAMS: Programs = {
  python: (name) => name,
  npm: (name) => name,
};

/** Installs what the applications need from PyPI and npm, into a folder beside the project's own packages. */
export async function installPrograms(applications: readonly Application[]): Promise<Programs> {
  const wanted = {
    python: applications.flatMap(({ needs }) => needs?.python ?? []),
    npm: applications.flatMap(({ needs }) => needs?.npm ?? []),
  };
  mkdirSync(FOLDER, { recursive: true });
  await once('python', wanted.python, async (packages) => {
    if (!existsSync(`${FOLDER}python/bin/pip`)) await run('python3', ['-m', 'venv', `${FOLDER}python`]);
    await run(`${FOLDER}python/bin/pip`, ['install', '--quiet', ...packages]);
  });
  await once('npm', wanted.npm, async (packages) => {
    await run('npm', ['install', '--prefix', `${FOLDER}npm`, '--no-audit', '--no-fund', '--save-exact', ...packages]);
  });
  return {
    python: (name) => join(FOLDER, 'python', 'bin', name),
    npm: (name) => join(FOLDER, 'npm', 'node_modules', '.bin', name),
  };
}

/** Does nothing when the same list was installed before. */
async function once(
  kind: string,
  packages: readonly string[],
  install: (packages: readonly string[]) => Promise<void>,
): Promise<void> {
  const mark = `${FOLDER}${kind}.txt`;
  const list = [...packages].sort().join('\n');
  if (list === '' || (existsSync(mark) && readFileSync(mark, 'utf8') === list)) return;
  process.stderr.write(`installing ${packages.join(' ')} …\n`);
  await install(packages);
  writeFileSync(mark, list);
}
