import { randomUUID } from 'node:crypto';
import { link, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** A link to a file with its content is made whole or not at all, and by one process only; false when the file is there. */
export async function makeWhole(folder: string, name: string, text: string): Promise<boolean> {
  const draft = join(folder, `draft.${randomUUID()}`);
  await writeSynced(draft, text);
  try {
    await link(draft, join(folder, name));
    await syncFolder(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Makes names that were made in a folder durable. */
export function syncFolder(folder: string): Promise<void> {
  return sync(folder, 'r');
}

/** Makes what was written to a file durable, by whomever. */
export function syncFile(file: string): Promise<void> {
  return sync(file, 'r+');
}

async function sync(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** For files that there may not be. @throws any other error */
export function noneIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
