import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BackupTarget, TargetErrorCode, TargetPlace } from '@sallyport/backup';
import { ProblemError } from '@sallyport/http-service';
import { noneIfMissing, syncFile, syncFolder } from '../stores/durable-file.ts';

/** Where whole packages are kept, by their SHA-256. What is there was looked at, and is never changed. */
export interface PackagePlace {
  /** Bytes of a package; undefined for one that is not there. */
  sizeOf(sha256: string): Promise<number | undefined>;
  /** Keeps what is in a file, which may be gone then: durable when it returns, and seen whole or not at all. */
  keep(sha256: string, file: string): Promise<void>;
  /** Its bytes from a place on. */
  read(sha256: string, from: number): Readable;
  /** Works on one as a file, which is made in a folder where it has to be, and gone afterwards. */
  withFile<T>(sha256: string, folder: string, work: (file: string) => Promise<T>): Promise<T>;
  /** How many were kept since a moment, epoch ms, as far as is known here. */
  keptSince(moment: number): Promise<number>;
  /** SHA-256 of all that are there. */
  names(): Promise<readonly string[]>;
  /** Afterwards it is not there, whether it was or not. */
  drop(sha256: string): Promise<void>;
}

const NAME = /^[0-9a-f]{64}$/;

/** A folder that all nodes share. */
export function folderPlace(folder: string): PackagePlace {
  const path = (sha256: string): string => join(folder, sha256);
  const names = async (): Promise<string[]> =>
    ((await readdir(folder).catch(noneIfMissing)) ?? []).filter((name) => NAME.test(name));
  return {
    sizeOf: async (sha256) => (await stat(path(sha256)).catch(noneIfMissing))?.size,
    keep: async (sha256, file) => {
      await syncFile(file);
      await rename(file, path(sha256));
      await syncFolder(folder);
    },
    read: (sha256, from) => createReadStream(path(sha256), { start: from, highWaterMark: 256 * 1024 }),
    withFile: (sha256, _folder, work) => work(path(sha256)),
    keptSince: async (moment) => {
      const kept = await Promise.all((await names()).map((name) => stat(path(name)).catch(noneIfMissing)));
      return kept.filter((found) => (found?.mtimeMs ?? 0) >= moment).length;
    },
    names,
    drop: (sha256) => rm(path(sha256), { force: true }),
  };
}

/** What a package is called in its own folder of a bucket: who asks for its size lists that. */
const OBJECT = 'package';

/**
 * A bucket of S3, or of what speaks its protocol. It is opened when it is needed first: a node starts without it. One that does not answer
 * says nothing of what is in it.
 */
export function bucketPlace(place: Pick<TargetPlace, 'open'>): PackagePlace {
  let opening: Promise<BackupTarget> | undefined;
  /** When packages were kept by this node, epoch ms: a bucket is not asked for that. */
  let kept: number[] = [];
  const bucket = async (): Promise<BackupTarget> => {
    opening ??= place.open();
    try {
      return await opening;
    } catch (error) {
      opening = undefined;
      throw error;
    }
  };
  const within = async <T>(work: (bucket: BackupTarget) => Promise<T>): Promise<T> => bucket().then(work).catch(away);
  async function* bytesOf(sha256: string, from: number): AsyncGenerator<Uint8Array> {
    yield* (await bucket()).get(pathOf(sha256), from);
  }
  return {
    sizeOf: (sha256) =>
      within(async (target) => (await target.list(sha256)).find(({ path }) => path === pathOf(sha256))?.bytes),
    keep: async (sha256, file) => {
      await within(async (target) => {
        await target.put(pathOf(sha256), createReadStream(file)).catch((error: { code?: TargetErrorCode }) => {
          // Who sent the same was quicker.
          if (error.code !== 'ERR_TARGET_EXISTS') throw error;
        });
      });
      kept.push(Date.now());
    },
    read: (sha256, from) => Readable.from(bytesOf(sha256, from), { objectMode: false }),
    withFile: async (sha256, folder, work) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const file = join(folder, `${sha256}.${randomUUID()}`);
      try {
        await pipeline(bytesOf(sha256, 0), createWriteStream(file, { flags: 'wx', mode: 0o600 })).catch(away);
        return await work(file);
      } finally {
        await rm(file, { force: true });
      }
    },
    keptSince: async (moment) => {
      kept = kept.filter((at) => at >= moment);
      return kept.length;
    },
    names: () => within(async (target) => (await target.list('')).flatMap(({ path }) => nameIn(path))),
    drop: (sha256) => within((target) => target.remove(pathOf(sha256))),
  };
}

function pathOf(sha256: string): string {
  return `${sha256}/${OBJECT}`;
}

/** What else is in a bucket is none of ours. */
function nameIn(path: string): string[] {
  const [name = ''] = path.split('/');
  return NAME.test(name) && path === pathOf(name) ? [name] : [];
}

/** @throws ProblemError ERR_SECURITY_PACKAGES in place of what a bucket says */
function away(cause: unknown): never {
  const { code = '', message } = cause as { readonly code?: string; readonly message: string };
  if (!code.startsWith('ERR_TARGET_')) throw cause;
  throw Object.assign(new ProblemError('ERR_SECURITY_PACKAGES', message), { cause });
}
