import {
  type AccessContext,
  type Account,
  type AccountConflict,
  applyAccounts,
  expireAccounts,
  removeAccounts,
  type SyncCursor,
  type SyncOutcome,
  type SyncRun,
  tellProgress,
} from '@sallyport/access';
import type { SyncProgress, SyncQuestion, SyncReport } from '@sallyport/security-api';
import type { LdapConnection } from './connection.ts';
import type { LdapConnector } from './connector.ts';
import { accountOf, primaryGroupOf, subjectOf, textOf, userAttributes } from './entry.ts';
import { type GroupOutcome, syncGroups } from './group-sync.ts';
import { type KnownAccount, readKnown } from './known.ts';
import { canonicalDn } from './names.ts';

/** What a sync is to do. */
export interface SyncOrder {
  readonly mode: 'full' | 'incremental';
  readonly cursor: SyncCursor | undefined;
  /** A question that an operator has answered with yes: that many removals are meant. */
  readonly confirmed: SyncQuestion | undefined;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** Called when the revocation log has new entries, so that Proxies learn of them at once. */
  readonly entered: () => void;
}

/** What came of a sync. */
export interface SyncResult extends SyncOutcome {
  /** Last entry of the revocation log that it caused, 0 for none. */
  readonly index: number;
}

/** Accounts of one transaction. */
const BATCH = 500;
/** Accounts in conflict that are tried together: in one transaction, so that names can be swapped. */
const AGAIN_BATCH = 2_000;
/** Users who leave in one transaction: each is several statements. */
const LEAVING_BATCH = 25;
/** More of the users than this share leaving at once is a question, not an order. One at a time always may. */
const MAX_LEAVING_SHARE = 0.05;
/** The same for memberships, where a reorganisation of a small company moves everybody. */
const MIN_MEMBERSHIP_QUESTION = 20;
/** Between two words of progress, ms. */
const TELL_EVERY_MS = 300;
/** Changes at other replicas come late, with the time at which they were made there, ms. */
const REPLICA_LAG_MS = 5 * 60_000;

/** How many may leave without a question. */
function leavingLimit(users: number): number {
  return Math.max(1, Math.floor(users * MAX_LEAVING_SHARE));
}

/**
 * One sync of a directory, run by run: what changed is taken over at once, page by page, so that a run that is cut off has
 * lost nothing and the next one goes on; who would leave is only collected, checked one by one, and let go when the
 * numbers are plausible. Any error ends the run before somebody is removed for it.
 */
export class LdapSync {
  readonly #access: AccessContext;
  readonly #connector: LdapConnector;
  readonly #run: SyncRun;
  readonly #order: SyncOrder;
  readonly #known: Map<string, KnownAccount>;
  readonly #leaving = new Map<string, Account>();
  #conflicts: AccountConflict[] = [];
  /** Accounts that are in conflict, to be tried once more together. */
  readonly #open = new Map<string, Account>();
  /** Names of entries that have no id or no login that may be read. */
  readonly #unreadable = new Set<string>();
  readonly #counts = { read: 0, created: 0, changed: 0, enabled: 0, disabled: 0, removed: 0, held: 0, unreadable: 0 };
  /** Accounts that have another primary group than before. */
  #movedPrimary = 0;
  #pending: Account[] = [];
  #index = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #changed: string;

  private constructor(
    access: AccessContext,
    of: { connector: LdapConnector; run: SyncRun; order: SyncOrder; known: Map<string, KnownAccount> },
  ) {
    this.#access = access;
    this.#connector = of.connector;
    this.#run = of.run;
    this.#order = of.order;
    this.#known = of.known;
    this.#changed = of.order.cursor?.changed ?? '';
  }

  /**
   * Runs a sync that was claimed. The connection is held only while it runs.
   * @throws DirectoryError, and StoreError; what was done until then stays
   */
  static async run(
    access: AccessContext,
    of: { readonly connector: LdapConnector; readonly run: SyncRun; readonly order: SyncOrder },
  ): Promise<SyncResult> {
    const connection = await of.connector.connect(serversOf(of.connector, of.order));
    try {
      const known = await readKnown(access, of.run.directory);
      return await new LdapSync(access, { ...of, known }).#sync(connection);
    } finally {
      await connection.close();
    }
  }

  async #sync(connection: LdapConnection): Promise<SyncResult> {
    const startedAt = this.#order.now();
    const { cursor, mode } = this.#order;
    const changesOnly = mode === 'incremental' && cursor?.server === connection.server;
    const seen = await this.#readAccounts(connection, changesOnly ? cursor : undefined);
    const present = changesOnly ? await this.#readIds(connection) : seen;
    const question = await this.#letGo(connection, present);
    await this.#expire();
    const { created, removed, enabled } = this.#counts;
    const accountsChanged = created + removed + enabled + this.#movedPrimary > 0;
    const groups = await syncGroups(this.#access, {
      connection,
      connector: this.#connector,
      run: this.#run,
      known: this.#known,
      all: !changesOnly,
      accountsChanged,
      allowed: this.#allowedMemberships(),
      tell: (progress) => this.#tell(progress),
    });
    return this.#result(connection, { startedAt, changesOnly, question, groups });
  }

  /** Reads accounts, all or those that changed, and takes them over. Gives the subjects that it saw. */
  async #readAccounts(connection: LdapConnection, cursor: SyncCursor | undefined): Promise<Set<string>> {
    const { settings, flavour } = this.#connector;
    const filter = cursor ? `(&${flavour.userFilter}${changedSince(flavour.changed, cursor)})` : flavour.userFilter;
    const seen = new Set<string>();
    for await (const page of connection.pages(settings.base, filter, userAttributes(flavour))) {
      for (const entry of page) {
        this.#counts.read += 1;
        this.#changed = later(this.#changed, textOf(entry, flavour.changed));
        const account = accountOf(entry, flavour);
        if (!account) {
          this.#noteUnreadable(entry.dn);
          continue;
        }
        seen.add(account.subject);
        this.#sort(account);
        if (this.#pending.length >= BATCH) await this.#flush();
      }
      await this.#tell({
        phase: 'reading users',
        done: this.#counts.read,
        ...(cursor ? {} : { total: Math.max(this.#known.size, this.#counts.read) }),
      });
    }
    await this.#flush();
    await this.#tryAgain();
    return seen;
  }

  #noteUnreadable(dn: string): void {
    this.#unreadable.add(canonicalDn(dn) ?? dn);
    this.#counts.unreadable = this.#unreadable.size;
  }

  /** Names may have been swapped between accounts that were taken over in different lots. */
  async #tryAgain(): Promise<void> {
    const accounts = [...this.#open.values()];
    this.#open.clear();
    this.#conflicts = [];
    for (let at = 0; at < accounts.length; at += AGAIN_BATCH) await this.#apply(accounts.slice(at, at + AGAIN_BATCH));
  }

  /** Takes an account over, unless nothing changed or it would put somebody out. */
  #sort(account: Account): void {
    const known = this.#known.get(account.subject);
    const active = account.active && account.expiresAt > this.#order.now();
    const isSame = known?.version === account.version && known.active === active && account.version !== '';
    if (isSame && known.primaryGroup === primaryGroupOf(account.attributes)) return;
    if (known?.active && known.userId !== '' && !active) this.#leaving.set(account.subject, account);
    else this.#pending.push(account);
  }

  async #flush(): Promise<void> {
    const accounts = this.#pending;
    this.#pending = [];
    if (accounts.length > 0) await this.#apply(accounts);
  }

  async #apply(accounts: readonly Account[]): Promise<void> {
    const outcome = await applyAccounts(this.#access, this.#run.directory, accounts, this.#by('sync'));
    this.#counts.created += outcome.created;
    this.#counts.changed += outcome.changed;
    this.#counts.enabled += outcome.enabled;
    this.#counts.disabled += outcome.disabled;
    this.#entered(outcome.index);
    this.#conflicts.push(...outcome.conflicts);
    const open = new Set(outcome.conflicts.map(({ subject }) => subject));
    for (const account of accounts) {
      const { subject, dn, version, active, login } = account;
      if (open.has(subject)) this.#open.set(subject, account);
      const { userId = '', primaryGroup: before = '' } = this.#known.get(subject) ?? {};
      const primaryGroup = primaryGroupOf(account.attributes);
      if (primaryGroup !== before) this.#movedPrimary += 1;
      this.#known.set(subject, { dn, version, active, login: login.toLowerCase(), userId, primaryGroup });
    }
  }

  /** The ids of everybody who is there: the only way to learn who is gone that every server knows. */
  async #readIds(connection: LdapConnection): Promise<Set<string>> {
    const { settings, flavour } = this.#connector;
    const ids = new Set<string>();
    const attributes = [flavour.id, flavour.login];
    for await (const page of connection.pages(settings.base, flavour.userFilter, attributes))
      for (const entry of page) {
        const subject = subjectOf(entry, flavour);
        if (subject !== undefined) ids.add(subject);
        if (subject === undefined || textOf(entry, flavour.login) === '') this.#noteUnreadable(entry.dn);
      }
    await this.#tell({ phase: 'looking who is gone', done: ids.size, total: this.#known.size });
    return ids;
  }

  /** Lets those go who are no longer there or no longer active, or asks when there are too many. */
  async #letGo(connection: LdapConnection, present: ReadonlySet<string>): Promise<SyncQuestion | null> {
    // Who is there but cannot be read is not gone.
    const unreadable = (subject: string): boolean => this.#unreadable.has(this.#known.get(subject)!.dn);
    const gone = [...this.#known.keys()].filter((subject) => !present.has(subject) && !unreadable(subject));
    const standing = gone.filter((subject) => this.#known.get(subject)!.userId !== '');
    const count = standing.length + this.#leaving.size;
    const users = [...this.#known.values()].filter(({ active, userId }) => active && userId !== '').length;
    const confirmed = this.#order.confirmed?.what === 'users' ? this.#order.confirmed.count : 0;
    if (count > Math.max(leavingLimit(users), confirmed))
      return this.#ask(count, users, [...standing, ...this.#leaving.keys()]);
    const leavers = [...this.#leaving.values()];
    for (let at = 0; at < leavers.length; at += LEAVING_BATCH) await this.#apply(leavers.slice(at, at + LEAVING_BATCH));
    const missing = await this.#reallyGone(connection, gone);
    for (let at = 0; at < missing.length; at += LEAVING_BATCH)
      await this.#remove(missing.slice(at, at + LEAVING_BATCH));
    return null;
  }

  async #remove(subjects: readonly string[]): Promise<void> {
    const { removed, index } = await removeAccounts(
      this.#access,
      this.#run.directory,
      subjects,
      this.#by('the account is gone'),
    );
    this.#counts.removed += removed;
    this.#entered(index);
    for (const subject of subjects) this.#known.delete(subject);
    await this.#tell({ phase: 'letting go', done: this.#counts.removed });
  }

  /** Looks for each one again: an entry that moved while we read pages is not gone. */
  async #reallyGone(connection: LdapConnection, subjects: readonly string[]): Promise<string[]> {
    const { settings, flavour } = this.#connector;
    const missing: string[] = [];
    for (const subject of subjects) {
      const found = await connection.find(settings.base, this.#connector.filterOf(subject), [flavour.id]);
      if (found.length === 0) missing.push(subject);
    }
    return missing;
  }

  async #ask(count: number, of: number, subjects: readonly string[]): Promise<SyncQuestion> {
    this.#counts.held = count;
    const { crypto, store } = this.#access;
    const sample = await store.transaction(async ({ tables }) => {
      const where = { directory: this.#run.directory };
      return tables.identities.list({ where, among: ['subject', subjects.slice(0, 10)] });
    });
    const id = Buffer.from(crypto.randomBytes(8)).toString('hex');
    return { id, what: 'users', count, of, sample: sample.map(({ login }) => login), at: this.#order.now() };
  }

  async #expire(): Promise<void> {
    for (let disabled = BATCH; disabled >= BATCH; ) {
      const outcome = await expireAccounts(this.#access, this.#run.directory, this.#by('the account has expired'));
      disabled = outcome.disabled;
      this.#counts.disabled += disabled;
      this.#entered(outcome.index);
    }
  }

  #entered(index: number): void {
    if (index === 0) return;
    this.#index = Math.max(this.#index, index);
    this.#order.entered();
  }

  #allowedMemberships(): number {
    const users = [...this.#known.values()].filter(({ active }) => active).length;
    const confirmed = this.#order.confirmed?.what === 'memberships' ? this.#order.confirmed.count : 0;
    return Math.max(leavingLimit(users), MIN_MEMBERSHIP_QUESTION, confirmed);
  }

  /** Tells how far it is, now and then: batches keep the claim by themselves. */
  async #tell(progress: SyncProgress): Promise<void> {
    if (performance.now() - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = performance.now();
    await tellProgress(this.#access, this.#run, progress);
  }

  #by(what: string): { actor: string; reason: string; run: SyncRun } {
    const { directory } = this.#run;
    return { actor: `directory ${directory}`, reason: `${directory}: ${what}`, run: this.#run };
  }

  #result(
    { server }: LdapConnection,
    of: { startedAt: number; changesOnly: boolean; question: SyncQuestion | null; groups: GroupOutcome },
  ): SyncResult {
    const { startedAt, changesOnly, groups } = of;
    const at = this.#order.now();
    const question = of.question ?? groups.question;
    const report: SyncReport = {
      mode: changesOnly ? 'incremental' : 'full',
      at,
      tookMs: at - startedAt,
      server,
      ...this.#counts,
      groups: groups.groups,
      joined: groups.joined,
      left: groups.left,
      held: this.#counts.held + groups.held,
      unreadable: this.#counts.unreadable + groups.unreadable,
    };
    const fullAt = changesOnly ? (this.#order.cursor?.fullAt ?? 0) : startedAt;
    // What was held must be seen again by the next run, so the cursor stays where it was.
    const changed = question ? (this.#order.cursor?.changed ?? '') : this.#changed;
    this.#entered(groups.index);
    const index = this.#index;
    return { report, cursor: { server, changed, fullAt }, question, conflicts: this.#conflicts, index };
  }
}

/** The server of the cursor first: its numbers mean nothing elsewhere. */
function serversOf({ settings }: LdapConnector, { cursor }: SyncOrder): readonly string[] {
  const { servers } = settings;
  return cursor && servers.includes(cursor.server) ? [...new Set([cursor.server, ...servers])] : servers;
}

/** Filter of what changed since a cursor: a number that grows, or a time (RFC 4517, section 3.3.13) with some overlap. */
function changedSince(attribute: string, { changed }: SyncCursor): string {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/.exec(changed) ?? [];
  if (year === undefined) return /^\d+$/.test(changed) ? `(${attribute}>=${BigInt(changed) + 1n})` : '';
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const from = new Date(at - REPLICA_LAG_MS).toISOString().replace(/[-:T]|\.\d+/g, '');
  return `(${attribute}>=${from})`;
}

/** The later of two values of the same attribute: numbers by value, times by text. */
function later(a: string, b: string): string {
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) return BigInt(a) >= BigInt(b) ? a : b;
  return a >= b ? a : b;
}
