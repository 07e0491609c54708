import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from './gateway.ts';

/** All files below a folder. */
export function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

/** Everything that Security keeps or says: files of the database, its write-ahead log, and the servers' log. */
export function keptBySecurity(gateway: Gateway): Buffer[] {
  const folder = realpathSync(join(gateway.folder, 'security-data', 'database'));
  return [...filesUnder(folder).map((file) => readFileSync(file)), Buffer.from(gateway.security.log)];
}
