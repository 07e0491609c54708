import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fileStorage } from '../../src/kept/file-storage.ts';
import { type DeviceRecord, formatRecord, parseRecord } from '../../src/kept/record.ts';

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

test('bytes come back as they were, whichever kind of view held them', async () => {
  const bytes = Uint8Array.from({ length: 40 }, (_, i) => i);
  const views = {
    Uint8Array: new Uint8Array(bytes.buffer, 8, 32),
    Buffer: Buffer.from(bytes.buffer, 8, 32),
    Uint8ClampedArray: new Uint8ClampedArray(bytes.buffer, 8, 32),
    Uint32Array: new Uint32Array(bytes.buffer, 8, 8),
    DataView: new DataView(bytes.buffer, 8, 32),
    ArrayBuffer: bytes.buffer.slice(8, 40),
  };
  const expected = bytes.slice(8);
  for (const [kind, view] of Object.entries(views)) {
    const value = view as unknown as Uint8Array;
    const record = {
      ...RECORD,
      rs: value,
      deviceSecret: value,
      keys: { generation: 1, current: value, previous: value },
      session: { sid: value, secret: value, reservedChanNo: 7 },
    };
    const storage = fileStorage(join(folder, 'views.json'));
    await storage.store(record);
    const read = (await storage.load())!;
    const found = [read.rs, read.deviceSecret, read.keys!.current, read.keys!.previous];
    for (const field of [...found, read.session!.sid, read.session!.secret]) {
      expect(field, kind).toEqual(expected);
      expect(field!.constructor, kind).toBe(Uint8Array);
    }
  }
});

test('a file of before, in which bytes stand as {"type":"Buffer"}, is healed when it is read', async () => {
  const file = join(folder, 'before.json');
  const old = JSON.parse(formatRecord(RECORD));
  old.deviceSecret = JSON.parse(JSON.stringify(Buffer.from(RECORD.deviceSecret)));
  old.keys.current = { type: 'Buffer', data: [...RECORD.keys!.current] };
  writeFileSync(file, JSON.stringify(old));
  const storage = fileStorage(file);
  const healed = await storage.load();
  expect(healed).toEqual(RECORD);
  await storage.store(healed!);
  expect(readFileSync(file, 'utf8')).not.toContain('"Buffer"');
});

test.each(['{"half', '[]', 'null', '{}', '{"deviceSecret":{"type":"Buffer","data":[256]}}'])(
  'a file that holds something else is an error by name: %s',
  async (text) => {
    const file = join(folder, 'else.json');
    writeFileSync(file, text);
    await expect(fileStorage(file).load()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  },
);
