import { SealedDatabase } from '@sallyport/device/browser';

/** What the shell keeps of resources until the user signs out: cookies and passwords, sealed, by authority. */
export interface Keeping {
  load(name: string): Promise<string | undefined>;
  store(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Keeps texts sealed in this browser. What cannot be opened any more counts as not there. */
export function sealedKeeping(): Keeping {
  const database = new SealedDatabase('sallyport-resources');
  return {
    load: async (name) => (await database.load(name).catch(() => undefined))?.text,
    store: (name, text) => database.store(name, text),
    remove: (name) => database.remove(name),
  };
}
