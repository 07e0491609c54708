import { existsSync, readFileSync } from 'node:fs';
import type { RealmRow } from '@sallyport/access';
import { replacePrivateFile } from '@sallyport/settings';

/** What a node remembers of the database it worked with: what it meets later may be no older. */
export interface KnownLife {
  readonly epoch: string;
  /** PostgreSQL's own id of the data directory. */
  readonly system: string;
  /** How far its log of changes had come, bytes. */
  readonly walBytes: number;
  readonly head: number;
  readonly headHash: string;
}

/** What the node knows; undefined before its first start. */
export function readKnownLife(file: string): KnownLife | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as KnownLife) : undefined;
}

export function writeKnownLife(file: string, life: KnownLife): void {
  replacePrivateFile(file, `${JSON.stringify(life)}\n`);
}

/** The database as it is found: its realm, its identity, and the hash of the entry at an index. */
export interface FoundLife {
  readonly realm: Pick<RealmRow, 'epoch' | 'supersedes' | 'head'>;
  readonly system: string;
  readonly walBytes: number;
  /** Hash of the entry at the head that is known; undefined when there is none. */
  readonly hashThere: string | undefined;
}

const REMEDY = 'if it was restored from a backup, it needs "realm new-epoch" before any node uses it';

/** Why a node must not use a database; undefined when it may. */
export function refusalOf(known: KnownLife | undefined, found: FoundLife): string | undefined {
  if (!known) return undefined;
  const { realm, system, walBytes, hashThere } = found;
  if (realm.epoch !== known.epoch) {
    const follows = (realm.supersedes as readonly string[]).includes(known.epoch);
    return follows ? undefined : `the database never took the place of the one that this node worked with; ${REMEDY}`;
  }
  if (system !== known.system) return `the database is a copy on another server with the same epoch; ${REMEDY}`;
  const behind = walBytes < known.walBytes || realm.head < known.head;
  if (behind) return `the database is older than what this node has seen of it; ${REMEDY}`;
  if (known.head > 0 && hashThere !== known.headHash)
    return `the revocation log of the database is not the one that this node has seen; ${REMEDY}`;
  return undefined;
}
