import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the project. */
export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** What is built from. */
export interface Source {
  readonly version: string;
  /** Commit, with `-changed` where files differ from it. */
  readonly revision: string;
  /** When that commit was made, epoch s: the time of everything that is built. */
  readonly seconds: number;
}

/** The commit that lies here. */
export function readSource(): Source {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '-changed';
  return {
    version,
    revision: `${git('rev-parse', 'HEAD')}${changed}`,
    seconds: Number(git('log', '-1', '--format=%ct')),
  };
}
