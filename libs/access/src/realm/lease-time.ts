/** How long a Proxy may serve after its last beat, in ms, counted from the beat's send time. Bounds revocation. */
export const DEFAULT_LEASE_MS = 15_000;

const LEAST_MARGIN_MS = 50;
/** Clocks are slewed by 500 ppm at most, here and there: one ms of a second, and as much again for oscillators. */
const RATE_MARGIN = 1 / 500;

/**
 * After so long at most, ms, a revocation is in force at Proxies with such leases, whatever they hear: theirs are over then, and who
 * waits has allowed for the rates of clocks.
 */
export function revocationBoundMs(leaseMs: number): number {
  return leaseMs + rateMarginMs(leaseMs);
}

/** What different rates of two monotonic clocks may amount to over some time, ms. Whoever waits for a lease adds it. */
export function rateMarginMs(ms: number): number {
  return Math.max(LEAST_MARGIN_MS, Math.ceil(ms * RATE_MARGIN));
}
