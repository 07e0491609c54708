import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DeviceError } from '../errors.ts';
import { type DeviceRecord, type DeviceStorage, formatRecord, parseRecord } from './record.ts';

/** Storage in one file of mode 0600: written beside, synced, renamed, and the folder synced. */
export function fileStorage(file: string): DeviceStorage {
  return {
    holdsKeyObjects: false,
    async load() {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw new DeviceError('STORAGE_FAILED', `cannot read ${file}`, { cause: error });
      });
      return text === undefined ? undefined : readRecord(file, text);
    },
    async store(record) {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      const draft = await open(`${file}.new`, 'w', 0o600);
      try {
        await draft.writeFile(formatRecord(record));
        await draft.sync();
      } finally {
        await draft.close();
      }
      await rename(`${file}.new`, file);
      const folder = await open(dirname(file), 'r');
      await folder.sync().finally(() => folder.close());
    },
    clear: () => rm(file, { force: true }),
  };
}

function readRecord(file: string, text: string): DeviceRecord {
  try {
    return parseRecord(text);
  } catch (cause) {
    throw new DeviceError('STORAGE_FAILED', `${file} does not hold the record of a device`, { cause });
  }
}
