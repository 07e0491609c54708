import { styleText } from 'node:util';
import type { BackupView, SafeguardView, StatusView } from '@sallyport/security-api';
import { nodes, status } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand, table } from '../operator-command.ts';
import { counted, formatBytes, formatDuration, formatRows, formatTime } from '../output.ts';
import { printable, say } from '../terminal.ts';

/** Columns of a list of Proxies. */
export const PROXY_COLUMNS: readonly string[] = ['name', 'site', 'live', 'leaseUntil', 'applied', 'channels', 'node'];
const NODE_COLUMNS: readonly string[] = ['id', 'state', 'version', 'startedAt', 'silentMs', 'clockOffsetMs'];

/** `sallyport status` and `sallyport node …` */
export function addStatusCommands(program: Command): void {
  addOperatorCommand(program, {
    name: 'status',
    about: 'what runs, computed from live answers',
    run: (admin) => admin.call(status.get),
    show: (view) => void process.stdout.write(formatStatus(view)),
  });
  const node = program.command('node').description('Security nodes');
  addOperatorCommand(node, {
    name: 'list',
    about: 'all Security nodes, as the one that answers sees them',
    run: (admin) => admin.all(nodes.list),
    show: table(NODE_COLUMNS),
  });
  addOperatorCommand(node, {
    name: 'remove <id>',
    about: 'forget a node that will not come back',
    run: (admin, { reason }, id: string) => admin.call(nodes.remove, { params: { id }, reason }),
    show: ({ done }, _given, id: string) => say`${done ? `${id} is forgotten` : `there is no node ${id}`}\n`,
  });
}

/** The status as an operator reads it: what is wrong first, then who there is. */
function formatStatus(status: StatusView): string {
  const { startedAt, bus, audit, head } = status;
  const [realm, version, node, database] = [status.realm, status.version, status.node, status.database].map(
    printable,
  ) as [string, string, string, string];
  const counts = `${status.liveSessions} live, ${counted(status.installations, 'installation')}, ${counted(status.users, 'user')}${countedWord(status)}`;
  const servers = status.databaseServers.map((server) => ({ ...server, lag: lagOf(server) }));
  return [
    `realm ${realm} · Sallyport ${version} · answered by ${node}, up since ${formatTime(startedAt)}`,
    health(status.degraded),
    `sessions       ${counts}`,
    `database       ${database}`,
    ...archiveLine(status),
    `bus            ${bus.kind === 'redis' ? `Redis at ${printable(bus.server || '?')}` : 'in process'}${bus.connected ? '' : ', DOWN'}`,
    `revocation log ${head} entries, in force within ${Math.round(status.leaseMs / 1_000)} s at the latest`,
    logLine(status),
    journalLine(status),
    ...status.log.copies.map(copyLine),
    ...(status.backup ? [backupLine(status.backup)] : [noBackupLine(status)]),
    ...status.safeguards.map(safeguardLine),
    certificatesLine(status),
    ...updatesLine(status),
    `audit log      ${audit.events} events, chain ${audit.intact ? 'intact' : 'BROKEN'}${audit.verified < audit.events ? `, ${audit.verified} checked so far` : ''}`,
    '',
    styleText('bold', 'Security nodes'),
    formatRows(status.nodes, NODE_COLUMNS),
    ...(servers.length > 1
      ? [styleText('bold', 'Database servers'), formatRows(servers, ['name', 'role', 'sync', 'state', 'lag'])]
      : []),
    styleText('bold', 'Proxies'),
    formatRows(status.proxies, PROXY_COLUMNS),
  ].join('\n');
}

/** Where the database's own archive is, nothing where there is none. */
function archiveLine({ archive }: StatusView): string[] {
  if (!archive) return [];
  const { takenAt, failingSince } = archive;
  const newest = takenAt === 0 ? 'nothing yet' : `newest WAL taken at ${formatTime(takenAt)}`;
  return [`archive        ${newest}${failingSince === 0 ? '' : ', TAKES NOTHING'}`];
}

/** Counts older than this say so, ms. */
const COUNTED_LATELY_MS = 10_000;

function countedWord({ countedAt }: StatusView): string {
  return Date.now() - countedAt > COUNTED_LATELY_MS ? ` (counted at ${formatTime(countedAt)})` : '';
}

/** The life of the log, and what a revocation would wait for now. */
function logLine({ log }: StatusView): string {
  const silent = log.waitingFor.map(({ proxy, instance }) => `${proxy} ${instance.slice(0, 8)}`.trim());
  const wait = silent.length === 0 ? 'nothing waits' : `waits for ${silent.join(', ')}`;
  const after = log.heldAfter === 'serverRun' ? 'a start of the database server' : 'a restore';
  const hold = log.holdMs > 0 ? `, held for ${Math.ceil(log.holdMs / 1_000)} s after ${after}` : '';
  return `epoch          ${log.epoch.slice(0, 8)}, generation ${log.generation}; ${wait}${hold}`;
}

/** Where revocations outlive the database, and whose it is. */
function journalLine({ log: { journal } }: StatusView): string {
  if (!journal) return 'journal        none: a restore loses what was revoked since the backup';
  const { place, claimedBy, ours, silentMs, written } = journal;
  const whose =
    claimedBy === undefined ? 'never reached' : `claimed by epoch ${claimedBy.slice(0, 8)}${ours ? '' : ', NOT OURS'}`;
  const seen = silentMs === undefined ? '' : `, seen ${Math.round(silentMs / 1_000)} s ago`;
  return `journal        ${printable(place)}, ${printable(whose)}, ${written} entries${seen}`;
}

/** How far a copy of the journal is; nothing waits for it. */
function copyLine({ place, written, behindMs, trouble }: StatusView['log']['copies'][number]): string {
  const behind = behindMs === 0 ? '' : `, behind for ${Math.round(behindMs / 1_000)} s`;
  return `journal copy   ${printable(place)}, ${written} entries${behind}${trouble ? `: ${printable(trouble)}` : ''}`;
}

/** Nothing is set up at the node that answers. */
function noBackupLine({ archive }: StatusView): string {
  const left = archive ? 'only the archive is left of it then' : 'then everybody enrols again';
  return `backup         no target is set: whoever loses the database loses the realm, ${left}; "sallyport backup schedule" says how to have backups`;
}

/** What is kept beside the database, each with when it was last known to be good. */
function safeguardLine({ kind, name, goodAt, missed }: SafeguardView): string {
  const done = { standby: 'followed', copy: 'made', archive: 'restored to look at it' }[kind];
  return `${kind.padEnd(14)} ${kind === 'archive' ? '' : `${printable(name)}, `}last ${done} at ${formatTime(goodAt)}${missed ? ', MISSED' : ''}`;
}

/** Only what was verified counts. */
function backupLine({ targets, everyMs, verified, verifiedAgeMs }: BackupView): string {
  const where = `${counted(targets.length, 'target')}, every ${formatDuration(everyMs)}`;
  if (!verified || verifiedAgeMs === null) return `backup         ${where}; none was ever verified`;
  return `backup         ${where}; the newest verified one is ${formatDuration(verifiedAgeMs)} old, at ${printable(verified.place)}`;
}

/** Those that look after themselves are not worth a date. */
function certificatesLine({ certificates: { count, firstEnd } }: StatusView): string {
  const first = firstEnd && `; ${printable(firstEnd.id)} ends first, in ${firstEnd.daysLeft} days`;
  return `certificates   ${count}${first ?? ', all renew themselves'}`;
}

/** What only persons sign anew, and how long it lasts. */
function updatesLine({ updates }: StatusView): string[] {
  if (!updates) return [];
  const { root, targets } = updates;
  const until = ({ version, endsAt }: typeof root): string => `${version} until ${formatTime(endsAt)}`;
  return [`updates        root ${until(root)}, ${targets ? `releases signed ${until(targets)}` : 'no release yet'}`];
}

function health(degraded: readonly string[]): string {
  if (degraded.length === 0) return styleText('green', 'everything answers');
  return degraded.map((word) => styleText('yellow', `degraded       ${printable(word)}`)).join('\n');
}

function lagOf({ role, lagBytes, lagMs }: StatusView['databaseServers'][number]): string {
  return role === 'primary' ? '' : `${formatBytes(lagBytes)}, ${lagMs} ms`;
}
