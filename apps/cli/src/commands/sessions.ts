import type {
  AuditView,
  RevocationKind,
  RevocationRowView,
  RevocationView,
  SessionView,
} from '@sallyport/security-api';
import type { Command } from 'commander';
import { CliError, formatTime, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, requestId, withAdmin } from '../program.ts';
import { printable, say, warn } from '../terminal.ts';

/** Says when a revocation is in force, or for whom it waits and until when. */
export function sayInForce(view: RevocationView, json: boolean): void {
  if (json) return printJson(view);
  if (view.doubt !== undefined) warn`${view.doubt}\n`;
  if (view.kind === 'lift') {
    process.stdout.write(`✔ ${view.subject} may sign in again; what was ended stays ended (log entry ${view.index})\n`);
    return;
  }
  const what = `${view.kind} ${view.subject}`;
  if (view.inForce) {
    say`✔ ${what} is revoked, in force on every Proxy after ${view.waitedMs} ms (log entry ${view.index})\n`;
    return;
  }
  say`… ${what} is revoked (log entry ${view.index}), but not yet in force everywhere:\n`;
  for (const { proxy, untilAt } of view.waitingFor) {
    say`    Proxy ${proxy} does not answer; its lease ends at ${formatTime(untilAt)} at the latest\n`;
  }
}

/** Revokes with the operator's reason, which is required. */
export async function revokeAndSay(command: Command, kind: RevocationKind, subject: string): Promise<void> {
  const globals = globalsOf(command);
  if (!globals.reason) throw new CliError('why? a revocation needs a reason', 'add: --reason "device lost"');
  const body = { kind, subject, reason: globals.reason };
  const path = `/v1/revocations/${requestId()}`;
  sayInForce(await withAdmin(globals, (admin) => admin.call<RevocationView>('PUT', path, { body })), globals.json);
}

const SESSION_COLUMNS = [
  'id',
  'user',
  'app',
  'createdAt',
  'expiresAt',
  'endedAt',
  'endReason',
  'lastChannel',
  'seenAt',
  'proxy',
];
const AUDIT_COLUMNS = ['seq', 'at', 'actor', 'action', 'subject', 'outcome', 'reason'];
const TAIL_MS = 1_000;

/** `sallyport session …`, `sallyport revoke …` and `sallyport audit …` */
export function addSessionCommands(program: Command): void {
  const session = program.command('session').description('sessions');
  session
    .command('list')
    .description('live sessions')
    .option('--all', 'ended ones too')
    .action(async (options: { all?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const path = `/v1/sessions${options.all ? '?all=true' : ''}`;
      printRows(
        (await withAdmin(globals, (admin) => allPages<SessionView>(admin, path, ({ id }) => id))).sort(
          (a, b) => b.createdAt - a.createdAt,
        ),
        SESSION_COLUMNS,
        globals.json,
      );
    });
  session
    .command('revoke <id>')
    .description('end a session on every Proxy; answers when that is in force')
    .action((id: string, _options, command: Command) => revokeAndSay(command, 'session', id));
  const revoke = program.command('revoke').description('revoke many things at once');
  revoke
    .command('app <id@version>')
    .description('a version of an app')
    .action((subject: string, _options, command: Command) => revokeAndSay(command, 'app', subject));
  revoke
    .command('before <time>')
    .description('every session that began before a time, such as 2026-05-01T08:00Z')
    .action((time: string, _options, command: Command) => revokeAndSay(command, 'before', momentOf(time)));
  revoke
    .command('lift <id@version>')
    .description('let a revoked version of an app sign in again; what was ended stays ended')
    .action((subject: string, _options, command: Command) => revokeAndSay(command, 'lift', subject));
  revoke
    .command('list')
    .description('what was revoked, newest first')
    .option('-n, --lines <n>', 'how many', '50')
    .option('--before <index>', 'only older entries of the log')
    .option('--all', 'also changes of rights, which end nothing')
    .action(listRevocations);
  revoke
    .command('everything')
    .description('every session there is')
    .action((_options, command: Command) => revokeAndSay(command, 'before', 'now'));
  addAuditCommands(program);
}

/** `sallyport audit …` */
function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('the audit log');
  audit
    .command('list')
    .description('events, newest first; all that is given must fit')
    .option('-n, --lines <n>', 'how many', '100')
    .option('--before <seq>', 'before this event')
    .option('--after <seq>', 'after this event, oldest first')
    .option('--actor <name>', 'who did it')
    .option('--action <name>', 'what was done, like user.disable')
    .option('--subject <text>', 'whom or what it concerns')
    .option('--outcome <word>', 'done or refused')
    .option('--since <time>', 'date, or date and time')
    .option('--until <time>', 'date, or date and time')
    .action(async (options: AuditOptions, command: Command) => {
      const globals = globalsOf(command);
      const { lines, ...filter } = options;
      const path = `/v1/audit?${auditQuery({ ...filter, limit: lines })}`;
      printRows(await withAdmin(globals, (admin) => admin.call<AuditView[]>('GET', path)), AUDIT_COLUMNS, globals.json);
    });
  audit
    .command('export')
    .description('every event that is kept, oldest first, one JSON a line')
    .option('--after <seq>', 'only those after this event', '0')
    .action(exportAudit);
  audit
    .command('tail')
    .description('the newest events')
    .option('-n, --lines <n>', 'how many', '20')
    .option('-f, --follow', 'go on as events happen')
    .action(tailAudit);
}

interface AuditOptions {
  readonly lines: string;
  readonly since?: string;
  readonly until?: string;
}

function auditQuery({ since, until, ...fields }: Partial<AuditOptions> & { readonly limit: string }): URLSearchParams {
  const times = { ...(since ? { since: timeOf(since) } : {}), ...(until ? { until: timeOf(until) } : {}) };
  return new URLSearchParams({ ...fields, ...times });
}

function timeOf(text: string): string {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new CliError(`${text} is no time`, 'write it like 2026-11-25 or 2026-11-25T18:00');
  return String(at);
}

const EXPORT_PAGE = 5_000;

async function exportAudit(options: { after: string }, command: Command): Promise<void> {
  await withAdmin(globalsOf(command), async (admin) => {
    for (let after = options.after, more = true; more; ) {
      const rows = await admin.call<AuditView[]>('GET', `/v1/audit?limit=${EXPORT_PAGE}&after=${after}`);
      for (const row of rows) process.stdout.write(`${printable(JSON.stringify(row))}\n`);
      after = String(rows.at(-1)?.seq ?? after);
      more = rows.length === EXPORT_PAGE;
    }
  });
}

/** A time in the past, as the API takes it. @throws CliError */
export function momentOf(text: string, now: number = Date.now()): string {
  const iso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const at = iso ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new CliError(`${text} is no time`, 'write it as 2026-05-01 or 2026-05-01T08:00+02:00; numbers are not taken');
  if (at > now) throw new CliError(`${text} is still to come`, 'sessions until now end with: revoke everything');
  return String(at);
}

const REVOCATION_COLUMNS = ['index', 'at', 'kind', 'subject', 'lifted', 'actor', 'reason'];

async function listRevocations(
  { lines, before, all }: { lines: string; before?: string; all?: true },
  command: Command,
): Promise<void> {
  const globals = globalsOf(command);
  const query = new URLSearchParams({ limit: lines, ...(before && { before }), ...(all && { all: 'true' }) });
  const rows = await withAdmin(globals, (admin) => admin.call<RevocationRowView[]>('GET', `/v1/revocations?${query}`));
  printRows(rows, REVOCATION_COLUMNS, globals.json);
}

async function tailAudit(options: { lines: string; follow?: boolean }, command: Command): Promise<void> {
  const globals = globalsOf(command);
  await withAdmin(globals, async (admin) => {
    let last = 0;
    do {
      const newest = last === 0;
      const query = newest ? `limit=${options.lines}` : `limit=${EXPORT_PAGE}&after=${last}`;
      const rows = await admin.call<AuditView[]>('GET', `/v1/audit?${query}`);
      const fresh = newest ? rows.reverse() : rows;
      if (fresh.length > 0 || last === 0) printRows(fresh, AUDIT_COLUMNS, globals.json);
      last = fresh.at(-1)?.seq ?? last;
      if (options.follow) await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
    } while (options.follow);
  });
}
