import { parseArgs } from 'node:util';
import {
  type AccessContext,
  type Actor,
  beginNewEpoch,
  closeRealm,
  type Restored,
  sealedStore,
} from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import { readSettings } from '@sallyport/settings';
import { migrate, SqlStore } from '@sallyport/store-sql';
import { SETTINGS } from './config.ts';
import { openDatabase } from './database.ts';
import { readKnownLife } from './epoch-file.ts';
import { openJournal } from './journal.ts';
import { keyFileOf, openKeks } from './kek.ts';
import { lifeFileOf } from './life.ts';
import { createPasswordHasher } from './passwords.ts';

const HELP = `node realm-command.ts close|new-epoch --actor NAME --reason TEXT [...]

Works on the database of the settings (as a Security server has them), while no Security server uses it.

  close                        nothing is given from this database any more
  new-epoch                    after a restore: claims the journal, brings back what it holds, ends all sessions, opens
    --old-database-is-closed   the database of before was closed with "close", or
    --old-database-is-off      its server was switched off and stays off
    --journal-is-lost          the journal or a part of it is gone: all users stay out until somebody looks at them
    --supersedes EPOCH         another epoch that this one takes the place of (nodes name theirs in their files)
`;

const OPTIONS = {
  actor: { type: 'string', default: '' },
  reason: { type: 'string', default: '' },
  'old-database-is-closed': { type: 'boolean', default: false },
  'old-database-is-off': { type: 'boolean', default: false },
  'journal-is-lost': { type: 'boolean', default: false },
  supersedes: { type: 'string', multiple: true },
  help: { type: 'boolean', default: false },
} as const;

interface Order {
  readonly verb: string;
  readonly by: Actor;
  readonly lost: boolean;
  readonly supersedes: readonly string[];
}

/** @throws Error that says what is missing */
function readOrder(): Order | undefined {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [verb = ''] = positionals;
  if (values.help || verb === '') return undefined;
  const { actor, reason } = values;
  if (!actor || !reason) throw new Error('who does this, and why? --actor and --reason go into the audit log');
  const fenced = values['old-database-is-closed'] || values['old-database-is-off'];
  if (verb === 'new-epoch' && !fenced)
    throw new Error(
      'the database of before must not be used any more: close it and say --old-database-is-closed, or switch its server off and say --old-database-is-off',
    );
  return { verb, by: { actor, reason }, lost: values['journal-is-lost'], supersedes: values.supersedes ?? [] };
}

async function carryOut(order: Order, write: (text: string) => void): Promise<void> {
  const config = readSettings(SETTINGS);
  const database = await openDatabase(config);
  const server = new SqlStore(database.address, { replicated: database.external });
  const opened = await openJournal(config);
  try {
    await migrate(database.address);
    const bare = server.in(config.SALLYPORT_REALM);
    const { keyring } = openKeks(serverCrypto(), keyFileOf(config), true);
    const store = sealedStore(bare, keyring, ({ table, key }) =>
      write(`not written by a Security server: ${table} ${key}\n`),
    );
    const access: AccessContext = { store, crypto: serverCrypto(), keyring, passwords: createPasswordHasher() };
    if (order.verb === 'close') return write(`epoch ${await closeRealm(access, order.by)} is closed\n`);
    if (order.verb !== 'new-epoch') throw new Error(`there is no ${order.verb}; see --help`);
    if (!opened && !order.lost)
      throw new Error(
        'there is no journal (SALLYPORT_JOURNAL): say --journal-is-lost, and all users stay out until enabled',
      );
    const known = readKnownLife(lifeFileOf(config));
    const supersedes = [...order.supersedes, ...(known ? [known.epoch] : [])];
    const restored = await beginNewEpoch({ ...order, access, journal: opened?.journal, supersedes });
    write(wordsFor(restored, order.lost));
  } finally {
    await opened?.journal.close();
    await server.close();
    await database.close();
  }
}

function wordsFor({ epoch, appended, rights }: Restored, lost: boolean): string {
  const again = appended.length - rights.length;
  const lines = [
    `the database is open with epoch ${epoch}; all sessions are over`,
    `${again} revocations are in the log again`,
  ];
  for (const { subject, actor, reason } of rights)
    lines.push(`rights of ${subject} were changed by ${actor} (${reason}) after the backup: look at them`);
  if (lost) lines.push('the journal is lost: all users are disabled until you enable them');
  return `${lines.join('\n')}\ntake a backup now\n`;
}

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
