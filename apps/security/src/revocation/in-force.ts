import {
  type AccessContext,
  type AwaitedEntry,
  type Bus,
  type Hold,
  type JournalWriter,
  type LeaseWatch,
  type Patience,
  untilHeadInForce,
  untilInForce,
  untilProxyGone,
  type Waited,
  type WaitingNode,
} from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';

/** How long an answer to an operator waits: then it says for whom. */
const ANSWER: Patience = { maxMs: 60_000 };
/**
 * How long a change that a directory caused waits: leases end by themselves, the longest that may be set after five minutes. A
 * database that does not answer is waited for less long.
 */
const DIRECTORY: Patience = { maxMs: 310_000, unreadableMs: 20_000 };

/** What was changed is committed, but may not be in force: nobody hears "done" meanwhile. */
export class NotInForceError extends ProblemError<'ERR_SECURITY_NOT_IN_FORCE'> {
  constructor({ waitingFor }: Waited) {
    const proxies = waitingFor.map(({ proxy }) => proxy).join(', ');
    super('ERR_SECURITY_NOT_IN_FORCE', `committed, but not in force everywhere yet: waits for ${proxies}; try again`);
    this.name = 'NotInForceError';
  }
}

/** What this node waits with. */
export interface InForceParts {
  readonly access: AccessContext;
  readonly node: { readonly leases: LeaseWatch; readonly hold: Hold };
  readonly bus: Bus;
  /** Undefined where there is none: a restore then loses what was revoked since the backup. */
  readonly journal: Pick<JournalWriter, 'upTo'> | undefined;
  readonly monotonicMs: () => number;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * "Until it is in force": whoever has changed what somebody may do waits here until no Proxy can serve by what was before. One
 * belongs to one node.
 */
export class InForce {
  readonly #node: WaitingNode;

  constructor({ access, node, bus, journal, monotonicMs, log }: InForceParts) {
    const trouble = (error: unknown): void =>
      log.warn({ err: error }, 'leases or journal do not answer while a revocation waits');
    this.#node = { access, leases: node.leases, hold: node.hold, bus, journal, monotonicMs, trouble };
  }

  /** Waits for an entry of the log as long as an operator does, and says what came of it. */
  wait(entry: AwaitedEntry): Promise<Waited> {
    return untilInForce(this.#node, entry, ANSWER);
  }

  /** The same until a revoked Proxy cannot serve any more. */
  waitForProxy(name: string): Promise<Waited> {
    return untilProxyGone(this.#node, name, ANSWER);
  }

  /**
   * Waits for an entry that a directory has caused: who is out is out. Entry 0 stands for a change that found its work done: then
   * for everything so far, because the try that did it may not have waited.
   * @throws NotInForceError when that cannot be said; the caller repeats its request then
   */
  ensureForDirectory(index: number): Promise<void> {
    return this.#ensure(index, DIRECTORY);
  }

  /** The same for an entry that an operator has caused, for as long as an operator waits. */
  ensureSoon(index: number): Promise<void> {
    return this.#ensure(index, ANSWER);
  }

  /**
   * Waits until a change of rights is in force, with everything before it: who has asked may rely on it from then on.
   * @throws NotInForceError when that takes longer than an operator waits
   */
  ensureAll(): Promise<void> {
    return this.#ensure(0, ANSWER);
  }

  async #ensure(index: number, patience: Patience): Promise<void> {
    const waited =
      index === 0 ? await untilHeadInForce(this.#node, patience) : await untilInForce(this.#node, { index }, patience);
    if (waited.waitingFor.length > 0) throw new NotInForceError(waited);
  }
}
