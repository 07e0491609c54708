/** How long a Proxy may serve after its last beat, in ms, counted from the beat's send time. Bounds revocation. */
export const DEFAULT_LEASE_MS = 15_000;

/** What different rates of two monotonic clocks may amount to over a lease, ms. Whoever waits for a lease adds it. */
export const RATE_MARGIN_MS = 50;
