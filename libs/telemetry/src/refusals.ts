import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Refusals of one kind, for operators: each is counted, and now and then one leaves a line. */
export interface Refusals {
  /** `why` is one of few texts; `about` says in the log who it was. */
  met(why: string, about?: Readonly<Record<string, unknown>>): void;
}

/** What is refused: the name and help of its metric, whose label is `why`, and the words of its lines. */
export interface RefusalKind {
  readonly metric: string;
  readonly help: string;
  readonly words: string;
}

/** Between two lines about the same, ms. */
const QUIET_MS = 10_000;
/** Reasons that are told apart; what comes above counts as `other`. */
const MAX_REASONS = 100;

/** Counts refusals by reason; a flood of them is one line in ten seconds for each reason, with how many it stands for. */
export function createRefusals(kind: RefusalKind, parts: { log: Log; metrics: Metrics; now: () => number }): Refusals {
  const { log, metrics, now } = parts;
  const counter = metrics.counter(kind.metric, kind.help, ['why']);
  const lines = new Map<string, { at: number; unsaid: number }>();
  return {
    met(reason, about = {}) {
      const why = lines.has(reason) || lines.size < MAX_REASONS ? reason : 'other';
      counter.inc({ why });
      const line = lines.get(why) ?? { at: Number.NEGATIVE_INFINITY, unsaid: 0 };
      lines.set(why, line);
      line.unsaid += 1;
      if (now() - line.at < QUIET_MS) return;
      log.warn({ ...about, times: line.unsaid }, `${kind.words}: ${reason}`);
      line.at = now();
      line.unsaid = 0;
    },
  };
}
