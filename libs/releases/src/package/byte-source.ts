import { type FileHandle, open } from 'node:fs/promises';
import { PackageError } from '../errors.ts';

/** Bytes that are read in pieces, wherever they lie: a package is never in memory as a whole. */
export interface ByteSource {
  readonly size: number;
  /** Exactly these bytes. @throws PackageError ERR_PACKAGE_FORMAT when there are not so many */
  read(at: number, length: number): Promise<Buffer>;
}

/** A file that is read in pieces. `close` when nobody reads it any more. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/** Opens a file as a source. */
export async function openFileSource(path: string): Promise<FileSource> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  return { size, read: (at, length) => readWhole(file, { at, length, size }), close: () => file.close() };
}

async function readWhole(
  file: FileHandle,
  { at, length, size }: { readonly at: number; readonly length: number; readonly size: number },
): Promise<Buffer> {
  if (at < 0 || length < 0 || at + length > size)
    throw new PackageError('ERR_PACKAGE_FORMAT', 'the package is cut off');
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) throw new PackageError('ERR_PACKAGE_FORMAT', 'the package is cut off');
    done += bytesRead;
  }
  return bytes;
}
