import { randomBytes } from 'node:crypto';
import { type JournalCopy, type Keyring, openCopy, sealCopy } from '@sallyport/access';
import { type BackupTarget, realmFolder } from '@sallyport/backup';

/** Digits of an index in the name of an object: sorted by name is sorted by index. */
const DIGITS = 10;
const NAME = /^(\d{10})-(\d{10})-[0-9a-f]{8}$/;

/**
 * Copies of the journal at a target of backups, as objects that are written once:
 *
 *     <realm>/journal/<epoch>/<first index>-<last index>-<8 random hex digits>
 *
 * Each holds entries in a row, encrypted (access, `sealCopy`). Two nodes may write the same ones.
 */
export interface CopyObject {
  readonly path: string;
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

function folderOf(realm: string): string {
  return `${realmFolder(realm)}/journal`;
}

/** What is there, of one epoch or of all, in the order of epochs and indexes. */
export async function listCopies(target: BackupTarget, realm: string, epoch?: string): Promise<readonly CopyObject[]> {
  const folder = folderOf(realm);
  const found = await target.list(epoch === undefined ? folder : `${folder}/${epoch}`);
  return found.flatMap(({ path }): CopyObject[] => {
    const [of = '', name = '', ...deeper] = path.slice(folder.length + 1).split('/');
    const [, first, last] = NAME.exec(name) ?? [];
    if (first === undefined || last === undefined || deeper.length > 0) return [];
    return [{ path, epoch: of, first: Number(first), last: Number(last) }];
  });
}

/** Last index up to which copies hold every entry, from the first one on. */
export function heldUpTo(objects: readonly Pick<CopyObject, 'first' | 'last'>[]): number {
  let held = 0;
  for (const { first, last } of [...objects].sort((a, b) => a.first - b.first))
    if (first <= held + 1) held = Math.max(held, last);
  return held;
}

/** Writes a copy. When this returns the target has it. */
export async function putCopy(target: BackupTarget, keyring: Keyring, realm: string, copy: JournalCopy): Promise<void> {
  const [first, last] = [copy.entries[0]!.index, copy.entries.at(-1)!.index].map((index) =>
    String(index).padStart(DIGITS, '0'),
  );
  const path = `${folderOf(realm)}/${copy.epoch}/${first}-${last}-${randomBytes(4).toString('hex')}`;
  await target.put(path, only(sealCopy(keyring, realm, copy)));
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** All copies of a target, and which of them nobody can read. */
export interface ReadCopies {
  readonly copies: readonly JournalCopy[];
  /** Paths of objects that are not what Security wrote, or are sealed by a key that is missing. */
  readonly unreadable: readonly string[];
}

/** Reads all copies of a realm. @throws TargetError when the target does not answer */
export async function readCopies(target: BackupTarget, keyring: Keyring, realm: string): Promise<ReadCopies> {
  const copies: JournalCopy[] = [];
  const unreadable: string[] = [];
  for (const { path, ...place } of await listCopies(target, realm)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of target.get(path)) pieces.push(piece);
    try {
      copies.push(openCopy(keyring, { realm, ...place }, Buffer.concat(pieces)));
    } catch {
      unreadable.push(path);
    }
  }
  return { copies, unreadable };
}

/** Copies of several targets; what cannot be read of one is named, and the others count all the same. */
export async function readAllCopies(
  places: readonly { readonly description: string; readonly open: () => Promise<BackupTarget> }[],
  keyring: Keyring,
  realm: string,
): Promise<ReadCopies> {
  const all: { copies: JournalCopy[]; unreadable: string[] } = { copies: [], unreadable: [] };
  for (const { description, open } of places) {
    try {
      const target = await open();
      const { copies, unreadable } = await readCopies(target, keyring, realm).finally(() => target.close());
      all.copies.push(...copies);
      all.unreadable.push(...unreadable.map((path) => `${path} at ${description}`));
    } catch (error) {
      all.unreadable.push(`all of ${description}: ${(error as Error).message}`);
    }
  }
  return all;
}
