import {
  type AccessContext,
  issueCode,
  listInstallations,
  listSites,
  readRealm,
  type SiteRow,
  settingsOf,
} from '@sallyport/access';
import { type EnrolmentLink, formatLink } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import { codes, installations } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { LiveKeys } from '../keys/live-keys.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on activation codes and installations work with. */
export interface EnrolmentRoutes {
  readonly access: AccessContext;
  readonly liveKeys: Pick<LiveKeys, 'current'>;
}

/** Activation codes and installations. */
export function addEnrolmentRoutes(service: FastifyInstance, { access, liveKeys }: EnrolmentRoutes): void {
  serve(service, codes.issue, async ({ body: { user, ttlMs, ...pinned }, by }) => {
    const place = placeOfLink(await listSites(access), pinned);
    const { id, code, expiresAt } = await issueCode(access, user, ttlMs, by);
    const realm = await readRealm(access.store);
    const { newestKid: kid, handshake, rootThumbprint: root } = liveKeys.current;
    const rs = handshake.get(kid)!.publicKey;
    const link = { ...place, realm: access.store.realm, kid, rs, root, code, seq: realm.mapVersion, user };
    return { id, user, code, link: formatLink(settingsOf(realm).enrolPage, link), expiresAt };
  });
  serve(service, installations.list, async ({ query }) =>
    (await listInstallations(access, pageOf(query))).map(({ installation, user, evidence: proof }) => {
      const { id, status, generation, app, model, createdAt, lastSeenAt } = installation;
      const evidence = proof?.level ?? null;
      const proved = { evidence, evidenceBy: proof?.connector ?? null, evidenceAt: proof?.at ?? null };
      return { id, user, status, generation, app, model, createdAt, lastSeenAt, ...proved };
    }),
  );
}

/** A link holds so many origins; the site map that a device reads first holds them all. */
const MAX_LINK_ORIGINS = 16;

/** Where a device with a link goes first: to the first Proxies of every site, or to what it is pinned to, and then for good. */
function placeOfLink(
  sites: readonly Pick<SiteRow, 'name' | 'origins'>[],
  { pinSite: site, pinOrigin: origin }: { readonly pinSite?: string; readonly pinOrigin?: string },
): Pick<EnrolmentLink, 'origins' | 'pin'> {
  const served = sites.filter(({ name }) => site === undefined || name === site);
  if (served.length === 0 && site !== undefined)
    throw new ProblemError('ERR_SECURITY_NO_SITE', `no site is called ${site}: sallyport site list`);
  const pin = { ...(site === undefined ? {} : { site }), ...(origin === undefined ? {} : { origin }) };
  const pinned = Object.keys(pin).length > 0 ? { pin } : {};
  if (origin !== undefined) return { origins: [origin], ...pinned };
  const byRank = served.flatMap(({ origins }) => origins.map((one, rank) => ({ one, rank })));
  const origins = byRank.toSorted((a, b) => a.rank - b.rank).map(({ one }) => one);
  if (origins.length === 0)
    throw new ProblemError(
      'ERR_SECURITY_NO_SITE',
      `no site has an origin yet: sallyport site put ${site ?? ''}`.trim(),
    );
  return { origins: origins.slice(0, MAX_LINK_ORIGINS), ...pinned };
}
