import { createHmac } from 'node:crypto';
import type { OnlineKey } from '@sallyport/access';
import type { LiveKeys } from '../keys/live-keys.ts';

/**
 * Keys with which this realm signs what devices take for the newest metadata: derived from its first root key (HKDF, RFC 5869), so that
 * no database holds one and every node has it. They can name no package: that is for keys which are on no server.
 */
export function onlineKeyOf({ current: { updateSeed } }: Pick<LiveKeys, 'current'>): OnlineKey {
  // The expand step, of one block.
  return (number) => createHmac('sha256', updateSeed).update(`sallyport/1 updates/${number}\u0001`).digest();
}
