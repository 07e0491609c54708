import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, type Stats } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** What is at a path. */
export interface Entry {
  /** Path in the folder, without a slash at its end; empty for the folder itself. */
  readonly path: string;
  readonly isFolder: boolean;
  readonly bytes: number;
  readonly changedAt: Date;
  readonly etag: string;
}

/** A folder on disk with the paths of a WebDAV client. Files are stored whole or not at all. */
export class DavFolder {
  readonly #root: string;
  readonly #drafts: string;

  constructor(root: string) {
    this.#root = join(root, 'files');
    this.#drafts = join(root, 'drafts');
  }

  /** Makes what is missing, and leaves nothing of writes that were cut off. */
  async open(): Promise<void> {
    await rm(this.#drafts, { recursive: true, force: true });
    for (const folder of [this.#root, this.#drafts]) await mkdir(folder, { recursive: true });
  }

  /** The path of the folder that an escaped path of a request names; undefined when it could name anything else. */
  static pathOf(escaped: string): string | undefined {
    const segments: string[] = [];
    for (const part of escaped.split('/')) {
      if (part === '') continue;
      const segment = decoded(part);
      if (segment === undefined || segment === '.' || segment === '..' || /[/\\\0]/.test(segment)) return undefined;
      if (Buffer.byteLength(segment) > 255) return undefined;
      segments.push(segment);
    }
    return segments.map((segment) => `/${segment}`).join('');
  }

  async find(path: string): Promise<Entry | undefined> {
    const found = await stat(this.#at(path)).catch(() => undefined);
    return found && entryOf(path, found);
  }

  /** What is directly in a folder, by name. */
  async list(path: string): Promise<Entry[]> {
    const names = (await readdir(this.#at(path))).sort();
    const found = await Promise.all(names.map((name) => this.find(`${path}/${name}`)));
    return found.filter((entry) => entry !== undefined);
  }

  read(path: string): Readable {
    return createReadStream(this.#at(path));
  }

  async write(path: string, content: Readable): Promise<void> {
    const draft = join(this.#drafts, randomUUID());
    try {
      await pipeline(content, createWriteStream(draft));
      await rename(draft, this.#at(path));
    } finally {
      await rm(draft, { force: true });
    }
  }

  async makeFolder(path: string): Promise<void> {
    await mkdir(this.#at(path));
  }

  async remove(path: string): Promise<void> {
    await rm(this.#at(path), { recursive: true });
  }

  /** True when the folder that a path lies in is there. */
  async hasParent(path: string): Promise<boolean> {
    return (await this.find(path === '' ? '' : dirname(path) === '/' ? '' : dirname(path)))?.isFolder === true;
  }

  async move(from: string, to: string): Promise<void> {
    await rename(this.#at(from), this.#at(to));
  }

  /** Copies a file, or a folder; without `deep` only the folder itself. */
  async copy(from: string, to: string, deep: boolean): Promise<void> {
    const entry = await this.find(from);
    if (entry?.isFolder && !deep) return this.makeFolder(to);
    await cp(this.#at(from), this.#at(to), { recursive: true, errorOnExist: true, force: false });
  }

  #at(path: string): string {
    return join(this.#root, ...path.split('/').filter(Boolean));
  }
}

function entryOf(path: string, found: Stats): Entry {
  const { size, mtime, mtimeMs, ino } = found;
  const isFolder = found.isDirectory();
  const etag = `"${ino.toString(36)}-${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
  return { path, isFolder, bytes: isFolder ? 0 : size, changedAt: mtime, etag };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
