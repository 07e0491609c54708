import type { LogPlaces, SeenRealm } from './realm.ts';
import type { RealmRow } from './rows.ts';
import type { DatabaseWitness } from './witness.ts';

/** What a node remembers of the database it worked with, or has proof of: what it meets later may be no older. */
export interface KnownLife extends Pick<DatabaseWitness, 'epoch' | 'system' | 'walBytes' | 'head' | 'headHash'> {
  /** Absent in a file of the version before. */
  readonly audit?: DatabaseWitness['audit'];
  /** Up to here the journal was seen to hold the revocation log; absent in a file of the version before. */
  readonly journaled?: number;
  /** The longest lease that it named, ms; absent in a file of the version before. */
  readonly longestLeaseMs?: number;
  /** Who saw it so, and when, where that was somebody else. */
  readonly seenBy?: string;
}

/** Where to look in a database that is to be held against what is known. */
export function placesOf(known: KnownLife | undefined): LogPlaces {
  return { head: known?.head ?? 0, auditSeq: known?.audit?.seq ?? 0 };
}

/** The database as it is found: its realm, its identity, and the hashes at the heads that are known. */
export interface FoundLife extends Pick<SeenRealm, 'hashThere' | 'auditThere' | 'audit'> {
  readonly realm: Pick<RealmRow, 'epoch' | 'supersedes' | 'head'>;
  readonly system: string;
  readonly walBytes: number;
}

const REMEDY =
  'if it was restored from a backup, or its machine went back to an earlier state or is a copy, it needs "sallyport realm new-epoch" before any node uses it';

/** Why a node must not use a database; undefined when it may. */
export function lifeRefusal(known: KnownLife | undefined, found: FoundLife): string | undefined {
  if (!known) return undefined;
  const { realm, system, walBytes, hashThere } = found;
  const who = known.seenBy ?? 'this node';
  if (realm.epoch !== known.epoch) {
    const follows = (realm.supersedes as readonly string[]).includes(known.epoch);
    return follows ? undefined : `the database never took the place of the one that ${who} worked with; ${REMEDY}`;
  }
  if (system !== known.system)
    return `the database is a copy on another server with the same epoch as the one that ${who} has seen; ${REMEDY}`;
  const behind = walBytes < known.walBytes || realm.head < known.head || found.audit.seq < (known.audit?.seq ?? 0);
  if (behind) return `the database is older than what ${who} has seen of it; ${REMEDY}`;
  if (known.head > 0 && hashThere !== known.headHash)
    return `the revocation log of the database is not the one that ${who} has seen; ${REMEDY}`;
  if (known.audit && known.audit.seq > 0 && (found.auditThere ?? known.audit.hash) !== known.audit.hash)
    return `the audit log of the database is not the one that ${who} has seen; ${REMEDY}`;
  return undefined;
}

/**
 * What a proof of another process says against the database. One of an epoch that knows nothing of this database, nor this one of
 * it, says only that there are two: which of them is to go, nobody can tell from it.
 */
export function witnessRefusal(
  witness: DatabaseWitness,
  { bearer, found }: { readonly bearer: string; readonly found: FoundLife },
): { readonly why: string; readonly known: KnownLife } | undefined {
  const { epoch, supersedes, system, walBytes, head, headHash, journaled, audit, at } = witness;
  const { realm } = found;
  if (epoch !== realm.epoch && !supersedes.includes(realm.epoch)) return undefined;
  const seenBy = `${bearer} (${new Date(at).toISOString()})`;
  const known = { epoch, system, walBytes, head, headHash, audit, seenBy, journaled };
  const why = lifeRefusal(known, found);
  return why === undefined ? undefined : { why, known };
}
