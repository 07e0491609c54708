import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fileStorage } from '../src/file-storage.ts';
import { type DeviceRecord, formatRecord, parseRecord } from '../src/record.ts';

const folder = mkdtempSync('/tmp/sallyport-storage-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RECORD: DeviceRecord = {
  realm: 'main',
  kid: 7,
  rs: new Uint8Array(32).fill(1),
  root: new Uint8Array(32).fill(2),
  origins: ['ws://x'],
  deviceSecret: new Uint8Array(32).fill(3),
  signingKey: { publicJwk: { kty: 'EC' }, privateKey: { kty: 'EC', d: 'x' } },
  iid: 'i',
  keys: { generation: 1, current: Uint8Array.of(1), previous: new Uint8Array(0) },
};

test('a record comes back as it was', async () => {
  expect(parseRecord(formatRecord(RECORD))).toEqual(RECORD);
  const storage = fileStorage(join(folder, 'deep', 'device.json'));
  expect(await storage.load()).toBeUndefined();
  await storage.store(RECORD);
  expect(await storage.load()).toEqual(RECORD);
  await storage.clear();
  expect(await storage.load()).toBeUndefined();
});

test('the file is for its owner only, and a draft of a crash is not mistaken for it', async () => {
  const file = join(folder, 'device.json');
  const storage = fileStorage(file);
  await storage.store(RECORD);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  writeFileSync(`${file}.new`, '{"half');
  expect(await storage.load()).toEqual(RECORD);
  await storage.store({ ...RECORD, kid: 8 });
  expect(JSON.parse(readFileSync(file, 'utf8')).kid).toBe(8);
});

test('a file that cannot be read is an error by name, not an empty device', async () => {
  const storage = fileStorage(folder);
  await expect(storage.load()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});
