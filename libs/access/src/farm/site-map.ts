import type { DirectoryRow } from '../directory/rows.ts';
import { type MapKeys, readMapKeys } from '../keys/realm-keys.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import type { RealmRow } from '../realm/rows.ts';
import type { SiteRow } from './rows.ts';

/** What a site map says, before it is signed. */
export interface SiteMapContent {
  readonly realm: RealmRow;
  readonly sites: readonly SiteRow[];
  readonly directories: readonly DirectoryRow[];
  readonly handshake: MapKeys;
}

/** Reads what a site map says in one transaction and from rows alone: two nodes never sign different maps with one version. */
export function readSiteMap({ store }: AccessContext): Promise<SiteMapContent> {
  return store.transaction(async (transaction) => ({
    handshake: await readMapKeys(transaction),
    sites: await transaction.tables.sites.list(),
    realm: await getRealm(transaction),
    directories: await transaction.tables.directories.list(),
  }));
}
