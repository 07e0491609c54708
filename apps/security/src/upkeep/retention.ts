import { setTimeout as sleep } from 'node:timers/promises';
import { type AccessContext, type Swept, sweepEnded, trimAudit } from '@sallyport/access';
import type { Log } from '@sallyport/telemetry';
import type { SecurityNode } from '../farm/node.ts';

/** What has ended is looked for this often, ms. */
const PERIOD_MS = 600_000;
/** Between two batches, so that others get their turn, ms; and batches of one period. */
const PAUSE_MS = 100;
const BATCHES = 500;

/** What retention works with. */
export interface RetentionParts {
  readonly access: AccessContext;
  readonly node: Pick<SecurityNode, 'isFirst'>;
  readonly log: Log;
}

/** Goes on removing what the realm does not keep any more, on one node; gives the function that stops. */
export function startRetention(parts: RetentionParts): () => void {
  let stopped = false;
  let running = false;
  const timer = setInterval(async () => {
    if (running || !parts.node.isFirst) return;
    running = true;
    await sweepAll(parts, () => stopped).catch((error: unknown) =>
      parts.log.warn({ err: error }, 'what the realm does not keep any more could not be removed yet'),
    );
    running = false;
  }, PERIOD_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

async function sweepAll({ access, log }: RetentionParts, stopped: () => boolean): Promise<void> {
  for (const [what, sweep] of [
    ['ended rows', sweepEnded],
    ['audit events', trimAudit],
  ] as const) {
    let [removed, swept]: [number, Swept] = [0, { removed: 0, more: true }];
    for (let batch = 0; batch < BATCHES && swept.more && !stopped(); batch++) {
      swept = await sweep(access);
      removed += swept.removed;
      if (swept.more) await sleep(PAUSE_MS);
    }
    if (removed > 0) log.info({ what, removed }, 'what the realm does not keep any more is removed');
  }
}
