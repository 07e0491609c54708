import { spawnSync } from 'node:child_process';
import { createHash, createHmac, randomBytes, randomInt } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { scratchFolder } from '@sallyport/support';
import { describe, expect, test } from 'vitest';
import {
  type BackupIdentity,
  type BackupTarget,
  checkReceipt,
  EXPORT_OBJECTS,
  type ExportPart,
  formatIdentity,
  formatManifest,
  formatReceipt,
  formatRecipient,
  issueReceipt,
  listExports,
  type Manifest,
  type ManifestKeys,
  makeIdentity,
  objectPath,
  openData,
  openFolderTarget,
  parseIdentity,
  parseRecipients,
  putChecked,
  putExport,
  readManifest,
  readScript,
  type SealedExport,
  type Spool,
  sealExport,
  writeScript,
} from '../src/index.ts';

const SEED = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const ada = await makeIdentity('ada');
const eve = await makeIdentity('eve');

function keysOf(...ids: readonly number[]): ManifestKeys {
  const hmac = (kek: number, bytes: Uint8Array | string): Buffer =>
    createHmac('sha256', `key ${kek}`).update(bytes).digest().subarray(0, 16);
  const mac = (kek: number, bytes: Uint8Array): Buffer => Buffer.from([0, 0, 0, kek, ...hmac(kek, bytes)]);
  return {
    current: ids[0]!,
    mac: (bytes) => mac(ids[0]!, bytes),
    verifyMac: (tag, bytes) => ids.includes(tag[3]!) && mac(tag[3]!, bytes).equals(tag),
    checkValue: (kek) => (ids.includes(kek) ? hmac(kek, 'check') : undefined),
  };
}

const KEYS = keysOf(1);

function memorySpool(): Spool & { bytes(): Buffer } {
  let held = Buffer.alloc(0);
  return {
    async write(content) {
      const read: Uint8Array[] = [];
      for await (const bytes of content) read.push(Buffer.from(bytes));
      held = Buffer.concat(read);
    },
    read: () => once(held),
    bytes: () => held,
  };
}

async function* once(...pieces: readonly (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

interface Table {
  readonly name: string;
  readonly columns: readonly string[];
  readonly text: string;
}

const TABLES: readonly Table[] = [
  { name: 'empty', columns: ['realm'], text: '' },
  { name: 'users', columns: ['realm', 'name'], text: 'main\tada\nmain\t\\\\.\n\\N\t\\\\N\n' },
  { name: 'ends', columns: ['a'], text: '\\\\.\n' },
];

async function* partsOf(tables: readonly Table[], cut = 3): AsyncIterable<ExportPart> {
  for (const { name, columns, text } of tables) {
    const bytes = Buffer.from(text);
    const pieces = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, i) =>
      bytes.subarray(i * cut, (i + 1) * cut),
    );
    yield { name, columns, rows: once(...pieces) };
  }
}

async function tablesOf(parts: AsyncIterable<ExportPart>): Promise<Table[]> {
  const read: Table[] = [];
  for await (const { name, columns, rows } of parts) {
    const chunks: Uint8Array[] = [];
    for await (const bytes of rows) chunks.push(Buffer.from(bytes));
    read.push({ name, columns, text: Buffer.concat(chunks).toString() });
  }
  return read;
}

function seal(
  tables: readonly Table[] = TABLES,
  over: { realm?: string; keys?: ManifestKeys; recipients?: readonly BackupIdentity[]; spool?: Spool } = {},
): Promise<SealedExport> {
  const { realm = 'main', keys = KEYS, recipients = [ada], spool = memorySpool() } = over;
  const facts = {
    realm,
    product: '0.1.0',
    migration: '0018_log_subjects',
    takenAt: Date.UTC(2026, 10, 26, 14, 15),
    epoch: 'e'.repeat(32),
    log: { head: 3, hash: 'f'.repeat(64) },
    audit: { seq: 9, hash: 'a'.repeat(64) },
  };
  return sealExport(facts, partsOf(tables), { recipients: recipients.map((one) => one.recipient.age), keys, spool });
}

const refusal = (code: string): object => expect.objectContaining({ code });

test('what was sealed opens with any of its identities, part by part', async () => {
  const sealed = await seal(TABLES, { recipients: [ada, eve] });
  for (const identity of [ada, eve])
    expect(await tablesOf(openData(sealed.data(), { manifest: sealed.manifest, identity }))).toEqual(TABLES);
  expect(sealed.manifest.parts.map(({ name, rows }) => [name, rows])).toEqual([
    ['empty', 0],
    ['users', 3],
    ['ends', 1],
  ]);
});

test.skipIf(spawnSync('age', ['--version']).error)(
  'the age of Debian opens it, and finds the text that psql reads (skipped where age is not installed)',
  async () => {
    const spool = memorySpool();
    await seal(TABLES, { spool });
    const folder = scratchFolder();
    writeFileSync(join(folder, 'identity'), formatIdentity(ada));
    writeFileSync(join(folder, 'data.age'), spool.bytes());
    const { stdout, stderr } = spawnSync('age', ['-d', '-i', 'identity', 'data.age'], { cwd: folder });
    expect(String(stderr)).toBe('');
    const text = gunzipSync(stdout).toString();
    expect(text).toContain('COPY "users" ("realm", "name") FROM stdin;\nmain\tada\n');
    expect(text.endsWith('\\.\n')).toBe(true);
  },
);

test(`a script comes back as it was, however it is cut (seed ${SEED})`, async () => {
  let state = SEED;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const pieces = ['\\\\.', '\\N', '\t', 'x', '\\n', '\n', '\\\\', '.', 'ünï'];
  for (let round = 0; round < 200; round++) {
    const tables = Array.from({ length: 1 + random(4) }, (_, i) => {
      const body = Array.from({ length: random(12) }, () => pieces[random(pieces.length)]).join('');
      return { name: `t${i}`, columns: ['realm', 'b_c'], text: body === '' ? '' : `${body}\n` };
    });
    const chunks: Buffer[] = [];
    for await (const bytes of writeScript(partsOf(tables))) chunks.push(Buffer.from(bytes));
    const whole = Buffer.concat(chunks);
    async function* cut(): AsyncIterable<Uint8Array> {
      for (let at = 0; at < whole.length; ) {
        const length = 1 + random(9);
        yield whole.subarray(at, at + length);
        at += length;
      }
    }
    expect(await tablesOf(readScript(cut())), `seed ${SEED}, round ${round}`).toEqual(tables);
    const short = whole.subarray(0, random(whole.length));
    const lines = whole.toString().split('\n').length;
    const read = tablesOf(readScript(once(short))).then(
      (found) => expect(found.length).toBeLessThan(lines),
      (error) => expect(error).toMatchObject({ code: 'ERR_BACKUP_DAMAGED' }),
    );
    await read;
  }
});

test('many rows take no more memory than few: the reader is waited for', async () => {
  const row = `${'x'.repeat(1_000)}\n`;
  let given = 0;
  async function* rows(): AsyncIterable<Uint8Array> {
    for (; given < 40_000; given++) yield Buffer.from(`${given}${row}`);
  }
  async function* many(): AsyncIterable<ExportPart> {
    yield { name: 'many', columns: ['a'], rows: rows() };
  }
  let most = 0;
  const waiting: Spool = {
    async write(content) {
      let taken = 0;
      for await (const bytes of content) {
        taken += bytes.length;
        // What was given and not taken yet, where gzip makes it small at least by half.
        most = Math.max(most, given - taken / 2_000);
        if (taken > 40_000) break;
      }
    },
    read: () => once(),
  };
  const incompressible = async function* (): AsyncIterable<ExportPart> {
    for await (const part of many())
      yield {
        ...part,
        rows: (async function* () {
          for await (const _ of part.rows) yield Buffer.from(`${randomBytes(1_000).toString('hex')}\n`);
        })(),
      };
  };
  const facts = {
    realm: 'm',
    product: '1',
    migration: '0001_a',
    takenAt: 1,
    epoch: 'e'.repeat(32),
    log: { head: 0, hash: '' },
  };
  // A spool that stops in the middle makes no export.
  const sealing = sealExport({ ...facts, audit: { seq: 0, hash: '' } }, incompressible(), {
    recipients: [ada.recipient.age],
    keys: KEYS,
    spool: waiting,
  });
  await expect(sealing).rejects.toMatchObject({ code: 'ERR_BACKUP_MANIFEST' });
  expect(most).toBeLessThan(4_000);
  expect(given).toBeLessThan(4_000);
});

test('an export at a target is read back before it counts, and a target that lies is named', async () => {
  const target = await openFolderTarget(scratchFolder());
  const sealed = await seal();
  let bytes = 0;
  await putExport(target, sealed, (more) => {
    bytes += more;
  });
  expect(bytes).toBe(2 * sealed.manifest.data.bytes);
  const found = await readManifest(target, { realm: 'main', name: sealed.manifest.name, keys: KEYS });
  expect(found).toEqual({ manifest: sealed.manifest, text: sealed.text, genuine: true });
  const lying: BackupTarget = {
    ...target,
    description: 'a liar',
    put: (path, content) => target.put(path, content),
    remove: (path) => target.remove(path),
    get: () => once('something else'),
  };
  await expect(putChecked(lying, 'main/x', () => once('content'))).rejects.toThrowError(
    expect.objectContaining({ code: 'ERR_TARGET_DAMAGED', message: expect.stringContaining('a liar') }),
  );
  const losing: BackupTarget = {
    ...lying,
    put: async (_, content) => {
      for await (const _piece of content);
    },
    get: (path) => target.get(path),
  };
  await expect(putChecked(losing, 'main/y', () => once('content'))).rejects.toThrowError(refusal('ERR_TARGET_DAMAGED'));
  expect((await target.list('main')).length).toBe(3);
});

test('killed at any step of putting, nothing half is an export', async () => {
  const folder = scratchFolder();
  const target = await openFolderTarget(folder);
  for (let step = 0; step < 3; step++) {
    let puts = 0;
    const dying: BackupTarget = {
      description: 'dies',
      put: (path, content) => (puts++ === step ? Promise.reject(new Error('killed')) : target.put(path, content)),
      get: (path) => target.get(path),
      list: (path) => target.list(path),
      remove: (path) => target.remove(path),
      close: () => target.close(),
    };
    await expect(putExport(dying, await seal())).rejects.toThrow('killed');
    expect((await listExports(target, 'main')).filter(({ whole }) => whole)).toEqual([]);
  }
  await putExport(target, await seal());
  expect((await listExports(target, 'main')).filter(({ whole }) => whole)).toHaveLength(1);
});

describe('an export is refused by name', async () => {
  const sealed = await seal();
  const bytes = Buffer.concat(await all(sealed.data()));

  async function all(content: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
    const read: Buffer[] = [];
    for await (const piece of content) read.push(Buffer.from(piece));
    return read;
  }

  const open = (data: Uint8Array, manifest = sealed.manifest, identity = ada): Promise<Table[]> =>
    tablesOf(openData(once(data), { manifest, identity }));
  const damaged = refusal('ERR_BACKUP_DAMAGED');

  test('with a flipped bit anywhere: header, body, tail', async () => {
    const places = new Set([0, 1, 30, 60, 120, 180, bytes.length - 1, bytes.length - 17, Math.floor(bytes.length / 2)]);
    for (let at = 0; at < bytes.length; at += 13) places.add(at);
    for (const at of places) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << (at % 8);
      await expect(open(flipped), `byte ${at}`).rejects.toThrowError(damaged);
    }
  });

  test('with a tail that is cut off, or more behind it', async () => {
    for (const length of [0, 1, 100, bytes.length - 17, bytes.length - 1])
      await expect(open(bytes.subarray(0, length)), `${length} bytes`).rejects.toThrowError(damaged);
    await expect(open(Buffer.concat([bytes, Buffer.from('x')]))).rejects.toThrowError(damaged);
  });

  test('with the data of another export of the same realm', async () => {
    const other = await seal(TABLES);
    await expect(open(Buffer.concat(await all(other.data())))).rejects.toThrowError(damaged);
    const changed = await seal([TABLES[0]!, { ...TABLES[1]!, text: 'main\teve\n' }, TABLES[2]!]);
    await expect(open(Buffer.concat(await all(changed.data())))).rejects.toThrowError(damaged);
  });

  test('with a part that is swapped, missing, or more', async () => {
    for (const tables of [[TABLES[1]!, TABLES[0]!, TABLES[2]!], TABLES.slice(0, 2), [...TABLES, TABLES[0]!]]) {
      const other = await seal(tables);
      const manifest = { ...other.manifest, parts: sealed.manifest.parts };
      await expect(open(Buffer.concat(await all(other.data())), manifest)).rejects.toThrowError(damaged);
    }
  });

  test('for a wrong identity, before its data is read', async () => {
    const reading = tablesOf(
      openData(
        (async function* (): AsyncIterable<Uint8Array> {
          yield* once();
          throw new Error('was read');
        })(),
        { manifest: sealed.manifest, identity: eve },
      ),
    );
    await expect(reading).rejects.toThrowError(refusal('ERR_BACKUP_IDENTITY'));
  });

  test('what the target says of itself is not called damage', async () => {
    const fault = Object.assign(new Error('gone'), { code: 'ERR_TARGET_GONE' });
    async function* gone(): AsyncIterable<Uint8Array> {
      yield bytes.subarray(0, bytes.length - 50);
      throw fault;
    }
    await expect(tablesOf(openData(gone(), { manifest: sealed.manifest, identity: ada }))).rejects.toBe(fault);
  });

  async function targetWith(text: string, { realm = 'main', name = sealed.manifest.name } = {}): Promise<BackupTarget> {
    const target = await openFolderTarget(scratchFolder());
    await target.put(objectPath(realm, name, EXPORT_OBJECTS.manifest), once(text));
    return target;
  }

  const read = async (target: BackupTarget, over: object = {}): Promise<unknown> =>
    readManifest(target, { realm: 'main', name: sealed.manifest.name, keys: KEYS, ...over });

  test('with a manifest that was edited, whatever field it is', async () => {
    const { manifest } = sealed;
    const edits: Partial<Manifest>[] = [
      { product: '9' },
      { migration: '0017_x' },
      { epoch: 'd'.repeat(32) },
      { log: { head: 4, hash: 'f'.repeat(64) } },
      { audit: { seq: 8, hash: 'a'.repeat(64) } },
      { takenAt: '2027-01-01T00:00:00.000Z' },
      { recipients: [eve.recipient.age] },
      { parts: manifest.parts.slice(1) },
      { data: { bytes: 1, sha256: '0'.repeat(64) } },
      { mac: { ...manifest.mac, tag: '0'.repeat(32) } },
    ];
    for (const edit of edits) {
      const target = await targetWith(formatManifest({ ...manifest, ...edit }));
      await expect(read(target), JSON.stringify(edit)).rejects.toThrowError(refusal('ERR_BACKUP_MANIFEST'));
    }
  });

  test('under the name of another export, and of another realm', async () => {
    const name = '20261126T141500Z-00000000';
    await expect(read(await targetWith(sealed.text, { name }), { name })).rejects.toThrowError(
      refusal('ERR_BACKUP_MANIFEST'),
    );
    const other = await seal(TABLES, { realm: 'other' });
    const target = await targetWith(other.text, { name: other.manifest.name });
    await expect(read(target, { name: other.manifest.name })).rejects.toThrowError(refusal('ERR_BACKUP_REALM'));
  });

  test('of an older or a newer format', async () => {
    for (const format of [0, 2]) {
      const target = await targetWith(sealed.text.replace('"format": 1', `"format": ${format}`));
      await expect(read(target)).rejects.toThrowError(refusal('ERR_BACKUP_FORMAT'));
    }
  });

  test('with a wrong key-encryption key: of another number, or another one of that number', async () => {
    const target = await targetWith(sealed.text);
    await expect(read(target, { keys: keysOf(2, 3) })).rejects.toThrowError(refusal('ERR_BACKUP_KEK'));
    const imposter: ManifestKeys = { ...KEYS, checkValue: () => randomBytes(16) };
    await expect(read(target, { keys: imposter })).rejects.toThrowError(refusal('ERR_BACKUP_KEK'));
    await expect(read(target, { keys: keysOf(2, 1) })).resolves.toMatchObject({ genuine: true });
    await expect(read(target, { keys: undefined })).resolves.toMatchObject({ genuine: false });
  });

  test('with an object that is missing', async () => {
    const target = await openFolderTarget(scratchFolder());
    await expect(read(target)).rejects.toThrowError(refusal('ERR_TARGET_MISSING'));
  });
});

test('a receipt counts when a recipient of the realm signed it for this very manifest', async () => {
  const { manifest, text } = await seal();
  const issued = { manifest, text, product: '0.1.0', verifiedAt: Date.now(), macs: true };
  const receipt = issueReceipt(ada, issued);
  const check = (receiptText: string, recipients = [ada.recipient], manifestText = text): unknown =>
    checkReceipt(receiptText, { manifest: manifestText, recipients });
  expect(check(formatReceipt(receipt))).toEqual(receipt);
  expect(check(formatReceipt(receipt), [eve.recipient, ada.recipient])).toEqual(receipt);
  const refused = (work: () => unknown): void => expect(work).toThrowError(refusal('ERR_BACKUP_RECEIPT'));
  refused(() => check(formatReceipt(receipt), [eve.recipient]));
  expect(() => check(formatReceipt(receipt), [])).toThrowError(/give --recipient FILE/);
  const other = await seal();
  refused(() => check(formatReceipt(receipt), [ada.recipient], other.text));
  refused(() => check(formatReceipt({ ...receipt, manifest: createHash('sha256').update(other.text).digest('hex') })));
  refused(() => check(formatReceipt({ ...receipt, verifiedAt: new Date(0).toISOString() })));
  refused(() => check(formatReceipt({ ...issueReceipt({ ...eve, recipient: ada.recipient }, issued) })));
  for (const forged of ['', '{}', 'null', JSON.stringify(receipt)]) refused(() => check(forged));
});

test('identity and recipient files are read as they were written, and never taken for each other', async () => {
  expect(await parseIdentity(formatIdentity(ada))).toEqual(ada);
  const bare = await parseIdentity(`# created: now\n${ada.secret}\n`);
  expect(bare.recipient).toEqual({ ...ada.recipient, name: '' });
  expect(parseRecipients(formatRecipient(ada.recipient) + formatRecipient(eve.recipient))).toEqual([
    ada.recipient,
    eve.recipient,
  ]);
  expect(formatRecipient(ada.recipient)).not.toContain('SECRET');
  expect(() => parseRecipients(formatIdentity(ada))).toThrowError(refusal('ERR_BACKUP_RECIPIENT'));
  for (const text of ['', '# nothing', 'age1x y']) expect(() => parseRecipients(text), text).toThrowError();
  for (const text of [
    '',
    formatRecipient(ada.recipient),
    ada.secret.replace(/.$/, 'B'),
    `${ada.secret}\n${eve.secret}`,
  ])
    await expect(parseIdentity(text), text).rejects.toThrowError(refusal('ERR_BACKUP_IDENTITY'));
});

test('the README says what is needed, and names nobody inside', async () => {
  const folder = scratchFolder();
  const target = await openFolderTarget(folder);
  const { manifest } = await seal();
  await putExport(target, await seal());
  const { name } = (await listExports(target, 'main'))[0]!;
  const file = join(folder, objectPath('main', name, EXPORT_OBJECTS.readme));
  expect(existsSync(file)).toBe(true);
  const text = readFileSync(file, 'utf8');
  for (const word of ['backup restore', 'kek.json', ada.recipient.age, manifest.product, name])
    expect(text).toContain(word);
});
