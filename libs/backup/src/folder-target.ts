import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DRAFTS, isLeft } from './drafts.ts';
import { TargetError, type TargetErrorCode } from './errors.ts';
import { inFolderTurn } from './folder-turns.ts';
import { type BackupTarget, checkTargetPath, reaching, type TargetObject } from './target.ts';

const READ_BYTES = 256 * 1024;
/** How long something waits for what was asked of the folder before, ms. */
const TURN_WAIT_MS = 60_000;
/** The longest that a timer takes, ms. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

const CODES: Readonly<Record<string, TargetErrorCode>> = {
  ENOSPC: 'ERR_TARGET_FULL',
  EDQUOT: 'ERR_TARGET_FULL',
  EFBIG: 'ERR_TARGET_FULL',
  EROFS: 'ERR_TARGET_READ_ONLY',
  EACCES: 'ERR_TARGET_DENIED',
  EPERM: 'ERR_TARGET_DENIED',
  EEXIST: 'ERR_TARGET_EXISTS',
  ETIMEDOUT: 'ERR_TARGET_SLOW',
};
/** File systems without hard links, as many shares are, say so in one of these ways. */
const NO_LINKS: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/**
 * Exports in a folder of this machine or of a share that is mounted. The folder itself is never made: where a share is not
 * mounted, a folder inside of it is not there, and that is said instead of filling the disk below.
 * An object is written as a draft, synced, linked to its name, and the folder is synced. Who writes removes what processes left that
 * ended while they wrote.
 * One that hangs holds one thread of this process: what else is asked of it waits for that (`turnWaitMs`).
 * @throws TargetError ERR_TARGET_GONE when there is no such folder, ERR_TARGET_SLOW when it was not its turn in time
 */
export async function openFolderTarget(folder: string, turnWaitMs: number = TURN_WAIT_MS): Promise<BackupTarget> {
  const target = new FolderTarget(folder, turnWaitMs);
  await target.begin();
  return target;
}

/** The disk that a folder is on; undefined when there is no such folder. @throws TargetError ERR_TARGET_SLOW */
export function diskOfFolder(folder: string, turnWaitMs: number = TURN_WAIT_MS): Promise<number | undefined> {
  return inFolderTurn({ folder: resolve(folder), waitMs: turnWaitMs }, () =>
    stat(folder).then(
      ({ dev }) => dev,
      () => undefined,
    ),
  );
}

class FolderTarget implements BackupTarget {
  readonly description: string;
  readonly #root: string;
  readonly #turnWaitMs: number;

  constructor(root: string, turnWaitMs: number) {
    this.description = `folder ${root}`;
    this.#root = resolve(root);
    this.#turnWaitMs = turnWaitMs;
  }

  /** A folder that may only be read is no fault yet. */
  begin(): Promise<void> {
    return this.#inTurn(() => this.#assertThere());
  }

  async put(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const file = this.#file(path);
    const draft = join(this.#root, DRAFTS, randomUUID());
    await this.#reaching(path, () => this.#makeFolder(dirname(draft)));
    try {
      await this.#write(path, draft, content);
      await this.#reaching(path, async () => {
        await this.#makeFolder(dirname(file));
        await giveName(draft, file);
        await syncDirectory(dirname(file));
      });
    } finally {
      await this.#inTurn(() => rm(draft, { force: true })).catch(() => undefined);
    }
  }

  async *get(path: string, from = 0): AsyncIterable<Uint8Array> {
    const file = this.#file(path);
    const handle = await this.#reaching(path, () => this.#openObject(path, file));
    try {
      for (let at = from; ; ) {
        const { bytesRead, buffer } = await this.#reaching(path, () =>
          handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, at),
        );
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    } finally {
      await this.#close(handle);
    }
  }

  /** What somebody put there in the place of a file, as a pipe that nobody writes to, keeps nobody waiting. */
  async #openObject(path: string, file: string): Promise<FileHandle> {
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    throw new TargetError('ERR_TARGET_DAMAGED', `${this.description}: ${path} is no file`);
  }

  async list(folder: string): Promise<readonly TargetObject[]> {
    const from = folder === '' ? this.#root : this.#file(folder);
    try {
      return (await this.#inTurn(() => objectsBelow(from, folder))).sort((a, b) => (a.path < b.path ? -1 : 1));
    } catch (cause) {
      const fault = await this.#faultOf(folder, cause);
      if (fault.code === 'ERR_TARGET_MISSING') return [];
      throw fault;
    }
  }

  async remove(path: string): Promise<void> {
    const file = this.#file(path);
    await this.#reaching(path, async () => {
      await this.#assertThere();
      await rm(file, { force: true });
      await syncDirectory(dirname(file)).catch(ifMissing);
      await rmdir(dirname(file)).catch(() => undefined);
    });
  }

  async close(): Promise<void> {}

  #file(path: string): string {
    return join(this.#root, checkTargetPath(path));
  }

  async #write(path: string, draft: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const handle = await this.#reaching(path, () => openDraft(draft));
    try {
      await this.#reaching(path, () => makeRoom(handle, dirname(draft)));
      for await (const bytes of content) await this.#reaching(path, () => handle.writeFile(bytes));
      await this.#reaching(path, () => handle.sync());
    } finally {
      await this.#close(handle);
    }
  }

  /** Makes a folder below the root, durably, with those above it. */
  async #makeFolder(folder: string): Promise<void> {
    await this.#assertThere();
    for (const part of foldersBetween(this.#root, folder)) {
      // One by one: made together they say "no such file" of a disk that may only be read.
      const made = await mkdir(part, { mode: 0o700 }).then(() => true, ifExists);
      if (made) await syncDirectory(dirname(part));
    }
  }

  async #assertThere(): Promise<void> {
    const found = await stat(this.#root).catch((error: unknown) => error as NodeJS.ErrnoException);
    if (found instanceof Error || !found.isDirectory())
      throw new TargetError('ERR_TARGET_GONE', `${this.description} is not there`, { cause: found });
  }

  #reaching<T>(path: string, work: () => Promise<T>): Promise<T> {
    return reaching(
      () => this.#inTurn(work),
      (cause) => this.#faultOf(path, cause),
    );
  }

  /** A file that is open is closed, whenever that can be. */
  #close(handle: FileHandle): Promise<void> {
    return inFolderTurn({ folder: this.#root, waitMs: LONGEST_WAIT_MS }, () => handle.close());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return inFolderTurn({ folder: this.#root, waitMs: this.#turnWaitMs }, work);
  }

  async #faultOf(path: string, cause: unknown): Promise<TargetError> {
    if (cause instanceof TargetError) return cause;
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      await this.#inTurn(() => this.#assertThere());
      return new TargetError('ERR_TARGET_MISSING', `${this.description} has no ${path}`, { cause });
    }
    return new TargetError(CODES[code] ?? 'ERR_TARGET_GONE', `${this.description}: ${path}: ${code}`, { cause });
  }
}

/** A disk may be too full for so much as a name. */
async function openDraft(draft: string): Promise<FileHandle> {
  return open(draft, 'wx', 0o600).catch(async (error: NodeJS.ErrnoException) => {
    if (CODES[error.code ?? ''] !== 'ERR_TARGET_FULL') throw error;
    await removeLeft(dirname(draft), Date.now());
    return open(draft, 'wx', 0o600);
  });
}

/** A draft that was made this moment tells the time by the clock of the folder. */
async function makeRoom(draft: FileHandle, drafts: string): Promise<void> {
  const { mtimeMs } = await draft.stat();
  await removeLeft(drafts, mtimeMs);
}

/** Others may do so at the same time, or may forbid it. */
async function removeLeft(drafts: string, now: number): Promise<void> {
  for (const name of await readdir(drafts).catch(() => [])) {
    const draft = join(drafts, name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: now }));
    if (isLeft(mtimeMs, now)) await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** The draft gets its name, when no other file has it. */
async function giveName(draft: string, file: string): Promise<void> {
  try {
    await link(draft, file);
  } catch (error) {
    if (!NO_LINKS.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    // Names of exports are drawn at random: nobody else makes this one in between.
    if (await stat(file).catch(() => undefined)) throw Object.assign(new Error('there is one'), { code: 'EEXIST' });
    await rename(draft, file);
  }
}

async function objectsBelow(folder: string, path: string): Promise<TargetObject[]> {
  const found: TargetObject[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const [file, name] = [join(folder, entry.name), path === '' ? entry.name : `${path}/${entry.name}`];
    if (entry.isDirectory()) found.push(...(await objectsBelow(file, name).catch(noneIfMissing)));
    else if (entry.isFile()) found.push(...(await sizeOf(file, name).catch(noneIfMissing)));
  }
  return found;
}

async function sizeOf(file: string, path: string): Promise<TargetObject[]> {
  return [{ path, bytes: (await stat(file)).size }];
}

/** Somebody prunes while somebody lists. */
function noneIfMissing(error: unknown): TargetObject[] {
  ifMissing(error);
  return [];
}

/** Folders below a root, down to one of them. */
function foldersBetween(root: string, folder: string): string[] {
  return folder === root ? [] : [...foldersBetween(root, dirname(folder)), folder];
}

function ifExists(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
  throw error;
}

function ifMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** Makes names that were made in a folder durable. */
async function syncDirectory(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
