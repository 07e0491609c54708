import { compareVersions, isBelow } from '@sallyport/lease';
import { MAX_BLOCKED_VERSIONS } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import { revokedVersions } from '../realm/revocation-log.ts';
import type { Transaction } from '../store/store.ts';
import type { AppRow } from './rows.ts';

/** Which versions of an app are served nowhere: these, and all below one. */
export type BlockedVersions = Pick<AppRow, 'blocked' | 'blockedBelow'>;

/**
 * Versions that are revoked, as a grant has room for them: of more than that the lowest are one, and everything below the lowest that is
 * named is refused, also what nobody has revoked. Cutting off has no limit, and a version more is never served for it.
 */
export function foldVersions(versions: Iterable<string>, below: string | null = null): BlockedVersions {
  const all = [...new Set(versions)].filter((version) => below === null || !isBelow(version, below));
  const named = all.slice(-MAX_BLOCKED_VERSIONS);
  if (all.length <= MAX_BLOCKED_VERSIONS) return { blocked: named.length > 0 ? named : null, blockedBelow: below };
  // What is no version is below every one: it goes first, and by any.
  const numbered = all.filter((version) => !isBelow(version, '0')).sort(compareVersions);
  const kept = numbered.slice(-MAX_BLOCKED_VERSIONS);
  const lowest = numbered.length > MAX_BLOCKED_VERSIONS ? kept[0]! : '0';
  return {
    blocked: kept.length > 0 ? kept : null,
    blockedBelow: below !== null && isBelow(lowest, below) ? below : lowest,
  };
}

/** The same of an app, as the log says. */
export async function blockedVersions(transaction: Transaction, appId: string): Promise<BlockedVersions> {
  return foldVersions(await revokedVersions(transaction, appId));
}

/** In words what else of an app is refused because so many versions are revoked; undefined where nothing is. */
export async function blockedWords({ store }: AccessContext, id: string): Promise<string | undefined> {
  const below = (await store.transaction(({ tables }) => tables.apps.find({ id })))?.blockedBelow;
  if (!below) return undefined;
  return (
    `more than ${MAX_BLOCKED_VERSIONS} versions of ${id} are revoked, so every version below ${below} is refused, ` +
    'also what was lifted or never revoked: lift others, or have a minimum version instead'
  );
}
