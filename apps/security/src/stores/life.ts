import { join } from 'node:path';
import {
  type AccessContext,
  type DatabaseWitness,
  type EpochFence,
  type FoundLife,
  type JournalWriter,
  type KnownLife,
  lifeRefusal,
  OLDER_THAN_JOURNAL,
  openWitness,
  placesOf,
  type SeenRealm,
  sealWitness,
  settleRealm,
  witnessRefusal,
} from '@sallyport/access';
import { type DatabasePosition, readPosition, type SqlStore } from '@sallyport/store-sql';
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
/** A look may itself need a new connection. */
const MAX_LOOKS = 3;

/** What a database is held against. */
export interface LifeParts {
  /** Where this node remembers it. */
  readonly file: string;
  readonly server: SqlStore;
  /** The realm's, behind the fence. */
  readonly access: Pick<AccessContext, 'store' | 'keyring'>;
  readonly fence: EpochFence;
  readonly log: Log;
}

/** Where the log of a database is, as a beat has read it. */
type LogHead = Pick<DatabaseWitness, 'epoch' | 'head' | 'headHash'>;

/**
 * Holds the database against what this node has seen of it before, also in an earlier run, and against what others have proof of.
 */
export class LifeGuard {
  readonly #parts: LifeParts;
  #settled: { readonly position: DatabasePosition; readonly seen: SeenRealm; readonly at: number } | undefined;
  #sealed: { readonly of: string; readonly text: string } | undefined;
  #checking: Promise<string | undefined> | undefined;
  #journal: Pick<JournalWriter, 'look' | 'isAhead'> | undefined;
  /** Connections of the database that the last check stands for. */
  #checkedConnections = 0;

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  /** Looks again and again; once nothing may be given any more, this process is of no use and `end` hears why. Gives the function that stops. */
  watch(end: (why: string) => void): () => void {
    const { fence } = this.#parts;
    const checking = setInterval(() => this.#checkBeside(), CHECK_MS);
    const looking = setInterval(() => {
      if (fence.refusal !== undefined) end(fence.refusal);
    }, LOOK_MS);
    return () => {
      clearInterval(checking);
      clearInterval(looking);
    };
  }

  /** Holds the database against its journal as well, from now on. */
  useJournal(journal: Pick<JournalWriter, 'look' | 'isAhead'> | undefined): void {
    this.#journal = journal;
  }

  /**
   * True once every connection to the database was held against what is known: a database that goes back breaks all of them, so
   * that who was answered over one that nobody has looked at is told nothing.
   * @throws StoreError when the database does not answer
   */
  async isSettled(): Promise<boolean> {
    for (let looks = 0; looks < MAX_LOOKS && !this.#isSettled; looks++)
      if ((await this.check()) !== undefined) return false;
    return this.#isSettled;
  }

  get #isSettled(): boolean {
    return this.#checkedConnections === this.#parts.server.connections;
  }

  /**
   * Looks at the database and remembers how far it is. What it has at this moment is durable with the
   * commit that follows, so that neither a crash nor a failover can lead behind it.
   * Gives why this node must not use it; undefined when it may.
   */
  check(): Promise<string | undefined> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #check(): Promise<string | undefined> {
    const { file, server, fence } = this.#parts;
    const { connections } = server;
    const known = readKnownLife(file);
    const look = async (): Promise<string | undefined> => lifeRefusal(known, await this.#find(known));
    // Once more before it counts: the primary may have moved between position and realm.
    const refusal = ((await look()) && (await look())) ?? (await this.#refusalByJournal()) ?? fence.refusal;
    if (refusal !== undefined) {
      fence.refuse(refusal);
      return refusal;
    }
    this.#remember(known);
    this.#checkedConnections = connections;
    return undefined;
  }

  /**
   * Hears what a Proxy was told of this database, by any node: when that is proof that the database went back, or that another one
   * has taken its place, nothing is given any more, also not after a restart. What nobody has sealed is no proof.
   * @throws StoreError when the database does not answer: then it is to be heard again
   */
  async hear(text: string, proxy: string): Promise<void> {
    const { access, fence, file, log } = this.#parts;
    const witness = openWitness(access, text);
    if (!witness) return log.warn({ proxy }, 'what a Proxy says of the database is not sealed by keys of this node');
    const bearer = `Proxy ${proxy}`;
    const look = async () => witnessRefusal(witness, { bearer, found: await this.#find(witness) });
    const refused = (await look()) && (await look());
    if (!refused) return;
    fence.refuse(refused.why);
    writeKnownLife(file, refused.known);
  }

  /** What a Proxy is to keep: how far the database surely is. Undefined for another epoch than that of the last check. */
  witnessFor({ epoch, head, headHash }: LogHead): string | undefined {
    if (this.#settled?.seen.realm.epoch !== epoch) return undefined;
    const { position, seen, at } = this.#settled;
    const of = `${position.walBytes} ${head} ${headHash}`;
    if (this.#sealed?.of !== of) {
      const { supersedes } = seen.realm;
      const witness = { epoch, supersedes, ...position, head, headHash, audit: seen.audit, at };
      this.#sealed = { of, text: sealWitness(this.#parts.access, witness) };
    }
    return this.#sealed.text;
  }

  async #refusalByJournal(): Promise<string | undefined> {
    await this.#journal?.look();
    return this.#journal?.isAhead ? OLDER_THAN_JOURNAL : undefined;
  }

  #checkBeside(): void {
    this.check().catch((error: unknown) => {
      this.#parts.log.warn({ err: error }, 'the database could not be held against what this node knows of it');
    });
  }

  async #find(known: KnownLife | undefined): Promise<FoundLife> {
    const { server, access } = this.#parts;
    const position = await readPosition(server);
    const seen = await settleRealm(access.store, placesOf(known));
    this.#settled = { position, seen, at: Date.now() };
    return { ...seen, ...position };
  }

  #remember(known: KnownLife | undefined): void {
    const { position, seen } = this.#settled!;
    const { epoch, head, headHash } = seen.realm;
    const life: KnownLife = { epoch, ...position, head, headHash, audit: seen.audit };
    if (JSON.stringify(life) !== JSON.stringify(known)) writeKnownLife(this.#parts.file, life);
  }
}
