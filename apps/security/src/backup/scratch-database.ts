import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChildPostgres, type DatabaseAddress, stopLeftPostgres } from '@sallyport/store-sql';

const PREFIX = 'sallyport-scratch-';

/** A database of its own for one verification. What is in it is in the clear, as in every database. */
export interface ScratchDatabase {
  readonly address: DatabaseAddress;
  /** Stops it and deletes all of it. */
  close(): Promise<void>;
}

/**
 * Starts an empty PostgreSQL in a folder of its own, below the one that is given or that of temporary files. Those of verifications
 * that were killed are stopped and deleted first.
 */
export async function openScratchDatabase(parent: string = tmpdir()): Promise<ScratchDatabase> {
  await removeLeft(parent);
  const folder = await mkdtemp(join(parent, `${PREFIX}${process.pid}-`));
  // The user of the database gets through it; what is inside is closed to everybody else.
  await chmod(folder, 0o711);
  const place = { folder: join(folder, 'database'), passwordFile: join(folder, 'password') };
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const server = await ChildPostgres.start(place).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  return {
    address: server.address,
    async close() {
      await server.stop();
      await remove();
    },
  };
}

async function removeLeft(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    if (!pid || isAlive(pid)) continue;
    await stopLeftPostgres(join(parent, name, 'database'));
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
