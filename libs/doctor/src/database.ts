import pg from 'pg';
import { judgeClock } from './clock.ts';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { type Reached, reach } from './reach.ts';
import { reachTls } from './tls.ts';
import { TooLate, within } from './within.ts';

/** A PostgreSQL as Security uses it. */
export interface DatabaseWay {
  readonly from: string;
  readonly to: 'database' | 'journal';
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** PEM of its CA; absent: no TLS, on this machine only. */
  readonly ca?: string;
  /** Of another site, which follows ours: all of its servers are standbys until it takes over. */
  readonly follows?: true;
}

/** Tries each server of a database, and judges the role and the settings of the primary. */
export async function examineDatabase(way: DatabaseWay, limits: WaitLimits): Promise<Diagnosis[]> {
  const all: Diagnosis[] = [];
  let primaries = 0;
  let answered = 0;
  for (const { host, port } of way.hosts) {
    const leg: Leg = { from: way.from, to: way.to, host, port };
    const { diagnoses, isPrimary } = await examineServer(way, leg, limits);
    all.push(...diagnoses);
    if (isPrimary !== undefined) answered += 1;
    if (isPrimary) primaries += 1;
  }
  if (answered > 0 && primaries !== 1 && !way.follows) all.push(primaryTrouble(way, primaries));
  return all;
}

function primaryTrouble({ from, to }: DatabaseWay, primaries: number): Diagnosis {
  const subject = `${from} → ${to}`;
  const words =
    primaries === 0
      ? 'all servers that answer are standbys: nothing can be written'
      : 'several servers take writes: the database is split';
  const next =
    primaries === 0
      ? 'promote one, or see Patroni: patronictl list'
      : 'stop all but the right one at once, then see docs/recovery.md';
  return { subject, check: 'primary', state: 'failure', words, hop: to, next };
}

interface Examined {
  readonly diagnoses: readonly Diagnosis[];
  /** Undefined for a server that says nothing of it. */
  readonly isPrimary: boolean | undefined;
}

async function examineServer(way: DatabaseWay, leg: Leg, limits: WaitLimits): Promise<Examined> {
  if (!leg.host.startsWith('/')) {
    const { diagnoses, socket } = await reachOpen(way, leg, limits);
    socket?.destroy();
    if (!socket) return { diagnoses, isPrimary: undefined };
    const further = await examineSession(way, leg, limits);
    return { ...further, diagnoses: [...diagnoses, ...further.diagnoses] };
  }
  return examineSession(way, leg, limits);
}

/** Who answers is known by its certificate before it is told a name or a password. */
function reachOpen(way: DatabaseWay, leg: Leg, limits: WaitLimits): Promise<Reached> {
  const { ca } = way;
  if (ca === undefined) return reach(leg, limits);
  const remedies = {
    renew: 'renew it on the database host, then reload PostgreSQL',
    trust: `${settingOf(way)}_CA names the file with the CA that issued it`,
  };
  return reachTls(leg, { ca, beginning: 'PostgreSQL', remedies }, limits);
}

/** How settings of this database begin. */
function settingOf({ to }: DatabaseWay): string {
  return to === 'journal' ? 'SALLYPORT_JOURNAL' : 'SALLYPORT_DATABASE';
}

async function examineSession(way: DatabaseWay, leg: Leg, limits: WaitLimits): Promise<Examined> {
  const { user, password, database, ca } = way;
  const client = new pg.Client({
    ...{ user, password, database, host: leg.host, port: leg.port },
    ...(ca === undefined ? {} : { ssl: { ca, rejectUnauthorized: true } }),
    connectionTimeoutMillis: limits.connectMs + limits.answerMs,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await within(limits.answerMs, judged(client, leg));
  } catch (error) {
    return { diagnoses: [refusal(way, leg, error as Error)], isPrimary: undefined };
  } finally {
    void client.end().catch(() => undefined);
  }
}

/** What each refusal means, by SQLSTATE (PostgreSQL, appendix A). */
const REFUSALS: Readonly<Record<string, readonly [words: string, next: string]>> = {
  '28P01': ['the password of the role is wrong', '<setting>_PASSWORD is what "alter role … password" was given'],
  '28000': [
    'the role may not log in from here',
    'pg_hba.conf of each database host needs: hostssl <database> <role> <this network> scram-sha-256',
  ],
  '3D000': ['there is no such database', 'create database <database> owner <role>'],
  '42501': ['the role may not connect to the database', 'grant connect on database <database> to <role>'],
  '53300': [
    'all connections of the server are taken',
    'raise max_connections, or find who keeps them: pg_stat_activity',
  ],
  '57P03': ['the server is starting or stopping', 'wait, then try again'],
};
function refusal(way: DatabaseWay, leg: Leg, error: Error): Diagnosis {
  const failure = { subject: nameOfLeg(leg), state: 'failure', hop: way.to } as const;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const known = REFUSALS[code];
  if (known) return { ...failure, check: 'role', words: known[0], next: known[1].replace('<setting>', settingOf(way)) };
  const late = error instanceof TooLate || /timeout/i.test(error.message);
  const words = late ? 'it takes the connection and does not answer' : `it breaks off (${code || error.message})`;
  return { ...failure, check: 'session', words, next: 'see the log of the database' };
}

/** What a session is asked of its server. */
const FACTS = `select
  current_setting('server_version_num')::int as "version",
  pg_is_in_recovery() as "standby",
  current_user as "role",
  (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as "mighty",
  current_schema() as "schema",
  coalesce(has_schema_privilege(current_schema(), 'create'), false) as "creates",
  has_database_privilege(current_database(), 'temp') as "temp",
  (select count(*)::int from pg_tables where schemaname = current_schema() and tableowner <> current_user) as "foreign",
  pg_has_role('pg_monitor', 'member') as "monitor",
  (select case when trim(names) = '' then 0
      else coalesce(substring(lower(names) from '^\\s*(?:(?:first|any)\\s+)?(\\d+)\\s*\\(')::int, 1) end
    from current_setting('synchronous_standby_names') as names) as "asked",
  (select count(*)::int from pg_stat_replication where sync_state in ('sync', 'quorum')) as "confirming",
  current_setting('fsync') as "fsync",
  current_setting('full_page_writes') as "pages",
  current_setting('synchronous_commit') as "commit",
  current_setting('server_encoding') as "encoding",
  current_setting('data_checksums') as "checksums",
  current_setting('max_connections')::int as "connections",
  (select count(*)::int from pg_stat_activity) as "used",
  extract(epoch from clock_timestamp()) * 1000 as "now"`;

interface DatabaseFacts {
  readonly version: number;
  readonly standby: boolean;
  readonly role: string;
  readonly mighty: boolean;
  readonly schema: string | null;
  readonly creates: boolean;
  readonly temp: boolean;
  readonly foreign: number;
  readonly monitor: boolean;
  /** How many standbys have to confirm a commit. */
  readonly asked: number;
  /** How many do, as far as the role sees them. */
  readonly confirming: number;
  readonly fsync: string;
  readonly pages: string;
  readonly commit: string;
  readonly encoding: string;
  readonly checksums: string;
  readonly connections: number;
  readonly used: number;
  readonly now: string;
}

async function judged(client: pg.Client, leg: Leg): Promise<Examined> {
  const began = performance.now();
  const { rows } = await client.query<DatabaseFacts>(FACTS);
  const facts = rows[0]!;
  const tookMs = performance.now() - began;
  const subject = nameOfLeg(leg);
  const clock = judgeClock(subject, Number(facts.now) - Date.now(), { stepMs: 0, tookMs });
  return { diagnoses: [...judgeDatabase(subject, facts), clock], isPrimary: !facts.standby };
}

const LEAST_VERSION = 150_000;
/** Connections that a node wants at once. */
const LEAST_FREE = 25;

/** Judges what a server says of itself: one diagnosis for each thing that is wrong, or one that all is well. */
function judgeDatabase(subject: string, facts: DatabaseFacts): Diagnosis[] {
  const found: Diagnosis[] = [];
  const say = (state: 'warning' | 'failure', check: string, words: string, next: string): void => {
    found.push({ subject, check, state, words, hop: 'database', next });
  };
  if (facts.version < LEAST_VERSION)
    say('failure', 'version', `PostgreSQL ${Math.floor(facts.version / 10_000)} is too old`, 'PostgreSQL 15 or later');
  if (!facts.standby && (facts.schema === null || !facts.creates))
    say(
      'failure',
      'role',
      `the role ${facts.role} may make no tables`,
      `alter database <database> owner to ${facts.role}, or grant create on schema public to ${facts.role}`,
    );
  if (facts.foreign > 0)
    say(
      'failure',
      'role',
      `${facts.foreign} tables belong to another role than ${facts.role}`,
      `reassign owned by <that role> to ${facts.role}`,
    );
  if (facts.mighty)
    say(
      'warning',
      'role',
      `the role ${facts.role} is a superuser, or goes around row security`,
      `alter role ${facts.role} nosuperuser nobypassrls; it owns its database, and needs no more`,
    );
  if (!facts.monitor)
    say(
      'warning',
      'role',
      'the role does not see the standbys: status says less of them',
      `grant pg_monitor to ${facts.role}`,
    );
  if (!facts.standby && facts.monitor && facts.confirming < facts.asked)
    say(
      'failure',
      'standbys',
      facts.confirming === 0
        ? 'no standby confirms commits: writes wait'
        : `${facts.confirming} of ${facts.asked} standbys confirm commits: writes wait`,
      'bring a standby back; see pg_stat_replication, with Patroni: patronictl list',
    );
  for (const [name, value] of [
    ['fsync', facts.fsync],
    ['full_page_writes', facts.pages],
  ] as const)
    if (value !== 'on')
      say('failure', 'settings', `${name} is ${value}: what was acknowledged may be lost`, `${name} = on`);
  if (['off', 'local'].includes(facts.commit))
    say(
      'failure',
      'settings',
      `synchronous_commit is ${facts.commit}: what was acknowledged may be lost`,
      'synchronous_commit = on',
    );
  if (facts.encoding !== 'UTF8')
    say('failure', 'settings', `the encoding is ${facts.encoding}`, 'a database with the encoding UTF8');
  if (facts.checksums !== 'on')
    say(
      'warning',
      'settings',
      'pages have no checksums: a bad disk is found late',
      'pg_checksums --enable, while it is stopped',
    );
  if (facts.connections - facts.used < LEAST_FREE)
    say('warning', 'settings', `${facts.used} of ${facts.connections} connections are taken`, 'raise max_connections');
  if (found.length > 0) return found;
  const part = facts.standby ? 'a standby' : 'the primary';
  return [{ subject, check: 'role', state: 'ok', words: `${part}; role and settings are right` }];
}
