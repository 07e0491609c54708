import { hkdfSync } from 'node:crypto';
import type { OnlineKey } from '@sallyport/access';
import type { LiveKeys } from '../keys/live-keys.ts';

const SECRET_BYTES = 32;

/**
 * Keys with which this realm signs what devices take for the newest metadata: derived from its root key, so that no database holds one
 * and every node has it. They can name no package: that is for keys which are on no server.
 */
export function onlineKeyOf({ current }: LiveKeys): OnlineKey {
  const { d = '' } = current.root.privateKey.export({ format: 'jwk' }) as { d?: string };
  const root = Buffer.from(d, 'base64url');
  return (number) =>
    new Uint8Array(hkdfSync('sha256', root, 'sallyport', `sallyport/1 updates/${number}`, SECRET_BYTES));
}
