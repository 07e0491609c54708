export { type Guard, guardWith } from './guard.ts';
export { createLog, type Log, written } from './log.ts';
export { createMetrics, type Metrics, type Tally } from './metrics.ts';
export { createRefusals, type RefusalKind, type Refusals } from './refusals.ts';
