import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import {
  canonicalJson,
  type TargetsContent,
  targetsOfRelease,
  UPDATE_CHUNK_BYTES,
  type UpdateTarget,
} from '@sallyport/channel';
import { openFileSource, readPackage } from '@sallyport/releases';
import type { ReleaseView } from '@sallyport/security-api';
import { readJsonFile } from '@sallyport/settings';
import { CliError } from '../output.ts';

type Targets = TargetsContent['targets'];

/**
 * What Security must ask to be signed for a release, made from the package itself: whoever has a server cannot have another file signed in
 * its place. Of the release only id and notes are taken from the server, and shown.
 * @throws PackageError
 */
export async function targetsOfPackage(
  path: string,
  { id: release, notes }: Pick<ReleaseView, 'id' | 'notes'>,
): Promise<Targets> {
  const source = await openFileSource(path);
  const facts = await readPackage(source).finally(() => source.close());
  const { id: app, version, build, os, minOsVersion, permissions } = facts;
  return targetsOfRelease({
    ...{ release, app, version, build, os, minOsVersion, notes, permissions: [...permissions] },
    ...{ ...(await hashesOf(path)), chunkBytes: UPDATE_CHUNK_BYTES },
  });
}

async function hashesOf(path: string): Promise<{ sha256: string; bytes: number; chunks: string[] }> {
  const [whole, chunks] = [createHash('sha256'), [] as string[]];
  const file = await open(path, 'r');
  try {
    for (let bytes = 0; ; ) {
      const chunk = await readChunk(file, bytes);
      if (chunk.length === 0) return { sha256: whole.digest('hex'), bytes, chunks };
      whole.update(chunk);
      chunks.push(createHash('sha256').update(chunk).digest('hex'));
      bytes += chunk.length;
    }
  } finally {
    await file.close();
  }
}

/** A piece as devices verify it: whole but for the last one. */
async function readChunk(file: Awaited<ReturnType<typeof open>>, at: number): Promise<Buffer> {
  const chunk = Buffer.alloc(UPDATE_CHUNK_BYTES);
  let length = 0;
  for (let read = -1; read !== 0 && length < chunk.length; length += read)
    read = (await file.read(chunk, length, chunk.length - length, at + length)).bytesRead;
  return chunk.subarray(0, length);
}

/** What a person has signed by a key, kept beside it: what is among it needs no second look. */
export class SignedBefore {
  readonly #file: string;

  constructor(keyFile: string) {
    this.#file = `${keyFile}.signed`;
  }

  read(): Targets {
    return existsSync(this.#file) ? (readJsonFile(this.#file) as Targets) : {};
  }

  write(targets: Targets): void {
    writeFileSync(this.#file, `${JSON.stringify(targets)}\n`, { mode: 0o600 });
  }
}

/**
 * Looks at what a server asks to be signed: it must have what the package is, and beside it nothing that was not signed by this key before.
 * Gives the paths of other files.
 * @throws CliError when it is another package
 */
export function othersIn(
  asked: Targets,
  { own, before }: { readonly own: Targets; readonly before: Targets },
): string[] {
  for (const [path, target] of Object.entries(own))
    if (!isSame(asked[path], target))
      throw new CliError(
        'the server asks for a signature over another package than this one',
        `not what is said of ${path}`,
      );
  return Object.entries(asked)
    .filter(([path, target]) => !isSame(own[path], target) && !isSame(before[path], target))
    .map(([path]) => path);
}

function isSame(a: UpdateTarget | undefined, b: UpdateTarget): boolean {
  return a !== undefined && canonicalJson(a) === canonicalJson(b);
}
