import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** One shared file. */
export interface SharedFile {
  readonly name: string;
  readonly bytes: number;
}

/** The file share of the sample intranet: one folder, plain names, streamed in and out. */
export class FileShare {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** True for a name that can only lie in the folder itself. */
  static allows(name: string): boolean {
    return /^[A-Za-z0-9][A-Za-z0-9._ -]{0,99}$/.test(name) && !name.endsWith('.part');
  }

  async list(): Promise<SharedFile[]> {
    await mkdir(this.#folder, { recursive: true });
    const names = (await readdir(this.#folder)).filter(FileShare.allows);
    return Promise.all(
      names.sort().map(async (name) => ({ name, bytes: (await stat(join(this.#folder, name))).size })),
    );
  }

  async read(name: string): Promise<{ bytes: number; content: Readable } | undefined> {
    const file = join(this.#folder, name);
    const found = await stat(file).catch(() => undefined);
    return found && { bytes: found.size, content: createReadStream(file) };
  }

  /** Stores a file whole or not at all; gives its size. */
  async write(name: string, content: Readable): Promise<number> {
    await mkdir(this.#folder, { recursive: true });
    const draft = join(this.#folder, `${name}.part`);
    try {
      await pipeline(content, createWriteStream(draft));
      await rename(draft, join(this.#folder, name));
    } finally {
      await rm(draft, { force: true });
    }
    return (await stat(join(this.#folder, name))).size;
  }
}
