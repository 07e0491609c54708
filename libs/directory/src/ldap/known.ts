import type { AccessContext, IdentityRow } from '@sallyport/access';
import { primaryGroupOf } from './entry.ts';
import { canonicalDn } from './names.ts';

/** What is known of an account before a sync. */
export interface KnownAccount {
  readonly version: string;
  readonly active: boolean;
  /** Empty while it stands for nobody. */
  readonly userId: string;
  /** Distinguished name in its one spelling; empty when there is none. */
  readonly dn: string;
  readonly login: string;
  /** Number of its primary group; empty when there is none. */
  readonly primaryGroup: string;
}

/** Rows of one page. */
const PAGE = 5_000;

/** All accounts of a directory that are known, by subject: about 300 bytes each. */
export async function readKnown(access: AccessContext, directory: string): Promise<Map<string, KnownAccount>> {
  const known = new Map<string, KnownAccount>();
  let after = '';
  for (let more = true; more; ) {
    const rows = await readPage(access, directory, after);
    for (const { subject, version, active, userId, dn, login, attributes } of rows) {
      // An account in conflict is looked at again each time.
      const unplaced = active && userId === '';
      const name = canonicalDn(dn) ?? '';
      const primaryGroup = primaryGroupOf(attributes);
      known.set(subject, { version: unplaced ? '' : version, active, userId, dn: name, login, primaryGroup });
      after = subject;
    }
    more = rows.length === PAGE;
  }
  return known;
}

function readPage(access: AccessContext, directory: string, after: string): Promise<readonly IdentityRow[]> {
  const page = { where: { directory }, above: ['subject', after], limit: PAGE } as const;
  return access.store.transaction(({ tables }) => tables.identities.list(page));
}
