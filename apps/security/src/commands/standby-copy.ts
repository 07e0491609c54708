import { randomBytes } from 'node:crypto';
import { createWriteStream, readFileSync, renameSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type DatabaseAddress,
  type LoadablePart,
  loadRealm,
  type RealmSnapshot,
  readSnapshot,
  realmScript,
} from '@sallyport/store-sql';
import type { Config } from '../config.ts';
import { parseSqlAddress, reachDatabase } from '../stores/database.ts';

/** Where a copy goes. */
export type CopyDestination = { readonly database: DatabaseAddress } | { readonly script: string };

/** What was copied. */
export interface Copied {
  /** What was acknowledged later is not in it, epoch ms. */
  readonly takenAt: number;
  readonly epoch: string;
  /** Undefined for a script. */
  readonly rows: number | undefined;
}

const MARK_BYTES = 32;

/** Reads where a copy goes from options of the command. @throws Error that says what is missing */
export function readCopyDestination(values: {
  readonly [name: string]: string | boolean | undefined;
}): CopyDestination {
  const { to, script, 'to-password-file': passwordFile, 'to-ca': ca } = values as Record<string, string | undefined>;
  if ((to === undefined) === (script === undefined))
    throw new Error('where to? either --to postgresql://role@host:port/database or --script FILE');
  if (script !== undefined) return { script };
  const password = passwordFile === undefined ? '' : readFileSync(passwordFile, 'utf8').trim();
  return { database: parseSqlAddress(to!, { password, ca, called: '--to' }) };
}

/**
 * Copies the realm as it is at this moment: into another database, in one transaction, where it is closed and takes the place of the
 * copy before; or into a script, which takes its name when it is whole.
 * @throws StoreError, or an error of the file
 */
export async function copyRealm(config: Config, target: CopyDestination): Promise<Copied> {
  const source = await reachDatabase(config);
  try {
    const order = { realm: config.SALLYPORT_REALM, replicated: source.external };
    return await readSnapshot(source.address, order, async (snapshot) => {
      const { takenAt, epoch } = snapshot;
      const rows =
        'script' in target ? await writeScript(snapshot, target.script) : await load(config, snapshot, target);
      return { takenAt, epoch, rows };
    });
  } finally {
    await source.close();
  }
}

async function writeScript(snapshot: RealmSnapshot, file: string): Promise<undefined> {
  const draft = `${file}.part`;
  rmSync(draft, { force: true });
  // What somebody puts in its place meanwhile is not written through: it would be theirs to read.
  const options = { flags: 'wx', mode: 0o600, flush: true };
  await pipeline(Readable.from(realmScript(snapshot)), createWriteStream(draft, options));
  renameSync(draft, file);
}

async function load(
  config: Config,
  { migration, parts }: RealmSnapshot,
  { database }: { readonly database: DatabaseAddress },
): Promise<number> {
  const mark = randomBytes(MARK_BYTES).toString('hex');
  const order = { realm: config.SALLYPORT_REALM, migration, mark, replacesCopy: true };
  const { rows } = await loadRealm(database, order, loadable(parts));
  return [...rows.values()].reduce((sum, count) => sum + count, 0);
}

async function* loadable(parts: RealmSnapshot['parts']): AsyncIterable<LoadablePart> {
  for (const { name, columns, rows } of parts) yield { name, columns, rows: rows() };
}
