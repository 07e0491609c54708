import { type CryptoProvider, encodeText, formatHex } from '@sallyport/channel';
import type { RevocationEntry } from '@sallyport/security-api';

/** A place in the log: the entry there and its hash. Index 0 has an empty one. */
export interface LogPosition {
  readonly index: number;
  readonly hash: string;
}

/** The empty log. */
export const LOG_START: LogPosition = { index: 0, hash: '' };

/**
 * Hash of an entry over the one before it, its content and its salt, 64 hex digits. The subject is last, so that no content
 * can be read in two ways. The migration `epochs` of the SQL store writes the same for nodes of the version before.
 */
export function entryHash(
  crypto: Pick<CryptoProvider, 'sha256'>,
  previous: string,
  { index, kind, at, salt, subject }: Omit<RevocationEntry, 'hash'>,
): string {
  const lines = ['sallyport/1 log', previous, index, kind, at, salt, subject];
  return formatHex(crypto.sha256(encodeText(lines.join('\n'))));
}

/** True when an entry is the next one behind a position of the same log. */
export function follows(crypto: Pick<CryptoProvider, 'sha256'>, after: LogPosition, entry: RevocationEntry): boolean {
  return entry.index === after.index + 1 && entry.hash === entryHash(crypto, after.hash, entry);
}
