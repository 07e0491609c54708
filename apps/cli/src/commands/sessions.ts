import { randomUUID } from 'node:crypto';
import type { AuditView, RevocationView } from '@sallyport/security-api';
import { audit, type BodyOf, MAX_PAGE, type QueryOf, revocations, sessions } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, table } from '../operator-command.ts';
import { CliError, formatTime, printRows } from '../output.ts';
import { globalsOf, withAdmin } from '../program.ts';
import { printable, say, warn } from '../terminal.ts';

/** What was done, in words. */
function wordsOf({ kind, subject }: RevocationView): string {
  if (kind === 'generation') return 'every session until now is revoked';
  if (kind === 'before') return `every session from before ${formatTime(Number(subject))} is revoked`;
  return `${kind} ${subject} is revoked`;
}

/** Says when a revocation is in force, or for whom it waits and until when; `what` is what was done, in words of the command. */
export function sayInForce(view: RevocationView, what: string = wordsOf(view)): void {
  if (view.doubt !== undefined) warn`${view.doubt}\n`;
  if (view.kind === 'lift') {
    process.stdout.write(`✔ ${view.subject} may sign in again; what was ended stays ended (log entry ${view.index})\n`);
    return;
  }
  if (view.inForce) {
    say`✔ ${what}, in force on every Proxy after ${view.waitedMs} ms (log entry ${view.index})\n`;
    return;
  }
  say`… ${what} (log entry ${view.index}), but not yet in force everywhere:\n`;
  for (const { proxy, untilAt } of view.waitingFor) {
    say`    Proxy ${proxy} does not answer; its lease ends at ${formatTime(untilAt)} at the latest\n`;
  }
}

/** A command that revokes: what its argument stands for, which is that itself unless said otherwise. */
export interface RevokeCommand {
  readonly name: string;
  readonly about: string;
  readonly kind: BodyOf<typeof revocations.put>['kind'];
  readonly subjectOf?: (argument: string) => string;
}

/** Adds a command that revokes; it answers when that is in force, or for whom it waits. */
export function addRevokeCommand(parent: Command, { name, about, kind, subjectOf }: RevokeCommand): void {
  addOperatorCommand(parent, {
    name,
    about,
    reason: ['a revocation', 'device lost'],
    run: (admin, { reason }, argument: string = '') => {
      const subject = subjectOf ? subjectOf(argument) : argument;
      return admin.call(revocations.put, { params: { id: randomUUID() }, body: { kind, subject, reason } });
    },
    show: (view) => sayInForce(view),
  });
}

const showSessions = table([
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
]);

/** `sallyport session …`, `sallyport revoke …` and `sallyport audit …` */
export function addSessionCommands(program: Command): void {
  const session = program.command('session').description('sessions');
  addOperatorCommand(session, {
    name: 'list',
    about: 'live sessions',
    options: [['--all', 'ended ones too']],
    run: async (admin, { options }: Given<{ readonly all?: boolean }>) => {
      const listed = await admin.all(sessions.list, { query: options.all ? { all: 'true' } : {} });
      return listed.sort((a, b) => b.createdAt - a.createdAt);
    },
    show: showSessions,
  });
  addRevokeCommand(session, {
    name: 'revoke <id>',
    about: 'end a session on every Proxy; answers when that is in force',
    kind: 'session',
  });
  addRevokeCommands(program.command('revoke').description('revoke many things at once'));
  addAuditCommands(program.command('audit').description('the audit log'));
}

interface RevocationListing {
  readonly lines: string;
  readonly before?: string;
  readonly all?: true;
}

function addRevokeCommands(revoke: Command): void {
  addRevokeCommand(revoke, { name: 'app <id@version>', about: 'a version of an app', kind: 'app' });
  addRevokeCommand(revoke, {
    name: 'before <time>',
    about: 'every session that began before a time, such as 2026-05-01T08:00Z',
    kind: 'before',
    subjectOf: momentOf,
  });
  addRevokeCommand(revoke, {
    name: 'lift <id@version>',
    about: 'let a revoked version of an app sign in again; what was ended stays ended',
    kind: 'lift',
  });
  addOperatorCommand(revoke, {
    name: 'list',
    about: 'what was revoked, newest first',
    options: [
      ['-n, --lines <n>', 'how many', '50'],
      ['--before <index>', 'only older entries of the log'],
      ['--all', 'also changes of rights, which end nothing'],
    ],
    run: (admin, { options: { lines, before, all } }: Given<RevocationListing>) => {
      const older = before === undefined ? {} : { before };
      return admin.call(revocations.list, { query: { limit: lines, ...older, ...(all ? { all: 'true' } : {}) } });
    },
    show: table(['index', 'at', 'kind', 'subject', 'lifted', 'actor', 'reason']),
  });
  addRevokeCommand(revoke, {
    name: 'everything',
    about: 'every session there is',
    kind: 'before',
    subjectOf: () => 'now',
  });
}

const AUDIT_COLUMNS = ['seq', 'at', 'actor', 'action', 'subject', 'outcome', 'reason'];
const TAIL_MS = 1_000;

interface AuditOptions {
  readonly lines: string;
  readonly before?: string;
  readonly after?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly subject?: string;
  readonly outcome?: 'done' | 'refused';
  readonly since?: string;
  readonly until?: string;
}

function addAuditCommands(auditLog: Command): void {
  addOperatorCommand(auditLog, {
    name: 'list',
    about: 'events, newest first; all that is given must fit',
    options: [
      ['-n, --lines <n>', 'how many', '100'],
      ['--before <seq>', 'before this event'],
      ['--after <seq>', 'after this event, oldest first'],
      ['--actor <name>', 'who did it'],
      ['--action <name>', 'what was done, like user.disable'],
      ['--subject <text>', 'whom or what it concerns'],
      ['--outcome <word>', 'done or refused'],
      ['--since <time>', 'date, or date and time'],
      ['--until <time>', 'date, or date and time'],
    ],
    run: (admin, { options }: Given<AuditOptions>) => admin.call(audit.list, { query: auditQuery(options) }),
    show: table(AUDIT_COLUMNS),
  });
  auditLog
    .command('export')
    .description('every event that is kept, oldest first, one JSON a line')
    .option('--after <seq>', 'only those after this event', '0')
    .action(exportAudit);
  auditLog
    .command('tail')
    .description('the newest events')
    .option('-n, --lines <n>', 'how many', '20')
    .option('-f, --follow', 'go on as events happen')
    .action(tailAudit);
}

function auditQuery({ lines, since, until, ...fields }: AuditOptions): QueryOf<typeof audit.list> {
  const times = { ...(since ? { since: timeOf(since) } : {}), ...(until ? { until: timeOf(until) } : {}) };
  return { ...fields, limit: lines, ...times };
}

function timeOf(text: string): string {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new CliError(`${text} is no time`, 'write it like 2026-11-25 or 2026-11-25T18:00');
  return String(at);
}

/** Writes page after page: there may be more events than memory. */
async function exportAudit(options: { readonly after: string }, command: Command): Promise<void> {
  await withAdmin(globalsOf(command), async (admin) => {
    let { after } = options;
    for (let more = true; more; ) {
      const rows = await admin.call(audit.list, { query: { limit: String(MAX_PAGE), after } });
      for (const row of rows) process.stdout.write(`${printable(JSON.stringify(row))}\n`);
      after = String(rows.at(-1)?.seq ?? after);
      more = rows.length === MAX_PAGE;
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

async function tailAudit(
  options: { readonly lines: string; readonly follow?: boolean },
  command: Command,
): Promise<void> {
  const globals = globalsOf(command);
  await withAdmin(globals, async (admin) => {
    let last = 0;
    do {
      const newest = last === 0;
      const query = newest ? { limit: options.lines } : { limit: String(MAX_PAGE), after: String(last) };
      const rows: AuditView[] = await admin.call(audit.list, { query });
      const fresh = newest ? rows.reverse() : rows;
      if (fresh.length > 0 || last === 0) printRows(fresh, AUDIT_COLUMNS, globals.json);
      last = fresh.at(-1)?.seq ?? last;
      if (options.follow) await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
    } while (options.follow);
  });
}
