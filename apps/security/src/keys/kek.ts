import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type AccessContext,
  type Actor,
  beginKekTurn,
  createKeyring,
  type KekSet,
  type KekShelf,
  type Keyring,
  kekOfRealm,
  LiveKeyring,
  type RealmStore,
  takenBack,
} from '@sallyport/access';
import { type CryptoProvider, formatBase64Url, KEY_BYTES, parseBase64Url } from '@sallyport/channel';
import { readJsonFile, replacePrivateFile, withFileLock } from '@sallyport/settings';

type KeyTexts = Readonly<Record<string, string>>;

/** The file of key-encryption keys: the one thing besides the database that a restore needs. Never in a backup of it. */
interface KekFile {
  readonly current: number;
  readonly keys: KeyTexts;
  /** Keys that nothing in the database uses any more; absent while there are none. */
  readonly retired?: KeyTexts;
  /** The last turns that were done, by their random ids; absent before the first. */
  readonly finished?: readonly string[];
  /**
   * True once this node has seen that all rows of the realm carry a MAC: it never seals rows again, even if somebody has taken
   * all MACs away. Where it is absent, the rows say so themselves.
   */
  readonly sealed?: boolean;
}

/** What a node has of the key file. */
export interface OpenedKeks {
  readonly keyring: LiveKeyring;
  readonly shelf: KekShelf;
  readonly sealed: boolean;
}

/** A draft that is older was left by a process that was killed, ms. */
const DRAFT_MS = 60_000;

/** @throws Error for what holds no keys, without a word of what it holds instead */
function readFile(file: string): KekFile {
  const content = readJsonFile(file) as Partial<KekFile> | null;
  const current = content?.keys?.[String(content.current)];
  const all = [content?.keys, content?.retired].flatMap((keys) => Object.values(keys ?? {}));
  if ([current, ...all].every(isKey)) return content as KekFile;
  throw new Error(`${file} holds no key-encryption keys, or a damaged one: it is not a kek.json`);
}

function isKey(text: unknown): boolean {
  try {
    return typeof text === 'string' && parseBase64Url(text).length === KEY_BYTES;
  } catch {
    return false;
  }
}

/** Writes durably, before anything is wrapped with what it holds: a lost key would lock everybody out. */
function replaceFile(file: string, content: KekFile): void {
  replacePrivateFile(file, `${JSON.stringify(content, null, 2)}\n`);
}

function parseKeys(texts: KeyTexts): Map<number, Uint8Array> {
  return new Map(Object.entries(texts).map(([id, key]) => [Number(id), parseBase64Url(key)]));
}

function formatKeys(keys: ReadonlyMap<number, Uint8Array>): KeyTexts {
  return Object.fromEntries([...keys].map(([id, key]) => [id, formatBase64Url(key)]));
}

function setOf({ current, keys, retired = {}, finished = [] }: KekFile): KekSet {
  return { current, keys: parseKeys(keys), retired: parseKeys(retired), finished };
}

/**
 * The key file as a node works with it. Several processes may share it: each change begins with what is there at that moment, and
 * nobody else changes it meanwhile, so that no key is lost.
 */
function shelfOf(file: string): KekShelf {
  return {
    read: () => setOf(readFile(file)),
    change: (edit) =>
      withFileLock(file, () => {
        const before = readFile(file);
        const { current, keys, retired, finished = [] } = edit(setOf(before));
        const { retired: _, ...rest } = before;
        const kept = retired.size === 0 ? {} : { retired: formatKeys(retired) };
        const ended = finished.length === 0 ? {} : { finished };
        replaceFile(file, { ...rest, current, keys: formatKeys(keys), ...kept, ...ended });
        return setOf(readFile(file));
      }),
  };
}

/** Where a Security server keeps its key-encryption keys. */
export function keyFileOf({ SALLYPORT_DATA: data }: { readonly SALLYPORT_DATA: string }): string {
  return join(data, 'security', 'kek.json');
}

/**
 * Begins the key file of a node that has none yet with one that was handed to it, like a mounted secret. What the node has later, after
 * turns of the key, stays its own. @throws Error when what was handed holds no keys
 */
export function beginKeks(file: string, given: string | undefined): void {
  if (given === undefined || existsSync(file)) return;
  const handed = readFile(given);
  withFileLock(file, () => existsSync(file) || replaceFile(file, handed));
}

/** Makes a key file with a first key, for a realm that does not exist yet. @throws Error when there is a file already */
export function createKeks(crypto: CryptoProvider, file: string): void {
  if (existsSync(file)) throw new Error(`${file} is there already: nothing else may be the only copy of keys`);
  replaceFile(file, firstKeks(crypto));
}

function firstKeks(crypto: CryptoProvider): KekFile {
  return { current: 1, keys: { 1: formatBase64Url(crypto.randomBytes(KEY_BYTES)) }, sealed: true };
}

/**
 * Opens the key file, or makes one with a first key for a realm that has nothing wrapped yet.
 * @throws Error for an existing realm without the file: a new key would open nothing.
 */
export function openKeks(crypto: CryptoProvider, file: string, realmExists: boolean): OpenedKeks {
  if (!existsSync(file)) {
    if (realmExists)
      throw new Error(`the realm is wrapped with keys that this node lacks: copy kek.json of another node to ${file}`);
    withFileLock(file, () => existsSync(file) || replaceFile(file, firstKeks(crypto)));
  }
  removeDrafts(file);
  const { current, keys, retired } = setOf(readFile(file));
  const keyring = new LiveKeyring(createKeyring(crypto, keys, current, retired));
  return { keyring, shelf: shelfOf(file), sealed: readFile(file).sealed === true };
}

/**
 * Opens the key file of a host whose realm exists, for a command: on a host whose server never ran it begins with the one that was handed to it.
 * @throws Error where there is none
 */
export function openKeksOfHost(
  crypto: CryptoProvider,
  {
    SALLYPORT_DATA,
    SALLYPORT_KEK_FILE,
  }: { readonly SALLYPORT_DATA: string; readonly SALLYPORT_KEK_FILE: string | undefined },
): OpenedKeks {
  const file = keyFileOf({ SALLYPORT_DATA });
  beginKeks(file, SALLYPORT_KEK_FILE);
  return openKeks(crypto, file, true);
}

/** Keys are in no other file. */
function removeDrafts(file: string): void {
  const folder = dirname(file);
  for (const name of readdirSync(folder)) {
    const draft = join(folder, name);
    if (!name.startsWith(`${basename(file)}.`) || !name.endsWith('.new')) continue;
    const age = Date.now() - (statSync(draft, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > DRAFT_MS) rmSync(draft, { force: true });
  }
}

/** Notes that every row of the realm carries a MAC now. */
export function noteSealed(file: string): void {
  withFileLock(file, () => replaceFile(file, { ...readFile(file), sealed: true }));
}

/**
 * The same for a database that was restored, perhaps from a time when a key wrapped that is retired now: such keys are taken into use
 * again, until `wrapRestored` has had everything wrapped anew.
 */
export async function openKeksOfRestored(crypto: CryptoProvider, file: string, store: RealmStore): Promise<OpenedKeks> {
  const opened = openKeks(crypto, file, true);
  const kek = await kekOfRealm(store);
  if (kek === undefined || !opened.keyring.retired.includes(kek)) return opened;
  const { current, keys, retired } = opened.shelf.change((set) => takenBack(set, () => true));
  opened.keyring.replace(createKeyring(crypto, keys, current, retired));
  return opened;
}

/**
 * The keys with which exports are read and checked: those that are retired vouch, too, for what was exported while they were in use.
 * In memory only, and never for the realm's own database.
 */
export function openKeksOfExports(crypto: CryptoProvider, file: string): Keyring {
  const { current, keys, retired } = openKeks(crypto, file, true).shelf.read();
  return createKeyring(crypto, new Map([...retired, ...keys]), current);
}

/** Lets the nodes wrap everything with the present key, where an older one is in use beside it; gives whether there was one. */
export async function wrapRestored(access: AccessContext, by: Actor): Promise<boolean> {
  const { ids, current } = access.keyring;
  if (ids.every((id) => id === current)) return false;
  await beginKekTurn(access, by, { to: current });
  return true;
}
