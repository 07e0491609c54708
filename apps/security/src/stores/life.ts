import { join } from 'node:path';
import { type EpochFence, type RealmStore, settleRealm } from '@sallyport/access';
import { readPosition, type SqlStore } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { Config } from '../config.ts';
import { type FoundLife, type KnownLife, readKnownLife, refusalOf, writeKnownLife } from './epoch-file.ts';

/** The file in which a node remembers its database. */
export function lifeFileOf(config: Config): string {
  return join(config.SALLYPORT_DATA, 'security', `database-${config.SALLYPORT_REALM}.json`);
}

/** How often the database is held against what this node has seen of it, ms. */
const CHECK_MS = 10_000;
/** How often this process asks itself whether it may give anything at all, ms. */
const LOOK_MS = 500;

/** What a database is held against. */
export interface LifeParts {
  /** Where this node remembers it. */
  readonly file: string;
  readonly server: SqlStore;
  /** The realm's, behind the fence. */
  readonly store: RealmStore;
  readonly fence: EpochFence;
  readonly log: Log;
}

/** Holds the database against what this node has seen of it before, also in an earlier run. */
export class LifeGuard {
  readonly #parts: LifeParts;

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  /** Looks again and again; once nothing may be given any more, this process is of no use and `end` hears why. Gives the function that stops. */
  watch(end: (why: string) => void): () => void {
    const { fence, log } = this.#parts;
    const checking = setInterval(() => {
      this.check().catch((error: unknown) => {
        log.warn({ err: error }, 'the database could not be held against what this node knows of it');
      });
    }, CHECK_MS);
    const looking = setInterval(() => {
      if (fence.refusal !== undefined) end(fence.refusal);
    }, LOOK_MS);
    return () => {
      clearInterval(checking);
      clearInterval(looking);
    };
  }

  /**
   * Looks at the database and remembers how far it is. What it has at this moment is durable with the
   * commit that follows, so that neither a crash nor a failover can lead behind it.
   * Gives why this node must not use it; undefined when it may.
   */
  async check(): Promise<string | undefined> {
    const { file, server, store, fence } = this.#parts;
    const known = readKnownLife(file);
    const position = await readPosition(server);
    const { realm, hashThere } = await settleRealm(store, known?.head ?? 0);
    const found: FoundLife = { realm, ...position, hashThere };
    const refusal = refusalOf(known, found);
    if (refusal !== undefined) fence.refuse(refusal);
    else writeIfMoved(file, known, found, realm.headHash);
    return refusal;
  }
}

function writeIfMoved(file: string, known: KnownLife | undefined, found: FoundLife, headHash: string): void {
  const { realm, system, walBytes } = found;
  const life: KnownLife = { epoch: realm.epoch, system, walBytes, head: realm.head, headHash };
  if (JSON.stringify(life) !== JSON.stringify(known)) writeKnownLife(file, life);
}
