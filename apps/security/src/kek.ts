import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createKeyring, type Keyring } from '@sallyport/access';
import { type CryptoProvider, formatBase64Url, KEY_BYTES, parseBase64Url } from '@sallyport/channel';

/** The file of key-encryption keys: the one thing besides the database that a restore needs. Never in a backup of it. */
interface KekFile {
  readonly current: number;
  readonly keys: Readonly<Record<string, string>>;
}

function readFile(file: string): KekFile {
  return JSON.parse(readFileSync(file, 'utf8')) as KekFile;
}

/** Writes durably: a half-written key file would lock everybody out. */
function replaceFile(file: string, content: KekFile): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
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
export function openKeyring(crypto: CryptoProvider, file: string, realmExists: boolean): Keyring {
  if (!existsSync(file)) {
    if (realmExists)
      throw new Error(`the realm is wrapped with keys that this node lacks: copy kek.json of another node to ${file}`);
    replaceFile(file, { current: 1, keys: { 1: formatBase64Url(crypto.randomBytes(KEY_BYTES)) } });
  }
  return keyringOf(crypto, readFile(file));
}

/** Adds a key that wraps from now on; older ones stay until everything is wrapped anew. */
export function addKek(crypto: CryptoProvider, file: string): Keyring {
  const { keys } = readFile(file);
  const current = Math.max(...Object.keys(keys).map(Number)) + 1;
  const next = { current, keys: { ...keys, [current]: formatBase64Url(crypto.randomBytes(KEY_BYTES)) } };
  replaceFile(file, next);
  return keyringOf(crypto, next);
}
