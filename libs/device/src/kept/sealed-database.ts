import { decodeText, encodeText } from '@sallyport/channel';

const STORE = 'records';
/** Where the database keeps the key that seals its texts. */
const SEALING_KEY = 'sealing key';
const ALGORITHM = 'AES-GCM';
const NONCE_BYTES = 12;

/** A text as it lies in the database. `held` are key objects that the browser keeps for itself. */
export interface SealedText {
  readonly nonce: Uint8Array<ArrayBuffer>;
  readonly sealed: ArrayBuffer;
  readonly held?: CryptoKey;
}

/** What a database holds under a name. */
export interface OpenedText {
  /** The text, as it was stored. */
  readonly text: string;
  /** A key object that was stored beside it. */
  readonly held?: CryptoKey;
}

/**
 * Texts in IndexedDB, sealed with an AES key that cannot be exported (Web Crypto, `extractable` false): who copies the files of the
 * browser, or reads the database, gets no key and no session. Scripts of this origin can still use it. One strictly durable transaction
 * for each change; the name of a text is authenticated with it.
 */
export class SealedDatabase {
  readonly #name: string;

  /** `name` is that of the IndexedDB database; it is made at the first use. */
  constructor(name: string) {
    this.#name = name;
  }

  /** Opens a text; undefined when there is none. @throws DOMException OperationError for what was not sealed under this name here */
  async load(name: string): Promise<OpenedText | undefined> {
    const found = await this.#read<SealedText>(name);
    if (found === undefined) return undefined;
    const { nonce, sealed, held } = found;
    const opened = await crypto.subtle.decrypt(sealing(nonce, name), await this.#key(), sealed);
    return { text: decodeText(new Uint8Array(opened)), ...(held ? { held } : {}) };
  }

  /** Seals and stores a text under a name, with a key object beside it if there is one; durable once it resolves. */
  async store(name: string, text: string, held?: CryptoKey): Promise<void> {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const bytes = encodeText(text) as Uint8Array<ArrayBuffer>;
    const sealed = await crypto.subtle.encrypt(sealing(nonce, name), await this.#key(), bytes);
    const row: SealedText = { nonce, sealed, ...(held ? { held } : {}) };
    await this.#write((store) => store.put(row, name));
  }

  /** Forgets one text; what is not there is forgotten already. */
  async remove(name: string): Promise<void> {
    await this.#write((store) => store.delete(name));
  }

  /** The key of this database: made once, whoever opens it first. */
  async #key(): Promise<CryptoKey> {
    const known = await this.#read<CryptoKey>(SEALING_KEY);
    if (known) return known;
    const made = await crypto.subtle.generateKey({ name: ALGORITHM, length: 256 }, false, ['encrypt', 'decrypt']);
    // Another tab may be as far: the first one's key stays.
    await this.#write((store) => store.add(made, SEALING_KEY)).catch(() => undefined);
    return (await this.#read<CryptoKey>(SEALING_KEY))!;
  }

  async #read<T>(name: string): Promise<T | undefined> {
    const opened = await this.#open();
    try {
      return (await settled(opened.transaction(STORE).objectStore(STORE).get(name))) as T | undefined;
    } finally {
      opened.close();
    }
  }

  async #write(change: (store: IDBObjectStore) => IDBRequest): Promise<void> {
    const opened = await this.#open();
    try {
      const transaction = opened.transaction(STORE, 'readwrite', { durability: 'strict' });
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onerror = () => reject(transaction.error);
        transaction.onabort = () => reject(transaction.error);
        change(transaction.objectStore(STORE));
      });
    } finally {
      opened.close();
    }
  }

  #open(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return settled(request);
  }
}

function sealing(nonce: Uint8Array<ArrayBuffer>, name: string): AesGcmParams {
  return { name: ALGORITHM, iv: nonce, additionalData: encodeText(name) as Uint8Array<ArrayBuffer> };
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
