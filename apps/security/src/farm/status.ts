import {
  type AccessContext,
  type AuditWatch,
  type Bus,
  type FarmView,
  type JournalWriter,
  type LeaseRow,
  leaseHolderOf,
  listDirectories,
  listProxies,
  listSafeguards,
  missedSafeguards,
  NODE_SILENCE_MS,
  type NodeRow,
  type ProxyRow,
  podNames,
  safeguardWords,
  updateEnds,
  updateWords,
} from '@sallyport/access';
import type { DatabaseView, JournalView, LogView, NodeView, ProxyView, StatusView } from '@sallyport/security-api';
import type { ArchiveState } from '@sallyport/store-sql';
import { type BackupSetup, backupStatus } from '../backup/status.ts';
import { directoryWarnings } from '../directories/warnings.ts';
import type { JournalCopies } from '../journal/journal-copies.ts';
import type { DatabaseProbe } from '../stores/database-probe.ts';
import type { SharedState } from '../stores/shared-state.ts';
import { certificatesOfRealm, certificatesView, certificateWords } from './certificates.ts';
import type { CountWatch } from './count-watch.ts';
import { escrowWords } from './escrow-words.ts';
import { type KeyTurns, turnWords } from './key-turns.ts';
import { CLOCK_WARNING_MS, type SecurityNode } from './node.ts';

/** What the status is computed from. */
export interface StatusParts {
  readonly access: AccessContext;
  readonly node: SecurityNode;
  readonly bus: Pick<Bus, 'connected'>;
  readonly journal: JournalWriter | undefined;
  readonly copies: Pick<JournalCopies, 'views'>;
  readonly backup: BackupSetup;
  readonly auditWatch: AuditWatch;
  readonly countWatch: CountWatch;
  readonly leaseMs: number;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  readonly version: string;
  readonly database: DatabaseProbe;
  readonly shared: Pick<SharedState, 'kind' | 'server'>;
  readonly keyTurns: Pick<KeyTurns, 'see'>;
}

/** The status waits so long for what is new in the audit log to be checked, ms. */
const AUDIT_PATIENCE_MS = 1_000;
/** The status waits so long for counts of this moment, ms; else it tells the last ones. */
const COUNT_PATIENCE_MS = 1_000;
/** A journal that is silent for longer is worth a word, ms: every node looks at it once a second. */
const JOURNAL_SILENCE_MS = 10_000;
/** A standby that is behind by more is worth a word, bytes. */
const LAG_WARNING_BYTES = 16 * 1024 * 1024;

/** What runs, as the parts themselves answer at this moment. */
export async function statusOf(parts: StatusParts): Promise<StatusView> {
  const { access, node, bus, version, database, shared } = parts;
  const seen = await see(parts);
  const { servers, archive, backup, updates, safeguards } = seen;
  const missed = new Set(missedSafeguards(safeguards, seen.moment));
  return {
    realm: access.store.realm,
    version,
    node: node.id,
    database: `PostgreSQL ${await database.version()}, ${database.description}`,
    databaseServers: servers,
    ...(archive && { archive }),
    bus: { kind: shared.kind, connected: bus.connected, server: shared.server() },
    nodes: seen.nodes,
    degraded: [...new Set(wordsOf(parts, seen))],
    leaseMs: parts.leaseMs,
    startedAt: seen.farm.nodes.find(({ id }) => id === node.id)?.startedAt ?? 0,
    ...seen.counted,
    log: seen.log,
    ...(backup.view && { backup: backup.view }),
    certificates: certificatesView(seen.certificates),
    ...(updates && { updates }),
    safeguards: safeguards.map((row) => {
      const { kind, name, goodAt, upTo } = row;
      return { kind, name, goodAt, upTo, missed: missed.has(row) };
    }),
    proxies: seen.proxies,
  };
}

type Seen = Awaited<ReturnType<typeof see>>;

/** Asks everybody. */
async function see(parts: StatusParts) {
  const { access, node, database, keyTurns } = parts;
  const farm = await node.report();
  const { leases, now, realm } = farm;
  const { head } = realm;
  const servers = await database.servers();
  const archive = await database.archive();
  const nodes = farm.nodes.map((row) => nodeView(node, row));
  const proxyRows = await listProxies(access);
  // Pods that are gone are replaced by whoever deployed them.
  const pods = await podNames(access);
  const proxies = proxyRows.map((row) => proxyView(row, { node, leases, now, head }));
  const counted = await countRows(parts, head);
  const log = logView(parts, farm);
  const backup = await backupStatus(access, parts.backup);
  const certificates = await certificatesOfRealm(access, parts.wallMs());
  const { rows: safeguards, now: safeguardedAt } = await listSafeguards(access);
  const moment = { now: safeguardedAt, archived: archive !== undefined, primary: servers[0]?.address ?? '' };
  const updates = await updateEnds(access);
  const turns = await keyTurns.see();
  const escrow = await escrowWords(access, { external: database.external, now });
  const directories = await listDirectories(access);
  const askedStandbys = await database.askedStandbys();
  const asked = { farm, servers, archive, counted, log, backup, certificates, safeguards, moment, updates };
  return { ...asked, askedStandbys, nodes, proxies, pods, turns, escrow, directories };
}

/** What is not as it should be, in words. */
function wordsOf({ node, wallMs }: StatusParts, seen: Seen): string[] {
  const { farm, nodes, proxies, log } = seen;
  return [
    ...seen.backup.words,
    ...holdWords(log),
    ...journalWords(log.journal),
    ...turnWords(seen.turns),
    ...seen.escrow,
    ...twinWarnings(node, farm.leases),
    ...farm.nodes.flatMap(degradedWarnings),
    ...nodes.filter(({ state }) => state === 'silent').map(({ id, silentMs }) => silentWarning(id, silentMs)),
    ...nodes.filter(({ clockOffsetMs }) => Math.abs(clockOffsetMs) > CLOCK_WARNING_MS).map(clockWarning),
    ...databaseWarnings(seen.servers, seen.askedStandbys),
    ...archiveWords(seen.archive),
    ...safeguardWords(seen.safeguards, seen.moment),
    ...proxies
      .filter(({ name, live, revokedAt }) => !live && revokedAt === null && !seen.pods.has(name))
      .map(({ name }) => `Proxy ${name} has no live lease`),
    ...directoryWarnings(seen.directories),
    ...certificateWords(seen.certificates, wallMs()),
    ...updateWords(seen.updates, farm.now),
    ...(seen.counted.audit.intact ? [] : ['the audit log was changed']),
  ];
}

/** What is known of leases at a moment of the store's clock. */
interface SeenLeases {
  readonly node: Pick<SecurityNode, 'leases'>;
  readonly leases: readonly LeaseRow[];
  readonly now: number;
  readonly head: number;
}

/** A Proxy: each of its processes has a row; the newest one speaks for it, what may still serve counts for all. */
export function proxyView({ name, site, joinedAt, revokedAt }: ProxyRow, seen: SeenLeases): ProxyView {
  const { node, leases, now, head } = seen;
  const own = leases.filter((row) => leaseHolderOf(row).name === name).sort((a, b) => b.expiresAt - a.expiresAt);
  const live = own.filter((row) => isLive(node, row, now));
  return {
    name,
    site,
    joinedAt,
    revokedAt,
    applied: Math.min(...(live.length > 0 ? live : own).map(({ applied }) => applied), head),
    leaseUntil: own[0]?.expiresAt ?? 0,
    live: live.length > 0,
    channels: live.reduce((sum, { channels }) => sum + channels, 0),
    node: own[0]?.node ?? '',
    instances: live.map((row) => ({
      instance: leaseHolderOf(row).instance,
      applied: row.applied,
      leaseUntil: row.expiresAt,
      channels: row.channels,
      node: row.node,
    })),
  };
}

/** The journal as this node has last seen it. */
function journalView({ journal }: Pick<StatusParts, 'journal'>): JournalView | undefined {
  if (!journal) return undefined;
  const { description: place, written, claim } = journal;
  const seen = claim && { silentMs: claim.silentMs, ...(claim.epoch === undefined ? {} : { claimedBy: claim.epoch }) };
  return { place, written, ours: claim?.ours ?? false, ...seen };
}

/** What the journal, or its absence, means for whoever revokes. */
export function journalWords(journal: JournalView | undefined): string[] {
  if (!journal)
    return [
      'there is no journal: after a restore of the database from a backup, what was revoked since is no longer revoked (set SALLYPORT_JOURNAL)',
    ];
  const { place, ours, silentMs, claimedBy } = journal;
  if (silentMs === undefined || silentMs > JOURNAL_SILENCE_MS)
    return [`the journal (${place}) does not answer: no revocation is in force until it does`];
  if (ours) return [];
  return [`the journal (${place}) belongs to epoch ${claimedBy ?? '?'}: nothing is given from this database any more`];
}

/** The life of the log, and who may serve without having its newest entry in force. */
function logView(parts: StatusParts, farm: FarmView): LogView {
  const { node, monotonicMs, wallMs } = parts;
  const journal = journalView(parts);
  const { realm, leases } = farm;
  const { epoch, supersedes, generation, longestLeaseMs, head } = realm;
  const hold = node.hold.running(farm);
  const at = wallMs();
  const waiting = node.leases.waiting(leases, head, monotonicMs());
  return {
    epoch,
    supersedes: [...supersedes],
    generation,
    holdMs: hold?.remainingMs ?? 0,
    ...(hold && { heldAfter: hold.reason }),
    longestLeaseMs,
    waitingFor: waiting.map((one) => ({ ...one, untilAt: at + one.remainingMs })),
    ...(journal && { journal }),
    copies: parts.copies.views,
  };
}

function holdWords({ holdMs, heldAfter }: LogView): string[] {
  if (holdMs === 0) return [];
  const seconds = Math.ceil(holdMs / 1_000);
  const after = heldAfter === 'serverRun' ? 'a start of the database server' : 'a restore';
  return [`after ${after}: no revocation is in force for ${seconds} s, while leases from before may live`];
}

/** One Proxy is one process; a second one is a copy of it, or of its identity. */
function twinWarnings(node: SecurityNode, leases: readonly LeaseRow[]): string[] {
  const silent = new Set(node.leases.silent(leases, NODE_SILENCE_MS));
  const names = leases.filter((row) => !silent.has(row)).map((row) => leaseHolderOf(row).name);
  const twins = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  return [...twins].map((name) => `more than one process beats as Proxy ${name}`);
}

function isLive(node: Pick<SecurityNode, 'leases'>, lease: LeaseRow, now: number): boolean {
  return node.leases.mayLive(lease) && lease.expiresAt > now;
}

/** A node, as this one sees it. */
export function nodeView(node: Pick<SecurityNode, 'nodes'>, row: NodeRow): NodeView {
  const silentMs = Math.round(node.nodes.silentMs(row.id));
  const { id, version, proxyUrl, adminUrl, startedAt, clockOffsetMs } = row;
  const state = row.state === 'up' && !node.nodes.lives(row) ? 'silent' : row.state;
  return { id, state, version, proxyUrl, adminUrl, startedAt, silentMs, clockOffsetMs };
}

function degradedWarnings({ degraded }: NodeRow): string[] {
  return [...degraded];
}

function silentWarning(id: string, silentMs: number): string {
  return `node ${id} has been silent for ${Math.round(silentMs / 1_000)} s`;
}

function clockWarning({ id, clockOffsetMs }: NodeView): string {
  return `the clock of node ${id} is off by ${Math.round(clockOffsetMs / 1_000)} s; nothing is decided by it`;
}

/**
 * What is wrong with the standbys of a database, of which so many have to confirm a commit. Where none has to, those that follow are copies
 * by design; who may not see how they follow (no pg_monitor) cannot miss one.
 */
export function databaseWarnings(servers: readonly DatabaseView[], asked: number): string[] {
  const standbys = servers.filter(({ role }) => role === 'standby');
  const isHidden = standbys.some(({ sync }) => sync === 'unknown');
  const confirming = standbys.filter(({ sync }) => sync === 'sync' || sync === 'quorum').length;
  const behind = standbys.filter(({ lagBytes }) => lagBytes > LAG_WARNING_BYTES);
  return [
    ...(isHidden || confirming >= asked ? [] : [waitingWords(confirming, asked)]),
    ...behind.map(({ name, lagBytes }) => `standby ${name} is ${Math.round(lagBytes / 1_048_576)} MiB behind`),
  ];
}

function waitingWords(confirming: number, asked: number): string {
  const few = confirming === 0 ? 'no standby confirms commits' : `${confirming} of ${asked} standbys confirm commits`;
  return `${few}: writes wait`;
}

/** What an archive that takes nothing means for whoever relies on it. */
export function archiveWords(archive: ArchiveState | undefined): string[] {
  if (!archive || archive.failingSince === 0) return [];
  const since = new Date(archive.failingSince).toISOString();
  return [
    `the archive takes no WAL since ${since}: what is acknowledged from then on is lost with the database (on its host: sallyport backup continuous check)`,
  ];
}

async function countRows({ countWatch, auditWatch }: StatusParts, head: number) {
  const counted = await countWatch.look(COUNT_PATIENCE_MS);
  return { ...counted, head, audit: await auditWatch.look(AUDIT_PATIENCE_MS) };
}
