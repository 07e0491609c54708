import { parseArgs } from 'node:util';
import { faultOfRestored, type RealmHeads, type RealmStore, readHeads } from '@sallyport/access';
import { serverCrypto } from '@sallyport/channel/sodium';
import { findRealms, SqlStore } from '@sallyport/store-sql';
import { endWithSallyport } from './end-command.ts';

const HELP = `node archive-command.ts --socket FOLDER --user NAME --database NAME

What "sallyport backup continuous verify" runs on a database that was restored and that nobody uses: looks whether the realms in it hold
together. Answers in JSON.
`;

/** A realm in what was restored. */
interface FoundRealm extends RealmHeads {
  readonly realm: string;
  /** What does not fit, in words; empty when all does. */
  readonly fault: string;
}

async function lookAt(store: RealmStore): Promise<FoundRealm> {
  const heads = await readHeads(store);
  return { realm: store.realm, ...heads, fault: (await faultOfRestored(store, serverCrypto(), heads)) ?? '' };
}

async function carryOut(): Promise<void> {
  const options = {
    socket: { type: 'string', default: '' },
    user: { type: 'string', default: '' },
    database: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ options });
  if (values.help) return void process.stdout.write(HELP);
  const { socket, user, database } = values;
  const address = { host: socket, port: 5_432, user, password: '', database };
  const { names } = await findRealms(address);
  const server = new SqlStore(address, { poolSize: 2 });
  try {
    const found: FoundRealm[] = [];
    for (const name of names) found.push(await lookAt(server.in(name)));
    process.stdout.write(`${JSON.stringify(found)}\n`);
  } finally {
    await server.close();
  }
}

endWithSallyport();
try {
  await carryOut();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
