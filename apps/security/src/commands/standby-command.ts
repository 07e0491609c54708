import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type AccessContext,
  type Actor,
  beginNewEpoch,
  closeForTakeover,
  confirmClosed,
  continueEpoch,
  LIFE_EVENTS,
  noteCopy,
  planTakeover,
  type Restored,
  type SiteLife,
  sealedStore,
  siteLifeOf,
  type TakeoverPlan,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import { readSettings } from '@sallyport/settings';
import { type DatabaseAddress, findServer, promoteServer, SqlStore, untilOthersEnded } from '@sallyport/store-sql';
import { type Config, SETTINGS } from '../config.ts';
import { type OpenJournal, openJournal } from '../journal/journal.ts';
import { openKeksOfHost } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';
import { addressesOfSites, reachDatabase } from '../stores/database.ts';
import { readKnownLife } from '../stores/epoch-file.ts';
import { lifeFileOf } from '../stores/life.ts';
import { beginTakingOver, endTakingOver, readTakingOver } from '../stores/taking-over.ts';
import { endWithSallyport } from './end-command.ts';
import { orderedBy } from './ordered-by.ts';
import { type CopyDestination, copyRealm, readCopyDestination } from './standby-copy.ts';
import { couldTakeOver, type FoundSite, wordsOfSites } from './standby-status.ts';

const HELP = `node standby-command.ts takeover|status|copy [...]

What "sallyport standby takeover" and "standby status" run, at the site that takes over, and "standby copy" at the one that works,
with the settings of its Security servers.

  takeover --actor NAME --reason TEXT
    --old-database-is-off      the server of the other site's database was switched off and stays off
    --journal-is-lost          the journal is gone with the other site: all users stay out until somebody looks at them
    --promote-with COMMAND     what makes the standby a primary, where something else than PostgreSQL decides that (Patroni)
    --wait-s N                 how long the close of the other database may take to arrive here
  status
  copy --to postgresql://ROLE@HOST:PORT/DATABASE | --script FILE
    --to-password-file FILE    with the password of that role
    --to-ca FILE               its CA
    --every-min N              again and again, until it is stopped
  --json                       for programs
`;

const OPTIONS = {
  actor: { type: 'string', default: '' },
  reason: { type: 'string', default: '' },
  'old-database-is-off': { type: 'boolean', default: false },
  'journal-is-lost': { type: 'boolean', default: false },
  'promote-with': { type: 'string' },
  'wait-s': { type: 'string', default: '60' },
  to: { type: 'string' },
  'to-password-file': { type: 'string' },
  'to-ca': { type: 'string' },
  script: { type: 'string' },
  'every-min': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const LOOK_MS = 200;
const MINUTE_MS = 60_000;
const PROMOTED_WITHIN_MS = 120_000;
/** Exit code of a takeover that must not be, and of the status of a site that could not take over. */
const REFUSED = 2;

interface Order {
  readonly by: Actor;
  readonly otherIsOff: boolean;
  readonly journalIsLost: boolean;
  readonly promoteWith: string | undefined;
  readonly waitMs: number;
}

/** The two databases, and what is needed to work on them. */
interface Sites {
  readonly config: Config;
  readonly own: DatabaseAddress;
  readonly other: DatabaseAddress | undefined;
  /** What this site is called in the audit log of both. */
  readonly site: string;
}

/** What was done. */
interface Taken extends TakeoverPlan {
  readonly restored?: Restored;
  readonly epoch?: string;
}

async function takeOver(sites: Sites, order: Order, tell: (text: string) => undefined): Promise<Taken> {
  const { config, site } = sites;
  // Before anything is closed or promoted: without keys no epoch begins.
  openKeksOfHost(serverCrypto(), config);
  const before = await lookAt(sites, sites.own);
  if (!before.life) throw new Error(`there is no realm ${config.SALLYPORT_REALM} in the database of this site`);
  const journal = await openJournal(config).catch((error: Error) => {
    tell(`the journal does not answer: ${error.message}`);
    return undefined;
  });
  try {
    const needed = before.server.standby || before.life.closed || isHalfTaken(sites, before);
    const other = await closeOther(sites, order, { tell, needed });
    const own = await arrived(sites, { order, other });
    const claimed = await journal?.journal.claimed();
    const authority = journal?.authorityMs !== undefined;
    const { otherIsOff } = order;
    const plan = planTakeover({ site, own, other, claimed, authority, otherIsOff });
    if (plan.life === 'done') endTakingOver(config);
    if (plan.life === 'done' || plan.life === 'refused') return plan;
    tell(plan.life === 'same' ? `a failover: ${plan.why}` : `a restore with a new epoch: ${plan.why}`);
    if (plan.life === 'new' && !journal && !order.journalIsLost)
      throw new Error(
        'there is no journal (SALLYPORT_JOURNAL), or it does not answer: say --journal-is-lost, and all users stay out until enabled',
      );
    if (config.SALLYPORT_OTHER_SITE_NODES.length === 0)
      tell(
        'SALLYPORT_OTHER_SITE_NODES is not set here: Proxies will forget the nodes of the other site, and not find the way back',
      );
    if (own.standby && plan.life === 'new') beginTakingOver(config, own);
    if (own.standby) await promote(sites, order, tell);
    const opened = await open(sites, { order, plan, journal });
    endTakingOver(config);
    return { ...plan, ...opened };
  } finally {
    await journal?.journal.close();
  }
}

/** The database of a site, and the life of the realm in it. */
async function lookAt({ config }: Pick<Sites, 'config'>, address: DatabaseAddress): Promise<FoundSite> {
  const server = await findServer(address, { realm: config.SALLYPORT_REALM, events: LIFE_EVENTS });
  return { server, life: server.realm && siteLifeOf(server.realm, server.event) };
}

/**
 * True for a database that a takeover which was killed has made a primary, and whose new epoch has not begun: it is open, as it was at
 * the other site, and what the journal knows is not in it.
 */
function isHalfTaken({ config }: Sites, { server, life }: FoundSite): boolean {
  return !server.standby && life?.closed === false && readTakingOver(config)?.epoch === life.epoch;
}

/** Closes the database of the other site for this one; undefined when it does not answer. */
async function closeOther(
  sites: Sites,
  { by }: Order,
  { tell, needed }: { readonly tell: (text: string) => undefined; readonly needed: boolean },
): Promise<SiteLife | undefined> {
  const { other, site } = sites;
  if (!other || !needed) return undefined;
  const silent = (error: Error): undefined => tell(`the database of the other site does not answer: ${error.message}`);
  const life = await onRealm(sites, other, (access) => closeForTakeover(access, by, site)).catch(silent);
  if (!life) return undefined;
  const forUs = life.taker === site;
  tell(
    `the database of the other site is closed${forUs ? '' : `, for ${life.taker}`}: nothing is given from it any more`,
  );
  if (!forUs || life.whole) return life;
  // Who had read that it was open may still commit: only what comes after all of them proves that all has arrived.
  const confirmed = untilOthersEnded(other).then(() =>
    onRealm(sites, other, (access) => confirmClosed(access, by, site)),
  );
  return (await confirmed.catch(silent)) ?? life;
}

/** The own database once the close of the other one is in it, or when that was waited for long enough. */
async function arrived(
  sites: Sites,
  { order, other }: { readonly order: Order; readonly other: SiteLife | undefined },
): Promise<SiteLife & { readonly standby: boolean }> {
  for (const deadline = performance.now() + order.waitMs; ; await sleep(LOOK_MS)) {
    const found = await lookAt(sites, sites.own);
    const { server, life } = found;
    if (isHalfTaken(sites, found)) return { ...life!, closed: true, taker: sites.site, whole: false, standby: false };
    const has = life?.taker === sites.site && life.whole;
    const waits = server.standby && other?.taker === sites.site && other.whole && !has;
    if (!waits || performance.now() > deadline) return { ...life!, standby: server.standby };
  }
}

async function promote(sites: Sites, { promoteWith }: Order, tell: (text: string) => void): Promise<void> {
  if (promoteWith === undefined) await promoteServer(sites.own);
  else {
    const { status } = spawnSync('sh', ['-c', promoteWith], { stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0)
      throw new Error(`"${promoteWith}" failed; once the database is a primary, run the same command again`);
  }
  for (const deadline = performance.now() + PROMOTED_WITHIN_MS; ; await sleep(LOOK_MS)) {
    const found = await lookAt(sites, sites.own).catch(() => undefined);
    if (found?.server.standby === false) break;
    if (performance.now() > deadline) throw new Error('the database of this site is still a standby');
  }
  tell('the database of this site is a primary');
}

async function open(
  sites: Sites,
  {
    order,
    plan,
    journal,
  }: { readonly order: Order; readonly plan: TakeoverPlan; readonly journal: OpenJournal | undefined },
): Promise<Pick<Taken, 'epoch' | 'restored'>> {
  const { config, site, own } = sites;
  const { by, journalIsLost: lost } = order;
  return onRealm(sites, own, async (access) => {
    if (plan.life === 'same') return { epoch: await continueEpoch(access, by, site) };
    // Whoever comes by before the new epoch has begun finds it closed.
    if (readTakingOver(config)) await closeForTakeover(access, by, site);
    const known = readKnownLife(lifeFileOf(config));
    const supersedes = known ? [known.epoch] : [];
    const restored = await beginNewEpoch({ access, journal: journal?.journal, lost, supersedes, by });
    return { epoch: restored.epoch, restored };
  });
}

/** The rules of the realm on a database, without any fence: a closed one is what this works on. */
async function onRealm<T>(
  { config }: Pick<Sites, 'config'>,
  address: DatabaseAddress,
  work: (access: AccessContext) => Promise<T>,
): Promise<T> {
  const server = new SqlStore(address, { poolSize: 2, replicated: true });
  try {
    const crypto = serverCrypto();
    const { keyring } = openKeksOfHost(crypto, config);
    const store = sealedStore(server.in(config.SALLYPORT_REALM), keyring, ({ table, key }) =>
      process.stderr.write(`not written by a Security server: ${table} ${key}\n`),
    );
    return await work({ store, crypto, keyring, passwords: createPasswordHasher() });
  } finally {
    await server.close();
  }
}

/** What was done, and what comes next. */
function wordsOf({ life, why, epoch, restored }: Taken): string {
  if (life === 'done') return `${why}\n`;
  if (life === 'same')
    return `this site has taken over; epoch ${epoch} goes on, nobody signs in again
${NEXT}`;
  const changed = restored!.rights
    .map(({ subject, actor, reason }) => `  ${subject}, by ${actor}: ${reason}\n`)
    .join('');
  return `this site has taken over, with epoch ${epoch}
why it is a restore: ${why}

done: ${restored!.appended.length} revocations that this database did not know are in the log again
lost: all sessions, codes and one-time tokens; whatever else was acknowledged last at the other site
${changed === '' ? '' : `look at rights that were changed there last, they are as before:\n${changed}`}${NEXT}`;
}

const NEXT = `
next: 1. start the Security servers of this site; Proxies and devices find them by themselves
      2. before the other site may come back: make its database a standby of this one, there
           sallyport standby follow --main HOST:PORT --to FOLDER …
         and then take over back at any time, with the same command at that site
`;

/** What a takeover would lack beside a database; undefined when it has its keys. */
function faultOfKeysAt({ config }: Sites): string | undefined {
  try {
    openKeksOfHost(serverCrypto(), config);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Tells of both sites; gives whether this one could take over. */
async function showStatus(sites: Sites, json: boolean): Promise<boolean> {
  const { site } = sites;
  const own = await lookAt(sites, sites.own);
  const other = sites.other ? await lookAt(sites, sites.other).catch(() => undefined) : null;
  const keys = faultOfKeysAt(sites);
  const could = couldTakeOver({ own }) && keys === undefined;
  const { standby, following, replayedAt } = own.server;
  const view = {
    site,
    standby,
    following,
    replayedAt,
    life: own.life,
    other: other?.life,
    couldTakeOver: could,
    ...(keys === undefined ? {} : { keys }),
  };
  process.stdout.write(json ? `${JSON.stringify(view)}\n` : wordsOfSites({ site, own, other, keys, now: Date.now() }));
  return could;
}

/** Copies once, or until it is stopped: then one that fails is told of, and the next one tries again. */
async function copy(config: Config, values: { readonly [name: string]: string | boolean | undefined }): Promise<void> {
  const target = readCopyDestination(values);
  const everyMin = values['every-min'] === undefined ? undefined : Number(values['every-min']);
  if (everyMin !== undefined && !(everyMin > 0)) throw new Error('--every-min is a number of minutes');
  const once = async (): Promise<void> => {
    const copied = await copyRealm(config, target);
    if (everyMin !== undefined)
      await noteCopied(config, target, { takenAt: copied.takenAt, everyMs: everyMin * MINUTE_MS });
    const { takenAt, rows } = copied;
    const what = rows === undefined ? 'the script is whole' : `${rows} rows are in the copy, which is closed`;
    const words = `${what}; what was acknowledged after ${new Date(takenAt).toISOString()} is not in it\n`;
    process.stdout.write(values['json'] ? `${JSON.stringify(copied)}\n` : words);
  };
  if (everyMin === undefined) return once();
  for (;;) {
    await once().catch((error: Error) => process.stderr.write(`not copied: ${error.message}\n`));
    await sleep(everyMin * MINUTE_MS);
  }
}

/** The nodes miss a copy that is not made again; one that was made is there, whether or not that can be noted. */
async function noteCopied(
  config: Config,
  target: CopyDestination,
  copied: { readonly takenAt: number; readonly everyMs: number },
): Promise<void> {
  const { host = '', port = '', database = '' } = 'database' in target ? target.database : {};
  const name = 'script' in target ? target.script : `${host}:${port}/${database}`;
  const source = await reachDatabase(config);
  try {
    await onRealm({ config }, source.address, (access) => noteCopy(access, { name, ...copied }));
  } catch (error) {
    process.stderr.write(`the copy was made, and could not be noted: ${(error as Error).message}\n`);
  } finally {
    await source.close();
  }
}

/** @throws Error that says what is missing */
function readOrder(values: { readonly [name: string]: string | boolean | undefined }): Order {
  const by = orderedBy(values as { actor: string; reason: string });
  const waitMs = Number(values['wait-s']) * 1_000;
  if (!(waitMs >= 0)) throw new Error('--wait-s is a number of seconds');
  return {
    by,
    otherIsOff: values['old-database-is-off'] === true,
    journalIsLost: values['journal-is-lost'] === true,
    promoteWith: values['promote-with'] as string | undefined,
    waitMs,
  };
}

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [verb = ''] = positionals;
  if (values.help || verb === '') {
    process.stdout.write(HELP);
    return 0;
  }
  const config = readSettings(SETTINGS);
  if (verb === 'copy') {
    await copy(config, values);
    return 0;
  }
  const { own, other } = addressesOfSites(config);
  const site = (own.hosts ?? [own]).map(({ host, port }) => `${host}:${port}`).join();
  const sites = { config, own, other, site };
  if (verb === 'status') {
    return (await showStatus(sites, values.json)) ? 0 : REFUSED;
  }
  if (verb !== 'takeover') throw new Error(`there is no ${verb}; see --help`);
  const tell = (text: string): undefined => void process.stderr.write(`${text}\n`);
  const taken = await takeOver(sites, readOrder(values), tell);
  if (values.json) process.stdout.write(`${JSON.stringify(taken)}\n`);
  if (taken.life === 'refused') {
    process.stderr.write(`not taken over: ${taken.why}\n`);
    return REFUSED;
  }
  if (!values.json) process.stdout.write(wordsOf(taken));
  return 0;
}

endWithSallyport();
try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
// The password hasher keeps its threads.
process.exit();
