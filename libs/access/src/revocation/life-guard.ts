import { OLDER_THAN_JOURNAL } from '../journal/journal-check.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';
import type { AccessContext } from '../realm/context.ts';
import { type FoundLife, type KnownLife, lifeRefusal, placesOf, witnessRefusal } from '../realm/life.ts';
import { type SeenRealm, settleRealm } from '../realm/realm.ts';
import { type DatabaseWitness, openWitness, sealWitness } from '../realm/witness.ts';
import type { EpochFence } from '../store/fence.ts';

/** A look may itself need a new connection. */
const MAX_LOOKS = 3;

/** What the server of the database says of itself. */
export interface WatchedServer {
  /** How many connections were ever made to it: another number means that there is one which nobody has looked at. */
  readonly connections: number;
  position(): Promise<Pick<DatabaseWitness, 'system' | 'walBytes'>>;
}

/** Where a node remembers its database: it outlives the process. */
export interface LifeMemory {
  read(): KnownLife | undefined;
  write(life: KnownLife): void;
}

/** What a database is held against. */
export interface LifeParts {
  readonly memory: LifeMemory;
  readonly server: WatchedServer;
  /** Its store is the realm's, behind the fence. */
  readonly access: Pick<AccessContext, 'store' | 'keyring'>;
  readonly fence: EpochFence;
  /** Hears that a Proxy's word was no proof. */
  readonly unsealed: (proxy: string) => void;
  readonly wallMs: () => number;
}

type WatchedJournal = Pick<JournalWriter, 'look' | 'doubt' | 'isAhead' | 'held'>;

/** Where the log of a database is, as a beat has read it. */
type LogHead = Pick<DatabaseWitness, 'epoch' | 'head' | 'headHash'>;

/**
 * Holds the database against what this node has seen of it before, also in an earlier run, and against what others have proof of.
 */
export class LifeGuard {
  readonly #parts: LifeParts;
  #settled:
    | { readonly position: Pick<DatabaseWitness, 'system' | 'walBytes'>; readonly seen: SeenRealm; readonly at: number }
    | undefined;
  #sealed: { readonly of: string; readonly text: string } | undefined;
  #checking: Promise<string | undefined> | undefined;
  #journal: WatchedJournal | undefined;
  /** Connections of the database that the last check stands for. */
  #checkedConnections = 0;

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  /** Holds the database against its journal as well, from now on. */
  useJournal(journal: WatchedJournal | undefined): void {
    this.#journal = journal;
  }

  /**
   * True once every connection to the database was held against what is known: a database that goes back breaks all of them, so
   * that who was answered over one that nobody has looked at is told nothing.
   * @throws StoreError when the database does not answer, JournalError when the journal does not
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
    const { memory, server, fence } = this.#parts;
    const { connections } = server;
    if (connections !== this.#checkedConnections) this.#journal?.doubt();
    const known = memory.read();
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
    const { access, fence, memory, unsealed } = this.#parts;
    const witness = openWitness(access, text);
    if (!witness) return unsealed(proxy);
    const bearer = `Proxy ${proxy}`;
    const look = async () => witnessRefusal(witness, { bearer, found: await this.#find(witness) });
    const refused = (await look()) && (await look());
    if (!refused) return;
    fence.refuse(refused.why);
    memory.write(refused.known);
  }

  /** What a Proxy is to keep: how far the database surely is. Undefined for another epoch than that of the last check. */
  witnessFor({ epoch, head, headHash }: LogHead): string | undefined {
    if (this.#settled?.seen.realm.epoch !== epoch) return undefined;
    const { position, seen, at } = this.#settled;
    const journaled = this.#journal?.held ?? 0;
    const of = `${position.walBytes} ${head} ${headHash} ${journaled}`;
    if (this.#sealed?.of !== of) {
      const { supersedes } = seen.realm;
      const witness = { epoch, supersedes, ...position, head, headHash, journaled, audit: seen.audit, at };
      this.#sealed = { of, text: sealWitness(this.#parts.access, witness) };
    }
    return this.#sealed.text;
  }

  async #refusalByJournal(): Promise<string | undefined> {
    await this.#journal?.look();
    return this.#journal?.isAhead ? OLDER_THAN_JOURNAL : undefined;
  }

  async #find(known: KnownLife | undefined): Promise<FoundLife> {
    const { server, access, wallMs } = this.#parts;
    const position = await server.position();
    const seen = await settleRealm(access.store, placesOf(known));
    this.#settled = { position, seen, at: wallMs() };
    return { ...seen, ...position };
  }

  #remember(known: KnownLife | undefined): void {
    const { position, seen } = this.#settled!;
    const { epoch, head, headHash } = seen.realm;
    const longestLeaseMs = Math.max(known?.longestLeaseMs ?? 0, seen.realm.longestLeaseMs);
    // What was committed and not journaled yet was told to nobody: a journal may lack it.
    const before = known?.epoch === epoch ? (known.journaled ?? 0) : 0;
    const journaled = Math.max(before, this.#journal?.held ?? 0);
    const life: KnownLife = { epoch, ...position, head, headHash, audit: seen.audit, journaled, longestLeaseMs };
    if (JSON.stringify(life) !== JSON.stringify(known)) this.#parts.memory.write(life);
  }
}
