import {
  type AccessContext,
  type BackupFinding,
  type BackupRhythm,
  type BackupTargetRow,
  type BackupTurn,
  backupTargetsNow,
  claimBackups,
  endBackupTurn,
  giveBackBackupTurn,
  keepBackupTurn,
  Sightings,
  verifiedAgeMs,
} from '@sallyport/access';
import type { Log, Metrics } from '@sallyport/telemetry';
import { type BackupWord, type StartWorker, startWorker, type WorkerProcess } from './worker-process.ts';

/** A turn whose beat stands still for so long, as this node sees it, is over, ms. */
const SILENCE_MS = 60_000;
/** A process that says nothing for so long hangs, ms: each part of it has a limit of its own below that. */
const STALLED_MS = 600_000;
/** A process that has said all ends within that, ms, unless a system call of it hangs. */
const LEAVES_MS = 20_000;
/** A node looks this often whether something is due, ms: at most, and at least. */
const LOOK_MS = { most: 5_000, least: 200 } as const;
/** Receipts are looked for so often between two backups. */
const LOOKS_BETWEEN = 5;
const LOOK_AT_TARGETS_MS = 60_000;

/** What the schedule works with. */
export interface ScheduleParts {
  readonly access: AccessContext;
  /** This node, by whose name it takes turns. */
  readonly node: { readonly id: string };
  /** Descriptions of the targets that are set up. */
  readonly places: readonly string[];
  readonly everyMs: number;
  readonly log: Log;
  readonly monotonicMs: () => number;
  readonly start?: StartWorker;
}

/** Turns that one process works on. */
interface Work {
  readonly process: WorkerProcess;
  readonly turns: Map<string, BackupTurn>;
  /** Places that did not answer it. Until it has ended nobody else of this node goes there, and hangs beside it. */
  readonly silent: Set<string>;
  heardAt: number;
}

/**
 * Makes a backup at each target when it is due: whichever node comes first takes the turn of all targets that are due, and lets a
 * process of its own do it. A target that takes longer than a slot is left out of the next ones, until it is done.
 */
export class BackupSchedule {
  readonly #parts: ScheduleParts;
  readonly #start: StartWorker;
  readonly #sightings: Sightings<BackupTargetRow>;
  readonly #works = new Set<Work>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #stopped = false;
  #seen: { readonly rows: readonly BackupTargetRow[]; readonly now: number; readonly at: number } | undefined;

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
    this.#start = parts.start ?? startWorker;
    const beatOf = ({ runId, runBeat }: BackupTargetRow): string => `${runId ?? ''}/${runBeat}`;
    this.#sightings = new Sightings(parts.monotonicMs, ({ place }) => place, beatOf);
  }

  /** Begins to look; where no target is set up there is nothing to look for. */
  start(): void {
    if (this.#parts.places.length === 0) return;
    const { everyMs } = this.#parts;
    const lookMs = Math.max(LOOK_MS.least, Math.min(LOOK_MS.most, everyMs / 10));
    this.#timer = setInterval(() => void this.look(), lookMs);
    void this.look();
  }

  /** Stops looking, ends what runs and gives its turns back, so that another node makes up for them at once. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped = true;
    const left = [...this.#works].flatMap(({ turns }) => [...turns.values()]);
    for (const { process } of this.#works) process.kill();
    await Promise.all(left.map((turn) => giveBackBackupTurn(this.#parts.access, turn).catch(() => undefined)));
  }

  /** Age of the newest verified backup, as last seen, s; infinite when there is none. */
  verifiedAgeSeconds(): number {
    if (!this.#seen) return Number.POSITIVE_INFINITY;
    const { rows, now, at } = this.#seen;
    return Math.round(verifiedAgeMs(rows, now + this.#parts.monotonicMs() - at) / 1_000);
  }

  /** How many targets fail, as last seen. */
  failing(): number {
    return (this.#seen?.rows ?? []).filter(({ state }) => state.trouble).length;
  }

  /** Keeps the turns of this node, and takes those that are due. */
  async look(): Promise<void> {
    if (this.#looking || this.#stopped) return;
    this.#looking = true;
    try {
      await this.#keepTurns();
      await this.#takeTurns();
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'the targets of backups could not be looked at');
    } finally {
      this.#looking = false;
    }
  }

  /** Whoever lost a turn to another node ends its work there. */
  async #keepTurns(): Promise<void> {
    const { access, log, monotonicMs } = this.#parts;
    for (const work of this.#works) {
      const patienceMs = work.turns.size === 0 ? LEAVES_MS : STALLED_MS;
      if (monotonicMs() - work.heardAt > patienceMs) work.process.kill();
      for (const turn of work.turns.values())
        await keepBackupTurn(access, turn).catch((error: { code?: string }) => {
          if (error.code !== 'ERR_ACCESS_CONFLICT') throw error;
          log.warn({ err: error }, 'a backup was taken over by another node');
          work.process.kill();
        });
    }
  }

  async #takeTurns(): Promise<void> {
    const { access, node, monotonicMs, places } = this.#parts;
    const { rows, now } = await backupTargetsNow(access, places);
    this.#seen = { rows, now, at: monotonicMs() };
    this.#sightings.observe(rows);
    const over = rows.filter((row) => row.runId !== null && this.#sightings.stillMs(row) > SILENCE_MS);
    const busy = new Set([...this.#works].flatMap(({ turns, silent }) => [...turns.keys(), ...silent]));
    const free = places.filter((place) => !busy.has(place));
    if (free.length === 0) return;
    const turns = await claimBackups(access, { node: node.id, places: free, over }, this.#rhythm);
    if (turns.length > 0 && !this.#stopped) this.#begin(turns);
  }

  get #rhythm(): BackupRhythm {
    const { places, everyMs } = this.#parts;
    return { places, everyMs, lookMs: Math.min(LOOK_AT_TARGETS_MS, everyMs / LOOKS_BETWEEN) };
  }

  #begin(turns: readonly BackupTurn[]): void {
    const order = turns.map(({ place, work, expected }) => ({ place, work, expected }));
    const work: Work = {
      process: this.#start(order, (word) => this.#hear(work, word)),
      turns: new Map(turns.map((turn) => [turn.place, turn])),
      silent: new Set(),
      heardAt: this.#parts.monotonicMs(),
    };
    this.#works.add(work);
    void work.process.ended.then(async (how) => {
      this.#works.delete(work);
      if (this.#stopped) return;
      const trouble = {
        code: 'ERR_BACKUP_BROKEN_OFF',
        words: `the process that makes backups ended before it was done (${how})`,
      };
      for (const turn of work.turns.values()) await this.#end(turn, { trouble });
    });
  }

  #hear(work: Work, word: BackupWord): void {
    work.heardAt = this.#parts.monotonicMs();
    if (!('place' in word)) return;
    const turn = work.turns.get(word.place);
    if (word.found.trouble?.code === 'ERR_TARGET_SLOW') work.silent.add(word.place);
    if (turn && work.turns.delete(word.place)) void this.#end(turn, word.found);
  }

  async #end(turn: BackupTurn, found: BackupFinding): Promise<void> {
    const { access, log } = this.#parts;
    const { place, work } = turn;
    const { exported, trouble } = found;
    if (trouble) log.warn({ place, trouble: trouble.code }, `a backup target fails: ${trouble.words}`);
    else if (exported) log.info({ place, ...exported }, 'a backup was made');
    await endBackupTurn(access, turn, found, this.#rhythm).catch((error: unknown) =>
      log.warn({ err: error, place, work }, 'what became of a backup could not be noted'),
    );
  }
}

/** Tells of backups in the metrics of a node where they are set up. */
export function addBackupMetrics(metrics: Metrics, schedule: BackupSchedule): void {
  metrics.gauge(
    'sallyport_backup_verified_age_seconds',
    'age of the newest backup that was restored elsewhere and verified, s; +Inf when none was',
    () => schedule.verifiedAgeSeconds(),
  );
  metrics.gauge('sallyport_backup_failing_targets', 'targets to which the last backup could not be made', () =>
    schedule.failing(),
  );
}
