import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Application, Programs } from './application.ts';
import { run } from './command.ts';

const FOLDER = fileURLToPath(new URL('../../../node_modules/.cache/real-applications/', import.meta.url));

/** Programs of nobody: for applications that need none. */
export const NO_PROGRAMS: Programs = { python: (name) => name };

/** Installs what the applications need from PyPI, into a folder beside the project's own packages. */
export async function installPrograms(applications: readonly Application[]): Promise<Programs> {
  const wanted = [...new Set(applications.flatMap(({ needs }) => needs?.python ?? []))].sort();
  const mark = `${FOLDER}python.txt`;
  const installed = existsSync(mark) ? readFileSync(mark, 'utf8').split('\n') : [];
  const missing = wanted.filter((name) => !installed.includes(name));
  if (missing.length > 0) {
    process.stderr.write(`installing ${missing.join(' ')} …\n`);
    mkdirSync(FOLDER, { recursive: true });
    if (!existsSync(`${FOLDER}python/bin/pip`)) await run('python3', ['-m', 'venv', `${FOLDER}python`]);
    await run(`${FOLDER}python/bin/pip`, ['install', '--quiet', ...missing]);
    writeFileSync(mark, [...installed, ...missing].join('\n'));
  }
  return { python: (name) => join(FOLDER, 'python', 'bin', name) };
}
