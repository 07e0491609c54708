import { setTimeout as sleep } from 'node:timers/promises';
import type { SecurityNode } from './node.ts';

/** Between telling that this node drains and closing its listeners, so that Proxies and load balancers notice, ms. */
const UNREADY_MS = 500;
const POLL_MS = 50;

/** What has to do with those who are to go elsewhere. */
export interface DrainParts {
  readonly node: Pick<SecurityNode, 'drain' | 'proxyUrls'>;
  /** Handshakes that are under way. */
  readonly handshakes: { readonly size: number };
  readonly endControl: () => void;
}

/** Sends everybody elsewhere: unready, control connections closed, handshakes finished, within so many ms. */
export async function drain({ node, handshakes, endControl }: DrainParts, maxMs: number): Promise<void> {
  const deadline = performance.now() + maxMs;
  await node.drain();
  endControl();
  const others = node.proxyUrls.length > 1;
  if (others) await sleep(Math.min(UNREADY_MS, maxMs));
  while (handshakes.size > 0 && performance.now() < deadline) await sleep(POLL_MS);
}
