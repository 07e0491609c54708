import type { Rollout } from '@sallyport/security-api';
import type { ReleaseOutcome } from './rows.ts';

/** So many installations must have said what came of a release before their part counts. */
export const LEAST_REPORTS = 10;
const BUCKETS = 10_000;

/** The part of the installations that a release is rolled out to now, percent. A rollout that halts keeps its part and offers nothing. */
export function percentNow({ steps, haltedAt }: Rollout, now: number): number {
  if (haltedAt !== null) return 0;
  return steps.filter(({ at }) => at <= now).at(-1)?.percent ?? 0;
}

/**
 * True for an installation that a release is rolled out to at so many percent. Which ones they are depends on both ids alone: who is in at
 * 5 % is in at 25 %, and the first ones of one release are not those of the next.
 */
export function isInPart(
  sha256: (bytes: Uint8Array) => Uint8Array,
  of: { readonly release: string; readonly installation: string },
  percent: number,
): boolean {
  return turnOf(sha256, of) < percent;
}

/** Percent above which a rollout takes an installation in, from 0 to 99.99. */
export function turnOf(
  sha256: (bytes: Uint8Array) => Uint8Array,
  { release, installation }: { readonly release: string; readonly installation: string },
): number {
  const [a = 0, b = 0, c = 0, d = 0] = sha256(new TextEncoder().encode(`rollout/${release}/${installation}`));
  return (((a * 256 + b) * 65_536 + c * 256 + d) % BUCKETS) / (BUCKETS / 100);
}

/** A rollout that goes on where it halted: what was still to come is as far away as it was. */
export function resumed(rollout: Rollout, now: number): Rollout {
  const { haltedAt, steps } = rollout;
  if (haltedAt === null) return rollout;
  const later = steps.map(({ at, percent }) => ({ percent, at: at > haltedAt ? at + (now - haltedAt) : at }));
  return { ...rollout, steps: later, haltedAt: null, haltedWhy: null };
}

/** A rollout whose next step is now; those behind it come as much earlier. */
export function advanced(rollout: Rollout, now: number): Rollout {
  const next = rollout.steps.find(({ at }) => at > now);
  if (!next) return rollout;
  const early = next.at - now;
  return { ...rollout, steps: rollout.steps.map(({ at, percent }) => ({ percent, at: at > now ? at - early : at })) };
}

/** Why a rollout halts by itself, by what installations said; undefined while it need not. */
export function whyHalt(
  { haltAbovePercent }: Rollout,
  counts: Readonly<Record<ReleaseOutcome, number>>,
): string | undefined {
  const bad = counts.failed + counts.refused;
  const all = bad + counts.installed;
  if (all < LEAST_REPORTS || bad * 100 <= all * haltAbovePercent) return undefined;
  return `${counts.failed} failed and ${counts.refused} refused of ${all}: more than ${haltAbovePercent} %`;
}
