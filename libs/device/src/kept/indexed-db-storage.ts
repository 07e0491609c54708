import { type DeviceRecord, type DeviceStorage, formatRecord, parseRecord } from './record.ts';
import { SealedDatabase } from './sealed-database.ts';

const KEY = 'installation';

/**
 * Storage in IndexedDB: one record, one strictly durable transaction each. The signing key is a key object that stays inside the
 * browser; everything else is sealed with another one.
 */
export function indexedDbStorage(name = 'sallyport'): DeviceStorage {
  const database = new SealedDatabase(name);
  return {
    holdsKeyObjects: true,
    async load() {
      const found = await database.load(KEY);
      if (!found) return undefined;
      const record = parseRecord(found.text);
      if (!found.held) return record;
      return { ...record, signingKey: { ...record.signingKey, privateKey: found.held } };
    },
    store(record) {
      const { privateKey } = record.signingKey;
      if (!(privateKey instanceof CryptoKey)) return database.store(KEY, formatRecord(record));
      const signingKey = { ...record.signingKey, privateKey: {} };
      return database.store(KEY, formatRecord({ ...record, signingKey } as DeviceRecord), privateKey);
    },
    clear: () => database.remove(KEY),
  };
}
