import type { SiteLife } from '@sallyport/access';
import type { FoundServer } from '@sallyport/store-sql';

/** A server of a site with the life of the realm in it. */
export interface FoundSite {
  readonly server: Pick<FoundServer, 'standby' | 'following' | 'replayedAt'>;
  /** Undefined where there is no such realm yet. */
  readonly life: SiteLife | undefined;
}

/** What there is to say of the two sites. */
export interface SitesView {
  /** This site, by the address of its database. */
  readonly site: string;
  readonly own: FoundSite;
  /** The other one; undefined when it does not answer, null when nobody said where it is. */
  readonly other: FoundSite | undefined | null;
  /** Why this host has no keys to open its database with; undefined when it has. */
  readonly keys?: string | undefined;
  /** Epoch ms. */
  readonly now: number;
}

/** False when this site could not take over with what the other one has at the moment: a standby that follows nobody, or no realm. */
export function couldTakeOver({ own }: Pick<SitesView, 'own'>): boolean {
  return own.life !== undefined && (!own.server.standby || own.server.following);
}

/** The two sites for people. */
export function wordsOfSites({ site, own, other, keys, now }: SitesView): string {
  const { server, life } = own;
  const words = [
    `${kindOf(server)} at ${site}`,
    lifeWords(life),
    ...(server.standby ? [behindWords(server, now)] : []),
  ];
  const lacking = keys === undefined ? '' : `NO KEYS        ${keys}\n`;
  return `this site      ${words.join(', ')}\nother site     ${otherWords(other)}\n${lacking}`;
}

function kindOf({ standby, following }: FoundSite['server']): string {
  if (!standby) return 'a primary';
  return following ? 'a standby that follows' : 'a standby that FOLLOWS NOBODY';
}

function lifeWords(life: SiteLife | undefined): string {
  if (!life) return 'without a realm';
  const { epoch, closed, taker } = life;
  const state = taker === undefined ? 'closed' : `closed for the takeover by ${taker}`;
  return `epoch ${epoch.slice(0, 8)}, ${closed ? state : 'open'}`;
}

/** The newest change says how far it is while the other site works, since its nodes write every second. */
function behindWords({ replayedAt }: FoundSite['server'], now: number): string {
  if (replayedAt === 0) return 'nothing followed yet';
  return `newest change ${Math.max(0, Math.round((now - replayedAt) / 1_000))} s old`;
}

function otherWords(other: SitesView['other']): string {
  if (other === null) return 'not known: SALLYPORT_OTHER_SITE_DATABASE_HOSTS';
  return other ? `${kindOf(other.server)}, ${lifeWords(other.life)}` : 'does not answer';
}
