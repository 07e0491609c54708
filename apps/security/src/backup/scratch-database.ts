import { chmodSync, mkdtempSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { undoAtSignals } from '@sallyport/settings';
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
  let folder: string | undefined;
  let starting: Promise<ChildPostgres> | undefined;
  const close = async (): Promise<void> => {
    await starting?.then(
      (server) => server.stop(),
      () => undefined,
    );
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  // Who breaks a verification off leaves nothing of it in the clear, from the first moment on.
  const forget = undoAtSignals(close);
  const closeForGood = async (): Promise<void> => {
    await close();
    forget();
  };
  try {
    folder = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
    // The user of the database gets through it; what is inside is closed to everybody else.
    chmodSync(folder, 0o711);
    starting = ChildPostgres.start({ folder: join(folder, 'database'), passwordFile: join(folder, 'password') });
    return { address: (await starting).address, close: closeForGood };
  } catch (error) {
    await closeForGood();
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
