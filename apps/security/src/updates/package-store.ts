import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AccessError } from '@sallyport/access';
import { UPDATE_CHUNK_BYTES } from '@sallyport/channel';
import { openFileSource, PackageError, readPackage } from '@sallyport/releases';
import type { PackageView } from '@sallyport/security-api';

/** A package has at most so many bytes. */
const MAX_PACKAGE_BYTES = 2 * 1024 ** 3;

/** A part of a package that comes. */
export interface PackagePart {
  readonly sha256: string;
  /** Bytes before it. */
  readonly at: number;
  /** Bytes of the package in all. */
  readonly bytes: number;
  readonly content: Uint8Array;
}

/**
 * Packages by their SHA-256, in a folder that all nodes of the farm share. What comes is a draft until all of it is there and has this
 * hash; whatever is wrong with it leaves the store as it was.
 */
export class PackageStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Takes a part behind those that are there, and gives how many bytes there are. One that was taken before changes nothing.
   * @throws AccessError ERR_ACCESS_CONFLICT for one with a gap before it, ERR_ACCESS_INVALID for too large a package
   */
  async take({ sha256, at, bytes, content }: PackagePart): Promise<number> {
    if (bytes > MAX_PACKAGE_BYTES) throw invalid(`a package has at most ${MAX_PACKAGE_BYTES} bytes`);
    const whole = await sizeOf(this.#path(sha256));
    if (whole !== undefined) return whole;
    await mkdir(join(this.#folder, 'drafts'), { recursive: true, mode: 0o700 });
    const file = await open(this.#draft(sha256), at === 0 ? 'w' : 'r+').catch(() => undefined);
    if (!file) throw new AccessError('ERR_ACCESS_CONFLICT', 'the parts before this one are not there: begin again');
    try {
      const there = (await file.stat()).size;
      if (at > there || at + content.length > bytes)
        throw new AccessError('ERR_ACCESS_CONFLICT', `${there} bytes are there, this part begins at ${at}`);
      await file.write(content, 0, content.length, at);
      await file.sync();
      return Math.max(there, at + content.length);
    } finally {
      await file.close();
    }
  }

  /** Looks at a package once all its bytes are there, and keeps it. @throws AccessError ERR_ACCESS_INVALID: it is not taken */
  async finish(sha256: string): Promise<PackageView> {
    const known = await sizeOf(this.#path(sha256));
    const path = known === undefined ? this.#draft(sha256) : this.#path(sha256);
    const [chunks, digest] = await hashesOf(path);
    if (digest !== sha256) throw invalid('its bytes do not have the hash that it was sent with');
    const facts = await this.#read(path);
    if (known === undefined) await rename(path, this.#path(sha256));
    return { ...facts, sha256, bytes: (await sizeOf(this.#path(sha256)))!, chunks };
  }

  /** What a package is. @throws AccessError ERR_ACCESS_NOT_FOUND */
  async get(sha256: string): Promise<PackageView> {
    if ((await sizeOf(this.#path(sha256))) === undefined)
      throw new AccessError('ERR_ACCESS_NOT_FOUND', 'there is no such package');
    return this.finish(sha256);
  }

  /** Its bytes from a place on. */
  read(sha256: string, from: number): Readable {
    return createReadStream(this.#path(sha256), { start: from, highWaterMark: 256 * 1024 });
  }

  async #read(path: string): Promise<Omit<PackageView, 'sha256' | 'bytes' | 'chunks'>> {
    const source = await openFileSource(path);
    try {
      const { signers, permissions, ...facts } = await readPackage(source);
      return { ...facts, signers: [...signers], permissions: [...permissions] };
    } catch (error) {
      throw error instanceof PackageError ? invalid(error.message) : error;
    } finally {
      await source.close();
    }
  }

  #path(sha256: string): string {
    return join(this.#folder, sha256);
  }

  #draft(sha256: string): string {
    return join(this.#folder, 'drafts', sha256);
  }
}

function invalid(why: string): AccessError {
  return new AccessError('ERR_ACCESS_INVALID', `the package is refused: ${why}`);
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found?.size;
}

/** SHA-256 of each piece that devices verify, and of all of it. */
async function hashesOf(path: string): Promise<readonly [chunks: string[], whole: string]> {
  const whole = createHash('sha256');
  const chunks: string[] = [];
  let chunk = createHash('sha256');
  let room = UPDATE_CHUNK_BYTES;
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) {
    whole.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + room);
      chunk.update(part);
      [at, room] = [at + part.length, room - part.length];
      if (room > 0) continue;
      chunks.push(chunk.digest('hex'));
      [chunk, room] = [createHash('sha256'), UPDATE_CHUNK_BYTES];
    }
  }
  if (room < UPDATE_CHUNK_BYTES) chunks.push(chunk.digest('hex'));
  return [chunks, whole.digest('hex')];
}
