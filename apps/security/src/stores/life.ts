import { join } from 'node:path';
import { type EpochFence, LifeGuard, type LifeMemory, type LifeParts } from '@sallyport/access';
import { readPosition, type SqlStore } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { Config } from '../config.ts';
import { readKnownLife, writeKnownLife } from './epoch-file.ts';

/** The file in which a node remembers its database. */
export function lifeFileOf(config: Config): string {
  return join(config.SALLYPORT_DATA, 'security', `database-${config.SALLYPORT_REALM}.json`);
}

/** How often the database is held against what this node has seen of it, ms. */
const CHECK_MS = 10_000;
/** How often this process asks itself whether it may give anything at all, ms. */
const LOOK_MS = 500;

/** A guard of the realm's database that remembers it in a file. */
export function guardLife(
  parts: Pick<LifeParts, 'access' | 'fence'> & { readonly file: string; readonly server: SqlStore; readonly log: Log },
): LifeGuard {
  const { access, fence, file, server, log } = parts;
  const memory: LifeMemory = { read: () => readKnownLife(file), write: (life) => writeKnownLife(file, life) };
  const watched = {
    get connections() {
      return server.connections;
    },
    position: () => readPosition(server),
  };
  const unsealed = (proxy: string): void =>
    log.warn({ proxy }, 'what a Proxy says of the database is not sealed by keys of this node');
  return new LifeGuard({ memory, server: watched, access, fence, unsealed, wallMs: Date.now });
}

/**
 * Looks again and again; once nothing may be given any more, this process is of no use and `end` hears why. Gives the function
 * that stops.
 */
export function watchLife(
  { life, fence, log }: { readonly life: LifeGuard; readonly fence: EpochFence; readonly log: Log },
  end: (why: string) => void,
): () => void {
  const checking = setInterval(() => {
    life.check().catch((error: unknown) => {
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
