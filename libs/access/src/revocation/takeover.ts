import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import type { Transaction } from '../store/store.ts';

/** Audit events that close or open a realm's database, the newest of which says whose it is. */
export const LIFE_EVENTS = [
  'realm.close',
  'realm.new-epoch',
  'standby.close',
  'standby.closed',
  'standby.continue',
] as const;

/** The life of a realm, as one database has it. */
export interface SiteLife {
  readonly epoch: string;
  readonly closed: boolean;
  /** The site for whose takeover it was closed; undefined when it is open, or was closed for something else. */
  readonly taker: string | undefined;
  /** What was under way when it was closed for that site had ended when this was written: nothing comes after it. */
  readonly whole: boolean;
}

/** What is known before one site takes over from another. */
export interface TakeoverFacts {
  /** The site that takes over, by the address of its database. */
  readonly site: string;
  /** Its own database; a standby still follows the other one, or waits for it. */
  readonly own: SiteLife & { readonly standby: boolean };
  /** The database of the other site, once it was closed; undefined when it does not answer. */
  readonly other: SiteLife | undefined;
  /** The epoch that has claimed the journal; undefined where there is none, or it does not answer. */
  readonly claimed: string | undefined;
  /** The journal is in a place of its own: whoever lost the claim gives nothing any more. */
  readonly authority: boolean;
  /** Somebody says that the server of the other database is off and stays off. */
  readonly otherIsOff: boolean;
}

/**
 * How a site takes over. `same`: everything that was acknowledged is here, the epoch goes on and sessions with it. `new`: something may be
 * missing, so it is a restore. `done`: it has taken over. `refused`: it must not.
 */
export interface TakeoverPlan {
  readonly life: 'same' | 'new' | 'done' | 'refused';
  readonly why: string;
}

/**
 * Decides by facts only. The proof of `same` is the close itself, confirmed: commits arrive in their order, so where that event of the
 * other database has arrived, all that it acknowledged before has, too, and after it nothing is acknowledged there.
 */
export function planTakeover(facts: TakeoverFacts): TakeoverPlan {
  const { own, other, site, claimed } = facts;
  if (!own.standby && !own.closed)
    return { life: 'done', why: 'the database of this site is open: nothing is left to take over' };
  const refusal = refusalOfTakeover(facts);
  if (refusal !== undefined) return { life: 'refused', why: refusal };
  const proven = own.closed && own.taker === site && own.whole;
  const nobodyElse = other ? other.taker === site && other.epoch === own.epoch : claimed === own.epoch;
  if (proven && nobodyElse)
    return {
      life: 'same',
      why: 'the other database was closed, and its close has arrived here: nothing acknowledged is missing',
    };
  return { life: 'new', why: whyNew(facts) };
}

function refusalOfTakeover({ own, other, site, claimed, authority, otherIsOff }: TakeoverFacts): string | undefined {
  if (!own.standby && own.taker !== undefined && own.taker !== site)
    return `this database was closed for the takeover by ${own.taker}: make it a standby of that one (sallyport standby follow)`;
  if (own.standby && claimed !== undefined && claimed !== own.epoch)
    return `the journal belongs to epoch ${claimed}, and this standby never followed it: it is no copy of what works now`;
  if (other?.taker !== undefined && other.taker !== site && !otherIsOff)
    return `the other database was closed for the takeover by ${other.taker}; if that one will not take over, say --old-database-is-off`;
  if (other?.closed || authority || otherIsOff) return undefined;
  return (
    'the other database does not answer, and nothing keeps it from serving beside this one: switch its server off and say ' +
    '--old-database-is-off, or keep the journal in a place of its own (SALLYPORT_JOURNAL)'
  );
}

function whyNew({ own, other }: TakeoverFacts): string {
  if (!own.standby && own.taker === undefined)
    return 'this database is a copy: what was acknowledged after it was made is not here';
  if (!other) return 'the other database does not answer: what it acknowledged last may not be here';
  return 'the close of the other database has not arrived here: replication is broken, or too far behind';
}

/** Reads the life of a realm from its database. Its store is bare of any fence. */
export function readSiteLife({ store }: AccessContext): Promise<SiteLife> {
  return store.transaction(lifeOf);
}

async function lifeOf(transaction: Transaction): Promise<SiteLife> {
  const { epoch, closed } = await getRealm(transaction);
  const [event] = await transaction.tables.audit.list({ among: ['action', LIFE_EVENTS], newestFirst: true, limit: 1 });
  return siteLifeOf({ epoch, closed }, event);
}

/** The life that a realm's row and the newest of its life events tell. */
export function siteLifeOf(
  { epoch, closed }: Pick<SiteLife, 'epoch' | 'closed'>,
  event: { readonly action: string; readonly subject: string } | undefined,
): SiteLife {
  const isTaken = closed && (event?.action === 'standby.close' || event?.action === 'standby.closed');
  return {
    epoch,
    closed,
    taker: isTaken ? event.subject : undefined,
    whole: isTaken && event.action === 'standby.closed',
  };
}

/**
 * Closes a database for the takeover by another site: nothing is given from it any more, by whatever node. One that was closed
 * for another site's takeover stays that one's. Its store is bare of any fence.
 */
export async function closeForTakeover(access: AccessContext, by: Actor, site: string): Promise<SiteLife> {
  return change(access, by, async (begun) => {
    const life = await lifeOf(begun);
    if (life.taker !== undefined) {
      begun.unchanged();
      return life;
    }
    await setClosed(begun, true);
    begun.audit('standby.close', site);
    return { ...life, closed: true, taker: site };
  });
}

/**
 * Says in a closed database that whatever was under way while it was closed has ended, which the caller has waited for: who had read
 * that it was open may have committed after the close.
 * @throws AccessError ERR_ACCESS_CONFLICT when it was not closed for this site
 */
export async function confirmClosed(access: AccessContext, by: Actor, site: string): Promise<SiteLife> {
  return change(access, by, async (begun) => {
    const life = await lifeOf(begun);
    if (life.taker !== site) throw notClosedFor();
    if (life.whole) begun.unchanged();
    else begun.audit('standby.closed', site);
    return { ...life, whole: true };
  });
}

function notClosedFor(): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', 'this database is not closed for the takeover by this site');
}

/**
 * Opens the database of a site that took over with everything that was acknowledged: the epoch goes on.
 * @throws AccessError ERR_ACCESS_CONFLICT when it was not closed for this site
 */
export async function continueEpoch(access: AccessContext, by: Actor, site: string): Promise<string> {
  return change(access, by, async (begun) => {
    const { taker, whole, epoch } = await lifeOf(begun);
    if (taker !== site || !whole) throw notClosedFor();
    await setClosed(begun, false);
    begun.audit('standby.continue', site);
    return epoch;
  });
}

async function setClosed({ tables }: Change, closed: boolean): Promise<void> {
  await tables.realms.update({ where: { id: 'realm' } }, { closed });
}
