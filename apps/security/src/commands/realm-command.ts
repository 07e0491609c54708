import { parseArgs } from 'node:util';
import { type AccessContext, type Actor, beginNewEpoch, checkLogs, closeRealm, type Restored } from '@sallyport/access';
import { readSettings } from '@sallyport/settings';
import { migrate, SqlStore } from '@sallyport/store-sql';
import { backupTargetsOf } from '../backup/setup.ts';
import { type Config, SETTINGS } from '../config.ts';
import { readAllCopies } from '../journal/copy-objects.ts';
import { openJournal } from '../journal/journal.ts';
import { wrapRestored } from '../keys/kek.ts';
import { openBareAccess } from '../stores/bare-access.ts';
import { adoptPlace, reachDatabase } from '../stores/database.ts';
import { readKnownLife } from '../stores/epoch-file.ts';
import { lifeFileOf } from '../stores/life.ts';
import { endWithSallyport } from './end-command.ts';
import { orderedBy } from './ordered-by.ts';

const HELP = `node realm-command.ts close|new-epoch --actor NAME --reason TEXT [...]

What "sallyport realm close" and "sallyport realm new-epoch" run. Works on the database of the settings, as a Security
server has them.

  close                        nothing is given from this database any more
  new-epoch                    after a restore: claims the journal, brings back what it holds, ends all sessions, opens
    --old-database-is-closed   the database of before was closed with "close", or
    --old-database-is-off      its server was switched off and stays off
    --journal-is-lost          the journal or a part of it is gone: all users stay out until somebody looks at them
    --copy-is-whole            the folder of the database was copied from a snapshot of its volume, or while nothing wrote
    --supersedes EPOCH         another epoch that this one takes the place of (nodes name theirs in their files)
  --json                       for programs
`;

const OPTIONS = {
  actor: { type: 'string', default: '' },
  reason: { type: 'string', default: '' },
  'old-database-is-closed': { type: 'boolean', default: false },
  'old-database-is-off': { type: 'boolean', default: false },
  'journal-is-lost': { type: 'boolean', default: false },
  'copy-is-whole': { type: 'boolean', default: false },
  supersedes: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

interface Order {
  readonly verb: string;
  readonly by: Actor;
  readonly lost: boolean;
  readonly isWhole: boolean;
  readonly supersedes: readonly string[];
  readonly json: boolean;
}

/** @throws Error that says what is missing */
function readOrder(): Order | undefined {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [verb = ''] = positionals;
  if (values.help || verb === '') return undefined;
  const by = orderedBy(values);
  const fenced = values['old-database-is-closed'] || values['old-database-is-off'];
  if (verb === 'new-epoch' && !fenced)
    throw new Error(
      'the database of before must not be used any more: close it and say --old-database-is-closed, or switch its server off and say --old-database-is-off',
    );
  const { json, supersedes = [], 'journal-is-lost': lost, 'copy-is-whole': isWhole } = values;
  return { verb, by, lost, isWhole, supersedes, json };
}

async function carryOut(order: Order, write: (text: string) => void): Promise<void> {
  const config = readSettings(SETTINGS);
  const database = await reachDatabase(config, order);
  const server = new SqlStore(database.address, { poolSize: 2, replicated: database.external });
  try {
    await migrate(database.address);
    const access = await openBareAccess(config, server, { restored: order.verb === 'new-epoch' });
    if (order.verb === 'close') {
      const epoch = await closeRealm(access, order.by);
      return write(
        order.json ? `${JSON.stringify({ epoch, closed: true })}\n` : wordsOfClose(epoch, database.description),
      );
    }
    if (order.verb !== 'new-epoch') throw new Error(`there is no ${order.verb}; see --help`);
    if (order.isWhole) await checkLogs(access);
    const restored = await newEpoch(config, access, order);
    adoptPlace(config);
    write(order.json ? `${JSON.stringify({ ...restored, lost: order.lost })}\n` : wordsOf(restored));
  } finally {
    await server.close();
    await database.close();
  }
}

async function newEpoch(config: Config, access: AccessContext, order: Order): Promise<Restored> {
  const opened = await openJournal(config);
  try {
    if (!opened && !order.lost)
      throw new Error(
        'there is no journal (SALLYPORT_JOURNAL): say --journal-is-lost, and all users stay out until enabled',
      );
    const known = readKnownLife(lifeFileOf(config));
    // A proof says how far the log was at least: the Proxy that knows more is not heard any more.
    if (opened?.authorityMs === undefined && known?.seenBy !== undefined && !order.lost)
      throw new Error(
        `this machine went back, as ${known.seenBy} has seen, and its journal lies on it: it went back, too, and counts as lost (--journal-is-lost)`,
      );
    const supersedes = [...order.supersedes, ...(known ? [known.epoch] : [])];
    const readCopies = async () =>
      (await readAllCopies(backupTargetsOf(config), access.keyring, config.SALLYPORT_REALM)).copies;
    const journal = opened?.journal;
    const restored = await beginNewEpoch({ ...order, access, journal, readCopies, supersedes, seen: known });
    await wrapRestored(access, order.by);
    return restored;
  } finally {
    await opened?.journal.close();
  }
}

/** What was done, and what comes next. */
function wordsOfClose(epoch: string, description: string): string {
  return `epoch ${epoch} is closed (database: ${description}); nothing is given from it any more, by any node

next: stop the Security servers, restore the backup to a server that none of them uses yet, and run there
  sallyport realm new-epoch --old-database-is-closed --reason …
if this was a mistake the same command, on this database, opens it again; all sessions end by it
`;
}

/** What was done, what was lost, and what comes next. */
function wordsOf({ epoch, appended, rights, credentials, usersOut }: Restored): string {
  const again = appended.length - rights.length;
  const changed = rights.map(({ subject, actor, reason }) => `  ${subject}, by ${actor}: ${reason}\n`).join('');
  const doubts = [
    ...(rights.length > 0
      ? [`look at rights that were changed after the backup, they are as before:\n${changed}`]
      : []),
    ...(credentials.length > 0
      ? [
          `passwords or second factors were replaced after the backup, of: ${credentials.join(', ')}\n` +
            '  local passwords of before open nothing: set new ones (sallyport user set NAME --password); second factors are as in the backup\n',
        ]
      : []),
    ...(usersOut > 0
      ? [`the journal is lost: ${usersOut} users are disabled; enable one by one whom you have looked at\n`]
      : []),
  ];
  return `the database is open with epoch ${epoch}

done: ${again} revocations that the backup did not know are in the log again, under their own ids
lost: all sessions, activation codes, join tokens and one-time tokens; whatever else was changed after the backup
${doubts.join('')}
next: 1. start the Security servers; Proxies begin anew by themselves, people sign in again
      2. watch "sallyport status": until the hold is over no revocation is called in force
      3. join anew each Proxy that has renewed its key since the backup: sallyport proxy invite NAME --site SITE --replace
      4. take a backup now: older ones belong to an older epoch
`;
}

endWithSallyport();
try {
  const order = readOrder();
  if (order) await carryOut(order, (text) => void process.stdout.write(text));
  else process.stdout.write(HELP);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
// The password hasher keeps its threads.
process.exit();
