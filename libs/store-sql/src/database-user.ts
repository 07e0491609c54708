import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { getuid } from 'node:process';
import { StoreError } from '@sallyport/access';

/** Operating-system user that the database runs as; undefined for our own. */
export interface DatabaseUser {
  readonly uid: number;
  readonly gid: number;
}

/** Names to use or create, in this order, when started as root: PostgreSQL refuses to run as root. */
const NAMES = ['postgres', 'sallyport-db'];

/** Finds the user to run PostgreSQL as. Started as root without a `postgres` user, it creates a system user. */
export function databaseUser(): DatabaseUser | undefined {
  if (getuid?.() !== 0) return undefined;
  const known = NAMES.map(lookUp).find((user) => user !== undefined);
  return known ?? createUser(NAMES[1]!);
}

function lookUp(name: string): DatabaseUser | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

function createUser(name: string): DatabaseUser {
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', name]);
  const user = lookUp(name);
  if (user) return user;
  throw new StoreError(
    'ERR_STORE_UNAVAILABLE',
    `PostgreSQL does not run as root, and the user ${name} could not be created`,
  );
}

/** True when the user can read a folder: a home of mode 700 above it would shut it out. */
export function canReach(user: DatabaseUser | undefined, folder: string): boolean {
  return spawnSync('ls', [folder], { ...user, stdio: 'ignore' }).status === 0;
}
