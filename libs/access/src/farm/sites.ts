import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpMapVersion } from '../realm/realm.ts';
import type { SiteRow } from './rows.ts';

/** Creates or replaces a site. */
export async function putSite(access: AccessContext, site: SiteRow, by: Actor): Promise<void> {
  await change(access, by, async (begun) => {
    await bumpMapVersion(begun);
    const { name, ...content } = site;
    const { sites } = begun.tables;
    const before = await sites.find({ name });
    if (before) await sites.update({ where: { name } }, content);
    else await sites.insert(site);
    // What is no longer served there ends.
    if (String(before?.resources) !== String(site.resources)) await begun.rereadRights('*');
    begun.audit('site.put', name);
  });
}

/** All sites. */
export async function listSites(access: AccessContext): Promise<readonly SiteRow[]> {
  return access.store.transaction(({ tables }) => tables.sites.list());
}

/** A page of sites by name; `after` is the last name of the page before. */
export function listSitePage(
  { store }: AccessContext,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly SiteRow[]> {
  return store.transaction(({ tables }) => tables.sites.list({ above: ['name', after], limit }));
}
