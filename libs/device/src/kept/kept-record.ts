import { DeviceError } from '../errors.ts';
import { type DeviceRecord, type DeviceStorage, type StoredSession, sameSession } from './record.ts';

/**
 * What a device has in its storage, and knows of it. Changes are made one after the other, and durably. Another process may use the
 * same storage: its changes are kept, and known here with the next change of ours.
 */
export class KeptRecord {
  readonly #storage: DeviceStorage;
  #known: DeviceRecord | undefined;
  /** The change that is made last. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(storage: DeviceStorage, known: DeviceRecord | undefined) {
    this.#storage = storage;
    this.#known = known;
  }

  /** Loads what the storage holds. */
  static async load(storage: DeviceStorage): Promise<KeptRecord> {
    return new KeptRecord(storage, await storage.load());
  }

  /** The record as it was read or written last; undefined while there is none. */
  get known(): DeviceRecord | undefined {
    return this.#known;
  }

  /** Writes a record in place of what is stored. */
  async store(record: DeviceRecord): Promise<void> {
    await this.#inTurn(async () => {
      await this.#storage.store(record);
      this.#known = record;
    });
  }

  /** Changes what is stored, whoever wrote it. @throws DeviceError NOT_ENROLLED when nothing is stored any more */
  change(change: (stored: DeviceRecord) => DeviceRecord): Promise<void> {
    return this.#inTurn(async () => {
      const stored = await this.#storage.load();
      if (!stored) throw new DeviceError('NOT_ENROLLED', 'this device is not enrolled any more');
      const changed = change(stored);
      if (changed !== stored) await this.#storage.store(changed);
      this.#known = changed;
    });
  }

  /** Changes the session that is stored, and gives it. @throws DeviceError SIGNED_OUT when it is another one */
  async changeSession(
    session: StoredSession,
    change: (stored: StoredSession) => StoredSession,
  ): Promise<StoredSession> {
    await this.change((stored) =>
      sameSession(stored.session, session) ? { ...stored, session: change(stored.session!) } : stored,
    );
    const now = this.#known?.session;
    if (!now || !sameSession(now, session)) throw new DeviceError('SIGNED_OUT', 'another session has begun');
    return now;
  }

  /** Forgets everything. A change that is being made ends before: it would write back what it has read. */
  clear(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#storage.clear();
      this.#known = undefined;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }
}
