import { createHash, randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AccessError } from '@sallyport/access';
import { UPDATE_CHUNK_BYTES } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import { Places } from '@sallyport/places';
import { openFileSource, PackageError, readPackage } from '@sallyport/releases';
import type { PackageView } from '@sallyport/security-api';
import { noneIfMissing } from '../stores/durable-file.ts';
import { folderPlace, type PackagePlace } from './package-place.ts';

/** A package has at most so many bytes. */
const MAX_PACKAGE_BYTES = 2 * 1024 ** 3;
const DAY_MS = 86_400_000;
/** A draft to which nothing came for so long is given up, ms. */
const DRAFT_LIFE_MS = DAY_MS;
/** So many packages come at once at most: each may hold room on the disk for a day. */
const MAX_DRAFTS = 16;
/** So many packages are kept in a day at most, whoever sends them. */
const MAX_PER_DAY = 256;
/** Packages are looked at one after the other: each is copied, hashed and read as a whole. */
const LOOKS = { places: 1, maxWaiting: 16, maxWaitMs: 60_000 } as const;

/** A part of a package that comes. */
export interface PackagePart {
  readonly sha256: string;
  /** Bytes before it. */
  readonly at: number;
  /** Bytes of the package in all. */
  readonly bytes: number;
  readonly content: Uint8Array;
  /** Who sends it: nobody adds to what another one has begun. */
  readonly by: string;
}

/** A package that somebody sends. */
type Draft = Pick<PackagePart, 'sha256' | 'by'>;

/**
 * Packages by their SHA-256, in a place that all nodes of the farm share. What comes is a draft of whoever sends it until all of it is
 * there and has this hash; whatever is wrong with it leaves the store as it was. Parts may come twice, and at any node that shares the folder
 * of drafts.
 */
export class PackageStore {
  readonly #folder: string;
  readonly #place: PackagePlace;
  readonly #looks = new Places(LOOKS);

  /** Drafts are in a folder, and whole packages too, unless they have a place of their own. */
  constructor(folder: string, place: PackagePlace = folderPlace(folder)) {
    this.#folder = folder;
    this.#place = place;
  }

  /** SHA-256 of all packages. */
  names(): Promise<readonly string[]> {
    return this.#place.names();
  }

  /** Removes a package. */
  drop(sha256: string): Promise<void> {
    return this.#place.drop(sha256);
  }

  /**
   * Takes a part behind those that are there, and gives how many bytes there are. One that was taken before changes nothing.
   * @throws AccessError ERR_ACCESS_CONFLICT for one with a gap before it, ERR_ACCESS_INVALID for too large a package
   */
  async take({ sha256, at, bytes, content, by }: PackagePart): Promise<number> {
    if (bytes > MAX_PACKAGE_BYTES) throw invalid(`a package has at most ${MAX_PACKAGE_BYTES} bytes`);
    const whole = await this.#place.sizeOf(sha256);
    if (whole !== undefined) return whole;
    const file = await this.#openDraft({ sha256, by }, at === 0);
    if (!file) throw conflict('the parts before this one are not there: begin again');
    try {
      const there = (await file.stat()).size;
      if (there > bytes) await file.truncate();
      if (there > bytes || at > there || at + content.length > bytes)
        throw conflict(`${there} bytes are there, this part begins at ${at}: begin again`);
      await file.write(content, 0, content.length, at);
      await file.sync();
      return Math.max(there, at + content.length);
    } finally {
      await file.close();
    }
  }

  /** The file of a draft; undefined for one that was not begun. Nothing of it is lost to who begins it again. */
  async #openDraft(draft: Draft, begins: boolean): Promise<FileHandle | undefined> {
    if (!begins) return openedOrNone(this.#draft(draft), 'r+');
    await mkdir(this.#drafts, { recursive: true, mode: 0o700 });
    const known = await openedOrNone(this.#draft(draft), 'r+');
    if (known) return known;
    const now = Date.now();
    if ((await this.sweep(now)) >= MAX_DRAFTS)
      throw conflict(`${MAX_DRAFTS} packages are on their way already: try again later`);
    if ((await this.#place.keptSince(now - DAY_MS)) >= MAX_PER_DAY)
      throw conflict(`${MAX_PER_DAY} packages came within a day: try again tomorrow`);
    return open(this.#draft(draft), constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  /** Gives up drafts to which nothing came for a day; gives how many are left. `now` in epoch ms. */
  async sweep(now: number): Promise<number> {
    const names = await readdir(this.#drafts).catch(noneIfMissing);
    let left = 0;
    for (const name of names ?? []) {
      const path = join(this.#drafts, name);
      const changedAt = (await stat(path).catch(noneIfMissing))?.mtimeMs ?? 0;
      if (now - changedAt > DRAFT_LIFE_MS) await rm(path, { force: true });
      else left += 1;
    }
    return left;
  }

  /** Looks at a package once all its bytes are there, and keeps it. @throws AccessError ERR_ACCESS_INVALID: it is not taken, and forgotten */
  finish(draft: Draft): Promise<PackageView> {
    return this.#looks.run(() => this.#finish(draft));
  }

  async #finish(draft: Draft): Promise<PackageView> {
    const path = this.#draft(draft);
    if ((await this.#place.sizeOf(draft.sha256)) !== undefined) {
      await rm(path, { force: true });
      return this.#get(draft.sha256);
    }
    try {
      const found = await this.#keep(draft);
      await rm(path, { force: true });
      return found;
    } catch (error) {
      if (error instanceof AccessError) await rm(path, { force: true });
      // The same parts may have come twice, at two nodes: then the other one has kept it by now.
      if (noneIfMissing(error as NodeJS.ErrnoException) === undefined) return this.#get(draft.sha256);
      throw error;
    }
  }

  /**
   * Copies a draft to where nobody else writes, looks at the copy, and keeps just that: whoever sends parts of a draft could else change it
   * between a look and the next one.
   */
  async #keep(draft: Draft): Promise<PackageView> {
    const copy = `${this.#draft(draft)}.${randomUUID()}`;
    try {
      await copyFile(this.#draft(draft), copy, constants.COPYFILE_FICLONE);
      const found = await this.#look(draft.sha256, copy);
      await this.#place.keep(draft.sha256, copy);
      return found;
    } finally {
      await rm(copy, { force: true });
    }
  }

  /** What a package is. @throws AccessError ERR_ACCESS_NOT_FOUND */
  get(sha256: string): Promise<PackageView> {
    return this.#looks.run(() => this.#get(sha256));
  }

  async #get(sha256: string): Promise<PackageView> {
    if ((await this.#place.sizeOf(sha256)) === undefined)
      throw new AccessError('ERR_ACCESS_NOT_FOUND', 'there is no such package');
    return this.#place.withFile(sha256, this.#drafts, (path) => this.#look(sha256, path));
  }

  /** Reads a file of which somebody says the hash. @throws AccessError ERR_ACCESS_INVALID */
  async #look(sha256: string, path: string): Promise<PackageView> {
    const [chunks, digest] = await hashesOf(path);
    if (digest !== sha256) throw invalid('its bytes do not have the hash that it was sent with');
    return { ...(await this.#read(path)), sha256, bytes: (await stat(path)).size, chunks };
  }

  /** Makes sure that what a release names is here as it was. @throws ProblemError ERR_SECURITY_PACKAGES: never is it "not there" for a device */
  async ensure({ sha256, bytes }: Pick<PackageView, 'sha256' | 'bytes'>): Promise<void> {
    const found = await this.#place.sizeOf(sha256);
    if (found === bytes) return;
    const how = found === undefined ? 'is not at this node' : `has ${found} bytes at this node, not ${bytes}`;
    throw new ProblemError(
      'ERR_SECURITY_PACKAGES',
      `package ${sha256} ${how}: SALLYPORT_PACKAGES is one place for all`,
    );
  }

  /** Its bytes from a place on. */
  read(sha256: string, from: number): Readable {
    return this.#place.read(sha256, from);
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

  get #drafts(): string {
    return join(this.#folder, 'drafts');
  }

  #draft({ sha256, by }: Draft): string {
    return join(this.#drafts, `${sha256}.${createHash('sha256').update(by).digest('hex').slice(0, 16)}`);
  }
}

function conflict(why: string): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', why);
}

function openedOrNone(path: string, flags: string): Promise<FileHandle | undefined> {
  return open(path, flags).catch(noneIfMissing);
}

function invalid(why: string): AccessError {
  return new AccessError('ERR_ACCESS_INVALID', `the package is refused: ${why}`);
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
