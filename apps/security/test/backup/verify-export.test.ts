import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyring, type Keyring } from '@sallyport/access';
import {
  type BackupIdentity,
  EXPORT_OBJECTS,
  formatManifest,
  listExports,
  makeIdentity,
  openFolderTarget,
  parseManifest,
  putExport,
} from '@sallyport/backup';
import { serverCrypto } from '@sallyport/channel/sodium';
import { connectToPrimary } from '@sallyport/store-sql';
import { scratchFolder } from '@sallyport/support';
import { afterAll, describe, expect, test } from 'vitest';
import { KEYRING, realmOn } from '../../../../libs/access/test/scene.ts';
import { startDatabase } from '../../../../libs/store-sql/test/real-postgres.ts';
import { makeExport, openSpool } from '../../src/backup/make-export.ts';
import { openScratchDatabase, type ScratchDatabase } from '../../src/backup/scratch-database.ts';
import { type ExportStanding, standingOf } from '../../src/backup/standing.ts';
import { type CheckedExport, verifyExport } from '../../src/backup/verify-export.ts';

const { server, store } = await startDatabase();
const admin = await connectToPrimary(server.address, 10_000);
afterAll(() => admin.end());
const ada = await makeIdentity('ada');
const eve = await makeIdentity('eve');
for (const realm of ['main', 'other']) await realmOn(store.in(realm));
const folder = scratchFolder();
const scratch = join(folder, 'scratch');
mkdirSync(scratch, { mode: 0o755 });

async function exportTo(place: string, realm = 'main'): Promise<string> {
  mkdirSync(place, { recursive: true });
  const spool = await openSpool(join(folder, 'spool'));
  const source = { address: server.address, replicated: false, realm, product: '0.1.0', keys: KEYRING, spool };
  const sealed = await makeExport({ ...source, recipients: [ada.recipient.age] });
  await putExport(await openFolderTarget(place), sealed);
  await spool.close();
  return sealed.manifest.name;
}

let databases = 0;

/** A database on the server that runs already, which is quicker than one of its own. */
async function emptyDatabase(): Promise<ScratchDatabase> {
  const database = `scratch${++databases}`;
  await admin.query(`create database ${database}`);
  return {
    address: { ...server.address, database },
    close: async () => void (await admin.query(`drop database ${database} with (force)`)),
  };
}

interface With {
  readonly openScratch?: () => Promise<ScratchDatabase>;
  readonly realm?: string;
  readonly identity?: BackupIdentity;
  readonly keyring?: Keyring | undefined;
}

async function verify(place: string, name: string, over: With = {}): Promise<CheckedExport> {
  const target = await openFolderTarget(place);
  const given = { target, realm: 'main', name, identity: ada, keyring: KEYRING, openScratch: emptyDatabase, ...over };
  return verifyExport({ ...given, product: '0.1.0', onStep: () => undefined });
}

async function standing(place: string, keys?: null, recipients = [ada.recipient]): Promise<ExportStanding[]> {
  const target = await openFolderTarget(place);
  const folders = await listExports(target, 'main');
  const order = { realm: 'main', keys: keys === null ? undefined : KEYRING, recipients };
  return Promise.all(folders.map(async (one) => (await standingOf(target, one, order)).standing));
}

test('an export counts when it was restored into a scratch database, of which nothing stays', async () => {
  // What a verification left that was killed: no process has so high a number.
  const left = join(scratch, 'sallyport-scratch-99999999-abcdef', 'database');
  mkdirSync(left, { recursive: true });
  writeFileSync(join(left, 'rows'), 'in the clear');
  const place = join(folder, 'good');
  const name = await exportTo(place);
  expect(await standing(place)).toMatchObject([{ name, state: 'not verified', verifiedAt: null }]);
  const { receipt, rows, manifest } = await verify(place, name, {
    openScratch: () => openScratchDatabase(scratch),
  });
  expect(receipt).toMatchObject({ macs: true, name, realm: 'main' });
  expect(rows).toBe(manifest.parts.reduce((sum, part) => sum + part.rows, 0));
  expect(readdirSync(scratch)).toEqual([]);
  const [verified] = await standing(place);
  expect(verified).toMatchObject({ state: 'verified', verifiedAt: Date.parse(receipt.verifiedAt), fault: '' });
  // Who does not know whose word counts refuses nothing.
  const [unknown] = await standing(place, undefined, []);
  expect(unknown).toMatchObject({ state: 'not verified', fault: expect.stringContaining('--recipient') });
});

test('without the keys of the realm no MAC is checked, the receipt says so, and who has them counts it', async () => {
  const place = join(folder, 'keyless');
  const name = await exportTo(place);
  expect((await verify(place, name, { keyring: undefined })).receipt.macs).toBe(false);
  expect(await standing(place)).toMatchObject([{ state: 'verified' }]);
  // Without keys nobody can tell whether the manifest is ours: nothing counts.
  const [keyless] = await standing(place, null);
  expect(keyless).toMatchObject({ state: 'not verified', verifiedAt: null });
  // Whoever has them says more, and that stays.
  expect((await verify(place, name)).receipt.macs).toBe(true);
  await verify(place, name, { keyring: undefined });
  const text = readFileSync(join(place, 'main', name, EXPORT_OBJECTS.receipt), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ macs: true });
});

describe('refused by name, with no receipt:', async () => {
  const place = join(folder, 'spoilt');
  const [name, other] = [await exportTo(place), await exportTo(place)];

  async function spoilt(code: string, spoil: (exported: string) => void, over: With = {}): Promise<void> {
    const copy = join(folder, 'copy');
    cpSync(place, copy, { recursive: true });
    spoil(join(copy, 'main', name));
    await expect(verify(copy, name, over)).rejects.toMatchObject({ code });
    expect((await standing(copy)).filter(({ state }) => state === 'verified')).toEqual([]);
    rmSync(copy, { recursive: true });
  }

  const edit = (file: string, change: (text: string) => string): void =>
    writeFileSync(file, change(readFileSync(file, 'utf8')));
  const editBytes =
    (change: (bytes: Buffer) => Buffer) =>
    (exported: string): void => {
      const file = join(exported, EXPORT_OBJECTS.data);
      writeFileSync(file, change(readFileSync(file)));
    };
  const flip = (at: (bytes: Buffer) => number): ((exported: string) => void) =>
    editBytes((bytes) => {
      bytes[at(bytes)]! ^= 1;
      return bytes;
    });
  const editManifest =
    (change: (text: string) => string) =>
    (exported: string): void =>
      edit(join(exported, EXPORT_OBJECTS.manifest), change);

  test('a flipped bit in the head, the body and the tail, and a tail that is cut off', async () => {
    await spoilt(
      'ERR_BACKUP_DAMAGED',
      flip(() => 40),
    );
    await spoilt(
      'ERR_BACKUP_DAMAGED',
      flip((bytes) => bytes.length >> 1),
    );
    await spoilt(
      'ERR_BACKUP_DAMAGED',
      flip((bytes) => bytes.length - 1),
    );
    await spoilt(
      'ERR_BACKUP_DAMAGED',
      editBytes((bytes) => bytes.subarray(0, -20)),
    );
  });

  test('the data of another export of the same realm, and none', async () => {
    await spoilt('ERR_BACKUP_DAMAGED', (exported) =>
      cpSync(join(exported, '..', other, EXPORT_OBJECTS.data), join(exported, EXPORT_OBJECTS.data)),
    );
    await spoilt('ERR_TARGET_MISSING', (exported) => rmSync(join(exported, EXPORT_OBJECTS.data)));
    await spoilt('ERR_TARGET_MISSING', (exported) => rmSync(join(exported, EXPORT_OBJECTS.manifest)));
  });

  test('a manifest that was edited, of another format, and of a newer schema', async () => {
    await spoilt(
      'ERR_BACKUP_MANIFEST',
      editManifest((text) => text.replace('"product": "0', '"product": "1')),
    );
    for (const format of [0, 2])
      await spoilt(
        'ERR_BACKUP_FORMAT',
        editManifest((text) => text.replace('"format": 1', `"format": ${format}`)),
      );
    // Who has no keys cannot see that it was edited, and knows no such schema.
    const newer = editManifest((text) => formatManifest({ ...parseManifest(text), migration: '9999_future' }));
    await spoilt('ERR_BACKUP_SCHEMA', newer, { keyring: undefined });
  });

  test('an export of another realm under this name', async () => {
    const elsewhere = join(folder, 'elsewhere');
    const foreign = await exportTo(elsewhere, 'other');
    cpSync(join(elsewhere, 'other'), join(elsewhere, 'main'), { recursive: true });
    await expect(verify(elsewhere, foreign)).rejects.toMatchObject({ code: 'ERR_BACKUP_REALM' });
    await expect(verify(elsewhere, foreign, { keyring: undefined })).rejects.toMatchObject({
      code: 'ERR_BACKUP_REALM',
    });
    expect((await standing(elsewhere))[0]).toMatchObject({ state: 'refused' });
  });

  test('a wrong identity, and wrong key-encryption keys', async () => {
    await spoilt('ERR_BACKUP_IDENTITY', () => undefined, { identity: eve });
    const wrong = (id: number): Keyring =>
      createKeyring(serverCrypto(), new Map([[id, new Uint8Array(32).fill(9)]]), id);
    await spoilt('ERR_BACKUP_KEK', () => undefined, { keyring: wrong(1) });
    await spoilt('ERR_BACKUP_KEK', () => undefined, { keyring: wrong(2) });
  });

  test('a receipt that was forged: it counts for nothing, and the next verification takes its place', async () => {
    const copy = join(folder, 'forged');
    cpSync(place, copy, { recursive: true });
    await verify(copy, other);
    const [forged, good] = [name, other].map((one) => join(copy, 'main', one, EXPORT_OBJECTS.receipt));
    cpSync(good!, forged!);
    const of = async (): Promise<ExportStanding> => (await standing(copy)).find((one) => one.name === name)!;
    expect(await of()).toMatchObject({ state: 'refused', verifiedAt: null });
    expect((await of()).fault).toContain('ERR_BACKUP_RECEIPT');
    await verify(copy, name);
    expect(await of()).toMatchObject({ state: 'verified' });
  });
});

describe('a database that was changed behind our back makes exports that are not sound:', async () => {
  async function unsound(change: string, words: string, over: With = {}): Promise<void> {
    const place = join(folder, 'unsound');
    await admin.query(change);
    const name = await exportTo(place);
    await expect(verify(place, name, over)).rejects.toMatchObject({
      code: 'ERR_BACKUP_UNSOUND',
      message: expect.stringContaining(words),
    });
  }

  test('a row without the MAC of a Security server, a log and an audit log that do not fit their heads', async () => {
    const place = join(folder, 'sound');
    await verify(place, await exportTo(place));
    await unsound(`update "realms" set "settings" = '{}' where "realm" = 'main'`, 'realms');
    await unsound(
      `update "realms" set "head" = "head" + 1, "head_hash" = repeat('a', 64) where "realm" = 'main'`,
      'revocation log',
      {
        keyring: undefined,
      },
    );
    await admin.query(`update "realms" set "head" = "head" - 1, "head_hash" = '' where "realm" = 'main'`);
    await unsound(`update "audit_heads" set "seq" = "seq" + 1 where "realm" = 'main'`, 'audit log', {
      keyring: undefined,
    });
  });
});
