import {
  type AccountConflict,
  claimSync,
  type DirectoryRow,
  endSync,
  getDirectory,
  listDirectories,
  type SyncRun,
} from '@sallyport/access';
import { LdapSync, type SyncOrder, type SyncResult } from '@sallyport/directory';
import type { LdapSettings, SyncInput } from '@sallyport/security-api';
import { whenInForce } from '../farm/in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { prepareProvider } from './providers.ts';
import { MAX_CONFLICTS, stateOf } from './state.ts';

/** How often a node looks whether a sync is due, ms. */
const LOOK_MS = 1_000;
const SYNC_EVERY_MS = 60_000;
const FULL_EVERY_MS = 86_400_000;
/** A failed sync is tried again after this at the latest, ms. */
const RETRY_MS = 30_000;
/** How often a node asks a provider what it publishes, ms. */
const VISIT_MS = 30_000;
/** A run whose beat stands still for so long, as this node sees it, is over, ms. */
const SILENCE_MS = 60_000;

interface Sighting {
  readonly runId: string;
  readonly beat: number;
  readonly since: number;
}

/** Keeps LDAP directories in step: whichever node comes first runs a sync that is due, and takes over one that stands still. */
export class DirectorySyncs {
  readonly #context: RealmContext;
  readonly #sightings = new Map<string, Sighting>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #visits = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(context: RealmContext) {
    this.#context = context;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** Stops looking; a run under way is abandoned, its claim is taken over by whoever goes on. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Starts a sync now; false when one runs already, here or at another node. */
  async begin(name: string, input: SyncInput): Promise<boolean> {
    const row = await this.#context.access.store.transaction((transaction) => getDirectory(transaction, name));
    return this.#begin(row, input);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const row of await listDirectories(this.#context.access)) {
        this.#watch(row);
        if (row.kind === 'ldap' && (await this.#isDue(row))) await this.#begin(row, {});
        if (row.kind === 'oidc') this.#visit(row);
      }
    } catch (error) {
      this.#context.log.warn({ err: error }, 'the directories could not be looked at');
    } finally {
      this.#looking = false;
    }
  }

  /** Looks whether a provider still answers, so that the status and the site map are true. Nobody waits for it. */
  #visit(row: DirectoryRow): void {
    const now = this.#context.monotonicMs();
    const seenAt = this.#visits.get(row.name) ?? Number.NEGATIVE_INFINITY;
    if (now - seenAt < VISIT_MS) return;
    this.#visits.set(row.name, now);
    prepareProvider(this.#context, row).catch((error: unknown) =>
      this.#context.log.warn({ err: error, directory: row.name }, 'what a provider publishes could not be kept'),
    );
  }

  #watch({ name, runId, runBeat }: DirectoryRow): void {
    const seen = this.#sightings.get(name);
    if (runId === null) this.#sightings.delete(name);
    else if (seen?.runId !== runId || seen.beat !== runBeat)
      this.#sightings.set(name, { runId, beat: runBeat, since: this.#context.monotonicMs() });
  }

  async #isDue(row: DirectoryRow): Promise<boolean> {
    if (this.#running.has(row.name)) return false;
    const { endedAt, trouble } = stateOf(row);
    const { syncEveryMs = SYNC_EVERY_MS } = row.settings as unknown as LdapSettings;
    const pause = trouble ? Math.min(syncEveryMs, RETRY_MS) : syncEveryMs;
    if (endedAt === undefined) return true;
    const now = await this.#context.access.store.transaction(async (transaction) => transaction.now());
    return now - endedAt >= pause || row.runId !== null;
  }

  async #begin(row: DirectoryRow, input: SyncInput): Promise<boolean> {
    const { access, node, monotonicMs } = this.#context;
    if (this.#running.has(row.name)) return false;
    const seen = this.#sightings.get(row.name);
    const over = seen && monotonicMs() - seen.since > SILENCE_MS ? seen : undefined;
    const run = await claimSync(access, row.name, { node: node.id, over });
    if (!run) return false;
    const work = this.#carryOut(row, run, input).finally(() => this.#running.delete(row.name));
    this.#running.set(row.name, work);
    return true;
  }

  async #carryOut(row: DirectoryRow, run: SyncRun, input: SyncInput): Promise<void> {
    const { access, log } = this.#context;
    try {
      const result = await LdapSync.run(access, {
        connector: this.#context.connectors.ldap(row),
        run,
        order: this.#orderOf(row, input),
      });
      await whenInForce(this.#context, result.index);
      await endSync(access, run, {
        ...stateAfter(result, stateOf(row).conflicts ?? []),
        endedAt: this.#context.wallMs(),
      });
      log.info({ directory: row.name, ...result.report }, 'a directory was synced');
    } catch (error) {
      log.warn({ err: error, directory: row.name }, 'a directory could not be synced; nobody was removed');
      await this.#fail(row, run, error as Error).catch((cause: unknown) =>
        log.warn({ err: cause, directory: row.name }, 'the trouble of a directory could not be noted'),
      );
    }
  }

  #orderOf(row: DirectoryRow, input: SyncInput): SyncOrder {
    const { cursor, question } = stateOf(row);
    const { fullEveryMs = FULL_EVERY_MS } = row.settings as unknown as LdapSettings;
    const { wallMs, bus } = this.#context;
    const fullIsDue = !cursor || wallMs() - cursor.fullAt >= fullEveryMs;
    const confirmed = question && question.id === input.confirm ? question : undefined;
    const mode = input.mode ?? (fullIsDue ? 'full' : 'incremental');
    return { mode, cursor, confirmed, now: wallMs, entered: () => bus.publish('entries') };
  }

  async #fail(row: DirectoryRow, run: SyncRun, error: Error): Promise<void> {
    const { access, wallMs } = this.#context;
    const { trouble, troubleSince } = stateOf(row);
    const since = trouble ? troubleSince : wallMs();
    await endSync(access, run, { trouble: error.message, troubleSince: since, endedAt: wallMs() });
  }
}

/** Conflicts of before stay known: an incremental sync does not look at them. The view leaves out what was solved. */
function stateAfter({ report, cursor, question, conflicts }: SyncResult, before: readonly AccountConflict[]): object {
  const fresh = new Set(conflicts.map(({ subject }) => subject));
  const known = report.mode === 'full' ? [] : before.filter(({ subject }) => !fresh.has(subject));
  const kept = [...conflicts, ...known].slice(0, MAX_CONFLICTS);
  return { report, cursor, question, conflicts: kept, trouble: null, troubleSince: null };
}
