import { faultOfKeys, faultOfRestored, genuineRows, type Keyring, sealedStore } from '@sallyport/access';
import {
  BackupError,
  type BackupIdentity,
  type BackupTarget,
  checkReceipt,
  EXPORT_OBJECTS,
  type ExportPart,
  type FoundManifest,
  formatReceipt,
  issueReceipt,
  type Manifest,
  objectPath,
  openData,
  putChecked,
  type Receipt,
  readManifest,
  readObject,
  refuseIdentity,
} from '@sallyport/backup';
import { formatHex } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { knowsMigration, loadRealm, SqlStore, tableNamed, watchRows } from '@sallyport/store-sql';
import { createPasswordHasher } from '../keys/passwords.ts';
import type { ScratchDatabase } from './scratch-database.ts';

/** What a verification is made with. */
export interface Verification {
  readonly target: BackupTarget;
  readonly realm: string;
  readonly name: string;
  readonly identity: BackupIdentity;
  /** Absent on a host without the realm's keys: then no MAC is checked. */
  readonly keyring: Keyring | undefined;
  /** Makes an empty database, which is closed afterwards. */
  readonly openScratch: () => Promise<ScratchDatabase>;
  /** Version of the product. */
  readonly product: string;
  /** Hears what is being done. */
  readonly onStep: (words: string) => void;
}

/** What was verified. */
export interface CheckedExport {
  readonly manifest: Manifest;
  readonly receipt: Receipt;
  readonly rows: number;
}

/**
 * Restores an export into a scratch database and looks whether it is what it says and holds together: everything is read, hashes,
 * decryption, the load at its own schema, heads and chains of both logs, counts, and with the realm's keys the MACs of the manifest
 * and of all rows, and that the keys in it open. Then it signs a receipt, and puts it beside the manifest.
 * @throws BackupError that says what is wrong; TargetError
 */
export async function verifyExport(verification: Verification): Promise<CheckedExport> {
  const { target, realm, name, identity, keyring, product, onStep } = verification;
  onStep('reading the manifest');
  const found = await readManifest(target, { realm, name, keys: keyring });
  refuseNewer(found.manifest);
  refuseIdentity(found.manifest, identity);
  onStep('starting a scratch database');
  const scratch = await verification.openScratch();
  let rows: number;
  try {
    rows = await checkIn(scratch, found, verification);
  } finally {
    await scratch.close();
  }
  const facts = { manifest: found.manifest, text: found.text, product, verifiedAt: Date.now(), macs: found.genuine };
  const receipt = issueReceipt(identity, facts);
  await putReceipt(target, receipt, { found, identity });
  return { manifest: found.manifest, receipt, rows };
}

/** @throws BackupError ERR_BACKUP_SCHEMA */
function refuseNewer({ name, product, migration }: Manifest): void {
  if (knowsMigration(migration)) return;
  throw new BackupError(
    'ERR_BACKUP_SCHEMA',
    `export ${name} was made by version ${product}, whose schema (${migration}) this version does not know: take that version`,
  );
}

async function checkIn(
  scratch: ScratchDatabase,
  { manifest, text }: FoundManifest,
  { target, realm, name, identity, keyring, onStep }: Verification,
): Promise<number> {
  const data = target.get(objectPath(realm, name, EXPORT_OBJECTS.data));
  const parts = stepping(openData(data, { manifest, identity }), onStep);
  const checked = keyring ? genuineParts(parts, { manifest, keyring }) : parts;
  const mark = receiptMark(text);
  const { rows } = await loadRealm(scratch.address, { realm, migration: manifest.migration, mark }, checked).catch(
    (error: unknown) => {
      if ((error as { code?: string }).code !== 'ERR_STORE_INVALID') throw error;
      throw unsound(manifest, (error as Error).message, error);
    },
  );
  for (const part of manifest.parts)
    if (rows.get(part.name) !== part.rows) throw unsound(manifest, `table ${part.name} does not have its rows`);
  onStep('checking both logs');
  const store = new SqlStore(scratch.address, { poolSize: 2 });
  try {
    await checkRealm(store, manifest, keyring);
  } finally {
    await store.close();
  }
  return [...rows.values()].reduce((sum, count) => sum + count, 0);
}

function receiptMark(text: string): string {
  return formatHex(serverCrypto().sha256(Buffer.from(text)));
}

async function* stepping(parts: AsyncIterable<ExportPart>, onStep: (words: string) => void): AsyncIterable<ExportPart> {
  for await (const part of parts) {
    onStep(`loading ${part.name}`);
    yield part;
  }
}

/** Rows on their way into the scratch database, each held against its MAC. */
async function* genuineParts(
  parts: AsyncIterable<ExportPart>,
  { manifest, keyring }: { readonly manifest: Manifest; readonly keyring: Keyring },
): AsyncIterable<ExportPart> {
  for await (const part of parts) {
    const table = tableNamed(part.name);
    const forgedIn = table && part.columns.includes('row_mac') && genuineRows(manifest.realm, table, keyring);
    if (!table || !forgedIn) {
      yield part;
      continue;
    }
    const rows = watchRows({ table, columns: part.columns, rows: part.rows }, (row) => {
      const forged = forgedIn(row);
      if (forged)
        throw unsound(manifest, `row ${forged.key} of ${part.name} was not written by a Security server of this realm`);
    });
    yield { ...part, rows };
  }
}

async function checkRealm(server: SqlStore, manifest: Manifest, keyring: Keyring | undefined): Promise<void> {
  const bare = server.in(manifest.realm);
  const crypto = serverCrypto();
  const fault = await faultOfRestored(bare, crypto, manifest);
  if (fault !== undefined) throw unsound(manifest, fault);
  if (!keyring) return;
  const store = sealedStore(bare, keyring, () => undefined);
  const keyFault = await faultOfKeys({ store, crypto, keyring, passwords: createPasswordHasher() });
  if (keyFault !== undefined) throw unsound(manifest, keyFault);
}

/** A receipt that is good stays, unless this one says more; one that is not gives way. */
async function putReceipt(
  target: BackupTarget,
  receipt: Receipt,
  { found, identity }: { readonly found: FoundManifest; readonly identity: BackupIdentity },
): Promise<void> {
  const path = objectPath(found.manifest.realm, found.manifest.name, EXPORT_OBJECTS.receipt);
  const before = await readObject(target, path).catch(() => undefined);
  if (before !== undefined) {
    const good = goodReceipt(before, found, identity);
    if (good && (good.macs || !receipt.macs)) return;
    await target.remove(path);
  }
  const text = formatReceipt(receipt);
  await putChecked(target, path, async function* () {
    yield Buffer.from(text);
  });
}

function goodReceipt(text: string, found: FoundManifest, { recipient }: BackupIdentity): Receipt | undefined {
  try {
    return checkReceipt(text, { manifest: found.text, recipients: [recipient] });
  } catch {
    return undefined;
  }
}

function unsound({ name }: Manifest, why: string, cause?: unknown): BackupError {
  return new BackupError('ERR_BACKUP_UNSOUND', `export ${name} is not sound: ${why}`, { cause });
}
