import { expect, test } from 'vitest';
import { KeptRecord } from '../../src/kept/kept-record.ts';
import { type DeviceRecord, memoryStorage, type StoredSession } from '../../src/kept/record.ts';

const session = (number: number): StoredSession => ({
  sid: new Uint8Array(16).fill(number),
  secret: new Uint8Array(32),
  reservedChanNo: 0,
});
const record = (over: Partial<DeviceRecord> = {}): DeviceRecord => ({ realm: 'main', ...over }) as DeviceRecord;

test('changes are made one after the other, each of what the one before has left', async () => {
  const storage = memoryStorage();
  const kept = await KeptRecord.load(storage);
  await kept.store(record({ siteMapSeq: 0 }));
  const more = (stored: DeviceRecord): DeviceRecord => ({ ...stored, siteMapSeq: stored.siteMapSeq! + 1 });
  await Promise.all(Array.from({ length: 20 }, () => kept.change(more)));
  expect(kept.known?.siteMapSeq).toBe(20);
  expect((await storage.load())?.siteMapSeq).toBe(20);
});

test('a change that cannot be stored changes nothing here, and does not keep the next one back', async () => {
  const storage = memoryStorage();
  let full = false;
  const store = (given: DeviceRecord): Promise<void> =>
    full ? Promise.reject(new Error('the disk is full')) : storage.store(given);
  const kept = await KeptRecord.load({ ...storage, store });
  await kept.store(record());
  full = true;
  await expect(kept.change((stored) => ({ ...stored, iid: 'lost' }))).rejects.toThrow('the disk is full');
  expect(kept.known?.iid).toBeUndefined();
  full = false;
  await kept.change((stored) => ({ ...stored, iid: 'kept' }));
  expect(kept.known?.iid).toBe('kept');
});

test('what another process has stored is kept by a change, and known from then on', async () => {
  const storage = memoryStorage();
  const kept = await KeptRecord.load(storage);
  await kept.store(record());
  await storage.store(record({ user: { name: 'ada', displayName: 'Ada' } }));
  await kept.change((stored) => ({ ...stored, siteMapSeq: 7 }));
  expect(kept.known).toEqual(record({ user: { name: 'ada', displayName: 'Ada' }, siteMapSeq: 7 }));
});

test('the session of another process is never changed in the name of ours', async () => {
  const storage = memoryStorage();
  const kept = await KeptRecord.load(storage);
  await kept.store(record({ session: session(1) }));
  const reserve = (stored: StoredSession): StoredSession => ({ ...stored, reservedChanNo: 64 });
  expect(await kept.changeSession(session(1), reserve)).toMatchObject({ reservedChanNo: 64 });
  await storage.store(record({ session: session(2) }));
  await expect(kept.changeSession(session(1), reserve)).rejects.toMatchObject({ code: 'SIGNED_OUT' });
  expect((await storage.load())?.session).toEqual(session(2));
});

test('what another process has forgotten is not written again', async () => {
  const storage = memoryStorage();
  const kept = await KeptRecord.load(storage);
  await kept.store(record());
  await storage.clear();
  await expect(kept.change((stored) => ({ ...stored, siteMapSeq: 1 }))).rejects.toMatchObject({ code: 'NOT_ENROLLED' });
  expect(await storage.load()).toBeUndefined();
});

test('what is forgotten is not written again by a change that was being made', async () => {
  const storage = memoryStorage();
  let go = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    go = resolve;
  });
  const store = (given: DeviceRecord): Promise<void> =>
    (given.siteMapSeq === 1 ? slow : Promise.resolve()).then(() => storage.store(given));
  const kept = await KeptRecord.load({ ...storage, store });
  await kept.store(record({ session: session(1) }));
  const change = kept.change((stored) => ({ ...stored, siteMapSeq: 1 }));
  const cleared = kept.clear();
  go();
  await Promise.all([change, cleared]);
  expect([kept.known, await storage.load()]).toEqual([undefined, undefined]);
});
