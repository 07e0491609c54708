import type { DeviceRecord, DeviceStorage } from './record.ts';

const STORE = 'records';
const KEY = 'installation';

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Storage in IndexedDB: one record, one strictly durable transaction each; key objects stay inside the browser. */
export function indexedDbStorage(name = 'sallyport'): DeviceStorage {
  const database = async (): Promise<IDBDatabase> => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return settled(request);
  };
  const write = async (change: (store: IDBObjectStore) => IDBRequest): Promise<void> => {
    const opened = await database();
    const transaction = opened.transaction(STORE, 'readwrite', { durability: 'strict' });
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
      change(transaction.objectStore(STORE));
    });
    opened.close();
  };
  return {
    holdsKeyObjects: true,
    async load() {
      const opened = await database();
      const found = await settled(opened.transaction(STORE).objectStore(STORE).get(KEY));
      opened.close();
      return found as DeviceRecord | undefined;
    },
    store: (record) => write((store) => store.put(record, KEY)),
    clear: () => write((store) => store.delete(KEY)),
  };
}
