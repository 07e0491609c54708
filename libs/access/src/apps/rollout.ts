import type { Rollout } from '@sallyport/security-api';

/** So many installations must have tried a release before their part counts. */
export const LEAST_TRIES = 10;
/** Fewer bad ones than these halt nothing, whatever their part is. */
const LEAST_BAD = 3;
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

/** How installations fared with a version, each of which counts once. */
export interface Tries {
  readonly good: number;
  readonly failed: number;
  readonly refused: number;
}

/** The same of the version before. */
export interface TriesBefore extends Tries {
  readonly version: string;
}

/** So many installations have tried a version. */
export function triesIn({ good, failed, refused }: Tries): number {
  return good + failed + refused;
}

/** Why a rollout halts by itself: it fares so much worse than the version before it. Undefined while it need not. */
export function whyHalt({ haltAbovePercent }: Rollout, own: Tries, before?: TriesBefore): string | undefined {
  const all = triesIn(own);
  if (all < LEAST_TRIES || own.failed + own.refused < LEAST_BAD) return undefined;
  const badBefore = before ? badPercent(before) : 0;
  if (badPercent(own) - badBefore <= haltAbovePercent) return undefined;
  const above = badBefore > 0 ? ` above the ${Math.round(badBefore)} % of ${before!.version}` : '';
  return `${own.failed} failed and ${own.refused} refused of ${all}: more than ${haltAbovePercent} %${above}`;
}

/** Percent of the installations with which a version failed, or was refused. */
function badPercent(tries: Tries): number {
  return ((tries.failed + tries.refused) * 100) / triesIn(tries);
}
