import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyring, type Keyring } from '@sallyport/access';
import { type CryptoProvider, formatBase64Url, KEY_BYTES, parseBase64Url } from '@sallyport/channel';
import { replacePrivateFile } from '@sallyport/settings';

/** The file of key-encryption keys: the one thing besides the database that a restore needs. Never in a backup of it. */
interface KekFile {
  readonly current: number;
  readonly keys: Readonly<Record<string, string>>;
  /**
   * True once this node has seen that all rows of the realm carry a MAC: it never seals rows again, even if somebody has taken
   * all MACs away. Where it is absent, the rows say so themselves.
   */
  readonly sealed?: boolean;
}

/** What a node has of the key file. */
export interface OpenedKeks {
  readonly keyring: Keyring;
  readonly sealed: boolean;
}

function readFile(file: string): KekFile {
  return JSON.parse(readFileSync(file, 'utf8')) as KekFile;
}

/** Writes durably, before anything is wrapped with what it holds: a lost key would lock everybody out. */
function replaceFile(file: string, content: KekFile): void {
  replacePrivateFile(file, `${JSON.stringify(content, null, 2)}\n`);
}

function keyringOf(crypto: CryptoProvider, { current, keys }: KekFile): Keyring {
  const keks = new Map(Object.entries(keys).map(([id, key]) => [Number(id), parseBase64Url(key)]));
  return createKeyring(crypto, keks, current);
}

/** Where a Security server keeps its key-encryption keys. */
export function keyFileOf({ SALLYPORT_DATA: data }: { readonly SALLYPORT_DATA: string }): string {
  return join(data, 'security', 'kek.json');
}

/**
 * Opens the key file, or makes one with a first key for a realm that has nothing wrapped yet.
 * @throws Error for an existing realm without the file: a new key would open nothing.
 */
export function openKeks(crypto: CryptoProvider, file: string, realmExists: boolean): OpenedKeks {
  if (!existsSync(file)) {
    if (realmExists)
      throw new Error(`the realm is wrapped with keys that this node lacks: copy kek.json of another node to ${file}`);
    const key = formatBase64Url(crypto.randomBytes(KEY_BYTES));
    replaceFile(file, { current: 1, keys: { 1: key }, sealed: true });
  }
  const content = readFile(file);
  return { keyring: keyringOf(crypto, content), sealed: content.sealed === true };
}

/** Notes that every row of the realm carries a MAC now. */
export function noteSealed(file: string): void {
  replaceFile(file, { ...readFile(file), sealed: true });
}

/**
 * Adds a key that wraps from now on; older ones stay until everything is wrapped anew. `note` tells the realm before the
 * file has it, so that of two nodes that take one number only one gets it.
 */
export async function addKek(
  crypto: CryptoProvider,
  file: string,
  { id, note }: { readonly id: number; readonly note: (keyring: Keyring) => Promise<unknown> },
): Promise<Keyring> {
  const before = readFile(file);
  const key = formatBase64Url(crypto.randomBytes(KEY_BYTES));
  const next = { ...before, current: id, keys: { ...before.keys, [id]: key } };
  const keyring = keyringOf(crypto, next);
  await note(keyring);
  replaceFile(file, next);
  return keyring;
}
