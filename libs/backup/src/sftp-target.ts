import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { DRAFTS, isLeft } from './drafts.ts';
import { TargetError, type TargetErrorCode } from './errors.ts';
import { type SftpPlace, SftpSession, STATUS } from './sftp-session.ts';
import { type BackupTarget, checkTargetPath, reaching, type TargetObject } from './target.ts';

/** What one request carries, and how many are under way: every server takes that much. */
const PIECE_BYTES = 32_768;
const UNDER_WAY = 16;
/** `ST_RDONLY` (statvfs(3)). */
const READ_ONLY_FLAG = 1;

/** A folder at a server that speaks SFTP. */
export interface SftpFolder extends SftpPlace {
  readonly folder: string;
}

/**
 * Exports in a folder that is reached by SFTP. An object is written as a draft, synced where the server can do that (OpenSSH), and
 * renamed, which no server does over another file (draft-ietf-secsh-filexfer-02, section 6.5). The folder is never made. Who writes
 * removes what processes left that ended while they wrote.
 * @throws TargetError ERR_TARGET_DENIED for a host key that is not known, ERR_TARGET_GONE when there is no such folder
 */
export async function openSftpTarget(place: SftpFolder): Promise<BackupTarget> {
  const target = new SftpTarget(place);
  await target.begin().catch(async (error: unknown) => {
    await target.close();
    throw error;
  });
  return target;
}

/** What is known of a file. */
interface Found {
  readonly filename: string;
  readonly attrs: {
    readonly size: number;
    readonly mtime: number;
    isFile(): boolean;
    isDirectory(): boolean;
  };
}

class SftpTarget implements BackupTarget {
  readonly description: string;
  readonly #place: SftpFolder;
  #connecting: Promise<SftpSession> | undefined;
  #session: SftpSession | undefined;

  constructor(place: SftpFolder) {
    const { user, host, port, folder } = place;
    this.#place = place;
    this.description = `SFTP ${user}@${host}:${port}${folder}`;
  }

  /** Looks whether there is such a folder. */
  begin(): Promise<void> {
    return this.#assertThere();
  }

  async put(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const file = this.#file(checkTargetPath(path));
    const draft = this.#file(`${DRAFTS}/${randomUUID()}`, true);
    await this.#reaching(path, () => this.#makeFolder(dirname(draft)));
    try {
      await this.#write(path, draft, content);
      await this.#reaching(path, async () => {
        await this.#makeFolder(dirname(file));
        await this.#call<void>((sftp, done) => sftp.rename(draft, file, done));
      });
    } catch (error) {
      // Who was silent is not asked for one thing more: whoever writes next removes the draft, once it is old.
      if ((error as TargetError).code !== 'ERR_TARGET_SLOW') await this.#unlink(draft).catch(() => undefined);
      throw error;
    }
  }

  async *get(path: string, from = 0): AsyncIterable<Uint8Array> {
    const file = this.#file(checkTargetPath(path));
    const opened = await this.#reaching(path, () => this.#open(file, 'r'));
    try {
      const read = (at: number): Promise<Buffer> => this.#reaching(path, () => readPiece(opened, at));
      yield* readAhead(read, from);
    } finally {
      await closeFile(opened);
    }
  }

  async list(folder: string): Promise<readonly TargetObject[]> {
    const from = folder === '' ? this.#place.folder : this.#file(checkTargetPath(folder));
    try {
      return (await this.#below(from, folder)).sort((a, b) => (a.path < b.path ? -1 : 1));
    } catch (cause) {
      const fault = await this.#faultOf(folder, cause);
      if (fault.code === 'ERR_TARGET_MISSING') return [];
      throw fault;
    }
  }

  async remove(path: string): Promise<void> {
    const file = this.#file(checkTargetPath(path));
    await this.#reaching(path, () => this.#unlink(file)).catch((error: TargetError) => {
      if (error.code !== 'ERR_TARGET_MISSING') throw error;
    });
    // Only an empty folder goes.
    await this.#call<void>((sftp, done) => sftp.rmdir(dirname(file), done)).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#session?.close();
  }

  #file(path: string, draft = false): string {
    return `${this.#place.folder}/${draft ? path : checkTargetPath(path)}`;
  }

  /** The connection; a new one where that of before has ended. */
  async #reach(): Promise<SftpSession> {
    if (this.#session?.lives) return this.#session;
    this.#connecting ??= SftpSession.connect(this.#place, this.description).finally(() => {
      this.#connecting = undefined;
    });
    this.#session = await this.#connecting;
    return this.#session;
  }

  async #call<T>(ask: Parameters<SftpSession['call']>[0]): Promise<T> {
    return (await (await this.#reach()).call(ask)) as T;
  }

  async #open(file: string, flags: 'r' | 'wx'): Promise<OpenFile> {
    const session = await this.#reach();
    return { session, handle: await session.call<Buffer>((sftp, done) => sftp.open(file, flags, done)) };
  }

  async #write(path: string, draft: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const opened = await this.#reaching(path, () => this.#openDraft(draft));
    try {
      await this.#reaching(path, () => this.#makeRoom(draft));
      await this.#send(path, opened, content);
      await this.#reaching(path, () => sync(opened));
    } finally {
      await closeFile(opened);
    }
  }

  /** A disk may be too full for so much as a name. */
  #openDraft(draft: string): Promise<OpenFile> {
    return this.#open(draft, 'wx').catch(async (error: unknown) => {
      if (statusOf(error) !== STATUS.failure) throw error;
      await this.#removeLeft(dirname(draft), Date.now());
      return this.#open(draft, 'wx');
    });
  }

  /** A draft that was made this moment tells the time by the clock of the server. */
  async #makeRoom(draft: string): Promise<void> {
    const { mtime } = await this.#call<Found['attrs']>((sftp, done) => sftp.stat(draft, done as never));
    await this.#removeLeft(dirname(draft), mtime * 1_000);
  }

  /** Others may do so at the same time, or may forbid it. */
  async #removeLeft(drafts: string, now: number): Promise<void> {
    const found = await this.#entries(drafts).catch(() => []);
    for (const { filename } of found.filter(({ attrs }) => attrs.isFile() && isLeft(attrs.mtime * 1_000, now)))
      await this.#unlink(`${drafts}/${filename}`).catch(() => undefined);
  }

  /** Several writes are under way at a time: each takes the way to the server and back. */
  async #send(path: string, { session, handle }: OpenFile, content: AsyncIterable<Uint8Array>): Promise<void> {
    const underWay = new Set<Promise<void>>();
    let [at, failed]: [number, unknown] = [0, undefined];
    for await (const bytes of content) {
      for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
        const piece = Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.min(PIECE_BYTES, bytes.length - from));
        const position = at;
        const sent: Promise<void> = session
          .call<void>((sftp, done) => sftp.write(handle, piece, 0, piece.length, position, done))
          .catch((error: unknown) => {
            failed ??= error;
          })
          .finally(() => underWay.delete(sent));
        underWay.add(sent);
        at += piece.length;
        if (underWay.size >= UNDER_WAY) await Promise.race(underWay);
        if (failed !== undefined) throw await this.#faultOf(path, failed);
      }
    }
    await Promise.all(underWay);
    if (failed !== undefined) throw await this.#faultOf(path, failed);
  }

  async #unlink(file: string): Promise<void> {
    await this.#call<void>((sftp, done) => sftp.unlink(file, done));
  }

  #entries(folder: string): Promise<Found[]> {
    return this.#call<Found[]>((sftp, done) => sftp.readdir(folder, done as never));
  }

  async #below(folder: string, path: string): Promise<TargetObject[]> {
    const found: TargetObject[] = [];
    for (const { filename, attrs } of await this.#entries(folder)) {
      if (filename.startsWith('.')) continue;
      const name = path === '' ? filename : `${path}/${filename}`;
      if (attrs.isFile()) found.push({ path: name, bytes: attrs.size });
      // Somebody prunes while somebody lists.
      if (attrs.isDirectory()) found.push(...(await this.#below(`${folder}/${filename}`, name).catch(noneIfMissing)));
    }
    return found;
  }

  /** Makes a folder below the root, with those above it; the root itself is never made. */
  async #makeFolder(folder: string): Promise<void> {
    await this.#assertThere();
    const inside = folder.slice(this.#place.folder.length + 1).split('/');
    for (let depth = 1; depth <= inside.length; depth++) {
      const part = `${this.#place.folder}/${inside.slice(0, depth).join('/')}`;
      if (await this.#isThere(part)) continue;
      // Somebody else may have made it in between.
      await this.#call<void>((sftp, done) => sftp.mkdir(part, { mode: 0o700 }, done)).catch(async (error: unknown) => {
        if (error instanceof TargetError || !(await this.#isThere(part))) throw error;
      });
    }
  }

  async #isThere(file: string): Promise<boolean> {
    return this.#call((sftp, done) => sftp.stat(file, done)).then(
      () => true,
      (error: unknown) => {
        if (statusOf(error) === STATUS.missing) return false;
        throw error;
      },
    );
  }

  async #assertThere(): Promise<void> {
    try {
      await this.#call((sftp, done) => sftp.stat(this.#place.folder, done));
    } catch (cause) {
      if (cause instanceof TargetError) throw cause;
      throw new TargetError('ERR_TARGET_GONE', `${this.description} is not there`, { cause });
    }
  }

  #reaching<T>(path: string, work: () => Promise<T>): Promise<T> {
    return reaching(work, (cause) => this.#faultOf(path, cause));
  }

  /** "Failure" is all that SFTP says of a full disk: the server is asked how its file system stands. */
  async #faultOf(path: string, cause: unknown): Promise<TargetError> {
    if (cause instanceof TargetError) return cause;
    const status = statusOf(cause);
    if (status === STATUS.missing) {
      await this.#assertThere();
      return new TargetError('ERR_TARGET_MISSING', `${this.description} has no ${path}`, { cause });
    }
    const code = (await this.#standing(path)) ?? (status === STATUS.denied ? 'ERR_TARGET_DENIED' : 'ERR_TARGET_GONE');
    return new TargetError(code, `${this.description}: ${path}: ${(cause as Error).message}`, { cause });
  }

  async #standing(path: string): Promise<TargetErrorCode | undefined> {
    const { folder } = this.#place;
    const taken = await this.#call((sftp, done) => sftp.stat(`${folder}/${path}`, done)).catch(() => undefined);
    if (taken) return 'ERR_TARGET_EXISTS';
    const system = await this.#call<{ f_bavail: number; f_flag: number }>((sftp, done) =>
      sftp.ext_openssh_statvfs(folder, done as never),
    ).catch(() => undefined);
    if (system === undefined) return undefined;
    if ((Number(system.f_flag) & READ_ONLY_FLAG) !== 0) return 'ERR_TARGET_READ_ONLY';
    return Number(system.f_bavail) === 0 ? 'ERR_TARGET_FULL' : undefined;
  }
}

/** A file that is open. Its handle is one of its own connection: on another one it may be that of another file. */
interface OpenFile {
  readonly session: SftpSession;
  readonly handle: Buffer;
}

async function sync({ session, handle }: OpenFile): Promise<void> {
  try {
    await session.call<void>((sftp, done) => sftp.ext_openssh_fsync(handle, done));
  } catch (error) {
    // A server without this extension has no way to be asked.
    if (statusOf(error) !== STATUS.unsupported && !/not support/i.test((error as Error).message)) throw error;
  }
}

/** An empty answer is the end. */
async function readPiece({ session, handle }: OpenFile, at: number): Promise<Buffer> {
  const into = Buffer.allocUnsafe(PIECE_BYTES);
  const bytes = await session.call<number>((sftp, done) =>
    sftp.read(handle, into, 0, PIECE_BYTES, at, (error, count) => done(error, count)),
  );
  return into.subarray(0, bytes);
}

/** The server does it by itself where the connection has ended. */
async function closeFile({ session, handle }: OpenFile): Promise<void> {
  await session.call<void>((sftp, done) => sftp.close(handle, done)).catch(() => undefined);
}

function statusOf(error: unknown): number | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}

function noneIfMissing(error: unknown): TargetObject[] {
  if (statusOf(error) === STATUS.missing) return [];
  throw error;
}

/** Reads pieces one behind the other, some of them ahead; a short piece is followed by what it lacks. */
async function* readAhead(read: (at: number) => Promise<Buffer>, from: number): AsyncIterable<Uint8Array> {
  const ahead: Promise<Buffer>[] = [];
  let next = from;
  const ask = (): void => {
    const asked = read(next);
    asked.catch(() => undefined);
    ahead.push(asked);
    next += PIECE_BYTES;
  };
  for (let at = from; ; ) {
    while (ahead.length < UNDER_WAY) ask();
    const piece = await ahead.shift()!;
    if (piece.length === 0) return;
    yield piece;
    at += piece.length;
    if (piece.length === PIECE_BYTES) continue;
    // Whether this was the end, only another look says.
    ahead.length = 0;
    next = at;
  }
}
