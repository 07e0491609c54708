import type { BackendTrouble } from '@sallyport/security-api';
import type { Log, Metrics } from '@sallyport/telemetry';
import type { BackendError } from './errors.ts';

/** Between two lines about the same, ms. */
const QUIET_MS = 10_000;
/** How long a trouble is told to Security after it was last met, ms. */
const RECENT_MS = 60_000;
/** Troubles that are told at once at most. */
const MAX_TOLD = 16;
/** Pairs of resource and reason that are remembered. */
const MAX_KNOWN = 1_024;

interface Known extends BackendTrouble {
  at: number;
  lineAt: number;
  unsaid: number;
}

/**
 * Which resources' backends could not be reached or gave no good answer, and why: counted, in the log at level warn (the
 * first at once, then one line in ten seconds for each resource and reason), and for a minute in what `status` shows.
 */
export class BackendTroubles {
  readonly #parts: { readonly log: Pick<Log, 'warn'>; readonly now: () => number };
  readonly #failures;
  readonly #known = new Map<string, Known>();

  /** `now` in ms of a monotonic clock. */
  constructor(parts: { log: Pick<Log, 'warn'>; metrics: Metrics; now: () => number }) {
    this.#parts = parts;
    const labels = ['resource', 'reason'];
    this.#failures = parts.metrics.counter('sallyport_backend_failures_total', 'failures of backends', labels);
  }

  note(resource: string, { reason, message, cause }: BackendError): void {
    if (!reason) return;
    this.#failures.labels({ resource, reason }).inc();
    const known = this.#find(resource, reason);
    const { log, now } = this.#parts;
    known.at = now();
    known.unsaid += 1;
    if (known.at - known.lineAt < QUIET_MS) return;
    const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
    log.warn({ resource, reason, detail, times: known.unsaid }, 'a backend failed');
    known.lineAt = known.at;
    known.unsaid = 0;
  }

  /** What was met in the last minute, the latest first. */
  recent(): BackendTrouble[] {
    const since = this.#parts.now() - RECENT_MS;
    const recent = [...this.#known.values()].filter(({ at }) => at >= since);
    recent.sort((a, b) => b.at - a.at);
    return recent.slice(0, MAX_TOLD).map(({ resource, reason }) => ({ resource, reason }));
  }

  #find(resource: string, reason: BackendTrouble['reason']): Known {
    const key = `${resource} ${reason}`;
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const made = { resource, reason, at: 0, lineAt: Number.NEGATIVE_INFINITY, unsaid: 0 };
    this.#known.set(key, made);
    return made;
  }
}
