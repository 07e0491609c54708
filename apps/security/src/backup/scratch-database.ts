import { chmodSync, mkdtempSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeUntilSignals, undoAtSignals } from '@sallyport/settings';
import { ChildPostgres, type DatabaseAddress, stopLeftPostgres } from '@sallyport/store-sql';

const PREFIX = 'sallyport-scratch-';

/** A database of its own for one verification. What is in it is in the clear, as in every database. */
export interface ScratchDatabase {
  readonly address: DatabaseAddress;
  /** Stops it and deletes all of it. */
  close(): Promise<void>;
}

/** A folder of its own for something that is deleted again. */
export interface ScratchFolder {
  readonly folder: string;
  /** Deletes all of it. */
  close(): Promise<void>;
}

/**
 * Makes an empty folder below the one that is given, or that of temporary files, which a signal deletes, too. What those that were killed
 * have left, databases in `database` among it, is stopped and deleted first.
 */
export async function openScratchFolder(parent: string = tmpdir()): Promise<ScratchFolder> {
  await removeLeft(parent);
  const make = (): string => mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
  const remove = (made: string): Promise<void> => rm(made, { recursive: true, force: true });
  const { made: folder, forget } = makeUntilSignals(make, remove);
  // The user of the database gets through it; what is inside is closed to everybody else.
  chmodSync(folder, 0o711);
  const close = async (): Promise<void> => {
    await remove(folder);
    forget();
  };
  return { folder, close };
}

/** Starts an empty PostgreSQL in a scratch folder. */
export async function openScratchDatabase(parent?: string): Promise<ScratchDatabase> {
  const scratch = await openScratchFolder(parent);
  const { folder } = scratch;
  const starting = ChildPostgres.start({ folder: join(folder, 'database'), passwordFile: join(folder, 'password') });
  const stop = async (): Promise<void> => {
    await starting.then(
      (server) => server.stop(),
      () => undefined,
    );
  };
  // Before the folder goes.
  const forget = undoAtSignals(stop);
  const close = async (): Promise<void> => {
    await stop();
    forget();
    await scratch.close();
  };
  try {
    return { address: (await starting).address, close };
  } catch (error) {
    await close();
    throw error;
  }
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
