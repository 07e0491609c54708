import {
  type AccessContext,
  type Bus,
  claimSync,
  type DirectoryRow,
  directoriesNow,
  endSync,
  failSync,
  isSyncDue,
  Sightings,
  type SyncRun,
} from '@sallyport/access';
import { LdapSync, type SyncOrder } from '@sallyport/directory';
import type { SyncInput } from '@sallyport/security-api';
import type { Log } from '@sallyport/telemetry';
import type { InForce } from '../revocation/in-force.ts';
import type { Connectors } from './connectors.ts';
import { prepareProvider } from './providers.ts';

/** How often a node looks whether a sync is due, ms. */
const LOOK_MS = 1_000;
const FULL_EVERY_MS = 86_400_000;
/** How often a node asks a provider what it publishes, ms. */
const VISIT_MS = 30_000;
/** A run whose beat stands still for so long, as this node sees it, is over, ms. */
const SILENCE_MS = 60_000;

/** What syncing uses. */
export interface SyncParts {
  readonly access: AccessContext;
  readonly connectors: Connectors;
  /** This node, by whose name it claims a sync. */
  readonly node: { readonly id: string };
  readonly bus: Bus;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly inForce: InForce;
}

/** Keeps LDAP directories in step: whichever node comes first runs a sync that is due, and takes over one that stands still. */
export class DirectorySyncs {
  readonly #parts: SyncParts;
  readonly #sightings: Sightings<DirectoryRow>;
  readonly #running = new Map<string, Promise<void>>();
  readonly #visits = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(parts: SyncParts) {
    this.#parts = parts;
    const beatOf = ({ runId, runBeat }: DirectoryRow): string => `${runId ?? ''}/${runBeat}`;
    this.#sightings = new Sightings(parts.monotonicMs, ({ name }) => name, beatOf);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  /** Stops looking; a run under way is abandoned, its claim is taken over by whoever goes on. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Starts a sync of an LDAP directory now; false when one runs already, here or at another node. */
  async begin(row: DirectoryRow, input: SyncInput): Promise<boolean> {
    if (this.#running.has(row.name)) return false;
    const { access, node } = this.#parts;
    const { runId, runBeat: beat } = row;
    const isOver = runId !== null && this.#sightings.stillMs(row) > SILENCE_MS;
    const run = await claimSync(access, row.name, { node: node.id, over: isOver ? { runId, beat } : undefined });
    if (!run) return false;
    const work = this.#carryOut(row, run, input).finally(() => this.#running.delete(row.name));
    this.#running.set(row.name, work);
    return true;
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const { rows, now } = await directoriesNow(this.#parts.access);
      this.#sightings.observe(rows);
      for (const row of rows) {
        if (row.kind === 'ldap' && isSyncDue(row, now)) await this.begin(row, {});
        if (row.kind === 'oidc') this.#visit(row);
      }
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'the directories could not be looked at');
    } finally {
      this.#looking = false;
    }
  }

  /** Looks whether a provider still answers, so that the status and the site map are true. Nobody waits for it. */
  #visit(row: DirectoryRow): void {
    const now = this.#parts.monotonicMs();
    const seenAt = this.#visits.get(row.name) ?? Number.NEGATIVE_INFINITY;
    if (now - seenAt < VISIT_MS) return;
    this.#visits.set(row.name, now);
    prepareProvider(this.#parts, row).catch((error: unknown) =>
      this.#parts.log.warn({ err: error, directory: row.name }, 'what a provider publishes could not be kept'),
    );
  }

  async #carryOut(row: DirectoryRow, run: SyncRun, input: SyncInput): Promise<void> {
    const { access, log } = this.#parts;
    try {
      const result = await LdapSync.run(access, {
        connector: this.#parts.connectors.ldap(row),
        run,
        order: this.#orderOf(row, input),
      });
      await this.#parts.inForce.ensureForDirectory(result.index);
      await endSync(access, run, result);
      log.info({ directory: row.name, ...result.report }, 'a directory was synced');
    } catch (error) {
      log.warn({ err: error, directory: row.name }, 'a directory could not be synced; nobody was removed');
      await failSync(access, run, (error as Error).message).catch((cause: unknown) =>
        log.warn({ err: cause, directory: row.name }, 'the trouble of a directory could not be noted'),
      );
    }
  }

  #orderOf(row: DirectoryRow, input: SyncInput): SyncOrder {
    const { cursor, question } = row.state;
    const { fullEveryMs = FULL_EVERY_MS } = row.kind === 'ldap' ? row.settings : {};
    const { wallMs, bus } = this.#parts;
    const fullIsDue = !cursor || wallMs() - cursor.fullAt >= fullEveryMs;
    const confirmed = question && question.id === input.confirm ? question : undefined;
    const mode = input.mode ?? (fullIsDue ? 'full' : 'incremental');
    return { mode, cursor, confirmed, now: wallMs, entered: () => bus.publish('entries') };
  }
}
