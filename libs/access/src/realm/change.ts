import type { RevocationRow } from '../revocation/rows.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction, Urgency } from '../store/store.ts';
import { type AuditEvent, appendAudit } from './audit.ts';
import type { AccessContext, Actor } from './context.ts';
import { heardTables } from './heard-tables.ts';
import { randomId } from './ids.ts';
import { getRealm } from './realm.ts';
import { appendInstallations, appendRevocation, type Revocation } from './revocation-log.ts';

/** More users than this, and all channels read their rights again rather than one entry each. */
const MANY_USERS = 100;

/**
 * One change of the realm's rows, from its lock to its audit: what is read by it cannot change before it is written.
 * Not to be used after its work has returned.
 */
export interface Change extends Transaction {
  readonly access: AccessContext;
  /** Who changes something, and why. */
  readonly by: Actor;
  /** The store's clock when the change began, epoch ms. */
  readonly at: number;
  /** The same transaction for notes of the realm's own: they change nothing that anybody may do, and need no event. */
  readonly notes: Transaction;
  /** Last entry of the revocation log that the change has made so far, 0 for none. */
  readonly index: number;
  /** Appends an entry to the revocation log; its effects on rows are the caller's. */
  enter(revocation: Pick<Revocation, 'kind' | 'subject'> & { readonly requestId?: string }): Promise<RevocationRow>;
  /** `enter` for a user who is put out, with an entry for each of their installations. */
  enterOut(user: { readonly subject: string; readonly requestId?: string }): Promise<RevocationRow>;
  /** Lets the open channels of users, or of everybody, read their rights again. */
  rereadRights(userIds: readonly string[] | '*'): Promise<void>;
  /** Says what was done; it is written last, in the order in which it was said. */
  audit(action: string, subject: string): void;
  /** Says that there was nothing to do, so that nothing is audited; to be returned by whoever has no answer either. */
  unchanged(): undefined;
}

/**
 * Changes rows of the realm: takes its lock, runs the work and writes what was audited, in one transaction. Enrolment,
 * sign-in, beats and HELLOs are no such changes: they have locks of their own.
 * @throws TypeError when the work neither audits anything nor says that nothing was changed, or says so and has written
 */
export async function change<T>(
  access: AccessContext,
  by: Actor,
  work: (change: Change) => Promise<T>,
  urgency?: Urgency,
): Promise<T> {
  return access.store.transaction(async (transaction) => {
    await getRealm(transaction, 'update');
    const begun = new BegunChange(access, transaction, by);
    const result = await work(begun);
    await begun.finish();
    return result;
  }, urgency);
}

class BegunChange implements Change {
  readonly access: AccessContext;
  readonly by: Actor;
  readonly at: number;
  readonly tables: Transaction['tables'];
  readonly serverRun: string;
  readonly #transaction: Transaction;
  readonly #events: Pick<AuditEvent, 'action' | 'subject'>[] = [];
  #index = 0;
  #wrote = false;
  #nothing = false;

  constructor(access: AccessContext, transaction: Transaction, by: Actor) {
    this.access = access;
    this.#transaction = transaction;
    this.tables = heardTables(transaction.tables, () => {
      this.#wrote = true;
    });
    this.serverRun = transaction.serverRun;
    // Only these two: an author may carry more, which is no part of the log.
    this.by = { actor: by.actor, reason: by.reason };
    this.at = transaction.now();
  }

  get notes(): Transaction {
    return this.#transaction;
  }

  get index(): number {
    return this.#index;
  }

  now(): number {
    return this.#transaction.now();
  }

  async enter(revocation: Pick<Revocation, 'kind' | 'subject'> & { requestId?: string }): Promise<RevocationRow> {
    const requestId = revocation.requestId ?? randomId(this.access.crypto);
    const row = await appendRevocation(
      this.access,
      this.#transaction,
      { ...revocation, requestId },
      { ...this.by, at: this.at },
    );
    this.#index = row.index;
    this.#wrote = true;
    return row;
  }

  async enterOut(user: { subject: string; requestId?: string }): Promise<RevocationRow> {
    const row = await this.enter({ kind: 'user', ...user });
    const by = { ...this.by, at: this.at };
    const last = await appendInstallations(this.access, this.#transaction, user.subject, by);
    this.#index = Math.max(this.#index, last);
    return row;
  }

  /** Users without a live session have no channels, and cannot get one meanwhile: the realm's row is locked. */
  async rereadRights(userIds: readonly string[] | '*'): Promise<void> {
    const concerned = userIds === '*' ? ['*'] : await this.#withSessions(userIds);
    for (const subject of concerned.length > MANY_USERS ? ['*'] : concerned)
      await this.enter({ kind: 'rights', subject });
  }

  async #withSessions(userIds: readonly string[]): Promise<string[]> {
    if (userIds.length === 0) return [];
    const where = { endedAt: null };
    const live = await this.tables.sessions.list({ where, among: ['userId', [...new Set(userIds)]] });
    return [...new Set(live.map(({ userId }) => userId))];
  }

  audit(action: string, subject: string): void {
    this.#events.push({ action, subject });
  }

  unchanged(): undefined {
    this.#nothing = true;
    return undefined;
  }

  async finish(): Promise<void> {
    const mayBeSilent = this.#nothing && !this.#wrote;
    if (this.#events.length === 0 && !mayBeSilent) throw new TypeError('a change without an audit event');
    const { crypto } = this.access;
    for (const event of this.#events)
      await appendAudit(this.#transaction, crypto, { ...this.by, ...event, outcome: 'done', at: this.at });
  }
}

/**
 * The entry that a repeated request made before, under the lock; undefined for a new one.
 * @throws AccessError ERR_ACCESS_CONFLICT when the id stands for something else
 */
export async function repeated({ tables }: Transaction, revocation: Revocation): Promise<RevocationRow | undefined> {
  const row = await tables.revocations.find({ requestId: revocation.requestId });
  if (!row) return undefined;
  if (row.kind !== revocation.kind || row.subject !== revocation.subject)
    throw new AccessError('ERR_ACCESS_CONFLICT', 'this request id stands for another change');
  return row;
}
