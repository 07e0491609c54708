import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BackupError,
  type ExportPart,
  type ManifestKeys,
  type SealedExport,
  type Spool,
  sealExport,
} from '@sallyport/backup';
import { type DatabaseAddress, readSnapshot, type SnapshotPart } from '@sallyport/store-sql';

const READ_BYTES = 256 * 1024;

/** What an export is made from. */
export interface ExportSource {
  readonly address: DatabaseAddress;
  /** The database has standbys, and must prove that it is the primary. */
  readonly replicated: boolean;
  readonly realm: string;
  /** Version of the product. */
  readonly product: string;
  /** To whom it is encrypted. */
  readonly recipients: readonly string[];
  readonly keys: ManifestKeys;
  readonly spool: Spool;
}

/**
 * Makes an export of the realm, sealed, at no target yet: the snapshot is open only while the database gives it.
 * @throws StoreError ERR_STORE_UNAVAILABLE; BackupError ERR_BACKUP_RECIPIENT without recipients, ERR_BACKUP_SPOOL without room
 */
export async function makeExport(source: ExportSource): Promise<SealedExport> {
  const { address, replicated, realm, product, recipients, keys, spool } = source;
  return readSnapshot(address, { realm, replicated }, ({ takenAt, migration, epoch, log, audit, parts }) =>
    sealExport({ realm, product, takenAt, migration, epoch, log, audit }, partsOf(parts), { recipients, keys, spool }),
  );
}

async function* partsOf(parts: readonly SnapshotPart[]): AsyncIterable<ExportPart> {
  for (const { name, columns, rows } of parts) yield { name, columns, rows: rows() };
}

/** A spool, and how to let go of it. */
export interface OpenSpool extends Spool {
  close(): Promise<void>;
}

/** A file without a name in a folder: it is gone with the process, however that ends. @throws BackupError ERR_BACKUP_SPOOL */
export async function openSpool(folder: string): Promise<OpenSpool> {
  const file = join(folder, `spool-${randomUUID()}`);
  const handle = await spooling(folder, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const opened = await open(file, 'wx+', 0o600);
    await rm(file);
    return opened;
  });
  return {
    async write(content) {
      for await (const bytes of content) await spooling(folder, () => handle.writeFile(bytes));
    },
    async *read() {
      for (let at = 0; ; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, at);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
    close: () => handle.close(),
  };
}

async function spooling<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    throw new BackupError('ERR_BACKUP_SPOOL', `an export cannot be written to ${folder} (${code})`, { cause });
  }
}
