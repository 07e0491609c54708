import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from './gateway.ts';

/** What a file holds; undefined when it is gone: a database server removes files of its own at any time. */
function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The contents of all files below a folder, also while somebody works in it. */
export function contentsUnder(folder: string): Buffer[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => contentOf(join(parentPath, name)))
    .filter((content) => content !== undefined);
}

/** Everything that Security keeps or says: files of the database, its write-ahead log, and the servers' log. */
export function keptBySecurity(gateway: Gateway): Buffer[] {
  const folder = realpathSync(join(gateway.folder, 'security-data', 'database'));
  return [...contentsUnder(folder), Buffer.from(gateway.security.log)];
}
