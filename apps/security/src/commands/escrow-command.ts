import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type AccessContext,
  type Actor,
  beginKekTurn,
  checkKeks,
  createKeyring,
  fitsKeyring,
  isUnderWay,
  type KekShelf,
  type LiveKeyring,
  listEscrows,
  listKeks,
  listLastingKeys,
  loadRealmKeys,
  readTime,
  recordEscrow,
  sealedStore,
  turnWaits,
} from '@sallyport/access';
import { decodeText } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { type EscrowSet, makeSet, type Officer, parseOfficer, type SetDescription } from '@sallyport/escrow';
import { readSettings } from '@sallyport/settings';
import { SqlStore } from '@sallyport/store-sql';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { SETTINGS } from '../config.ts';
import { keyFileOf, openKeks } from '../keys/kek.ts';
import { createPasswordHasher } from '../keys/passwords.ts';
import { reachDatabase } from '../stores/database.ts';
import { endWithSallyport } from './end-command.ts';
import { orderedBy } from './ordered-by.ts';

const HELP = `node escrow-command.ts create|renew --actor NAME --reason TEXT --threshold K --officers FILE … [--out FOLDER]

What "sallyport escrow create" and "sallyport escrow renew" run. Works with the key file and the database of a Security host.

  create                       splits the key-encryption keys and the root key among the officers; another set may go on counting
  renew                        turns the key-encryption key first, splits the new one, and ends all sets of before
  --officers FILE              public file of an officer, once for each
  --threshold K                how many of them it takes, 2 or more
  --out FOLDER                 where their files are written
  --json                       for programs
`;

const OPTIONS = {
  actor: { type: 'string', default: '' },
  reason: { type: 'string', default: '' },
  threshold: { type: 'string', default: '' },
  officers: { type: 'string', multiple: true, default: [] as string[] },
  out: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

interface Order {
  readonly renew: boolean;
  readonly by: Actor;
  readonly officers: readonly Officer[];
  readonly threshold: number;
  readonly out: string | undefined;
  readonly json: boolean;
}

/** The realm as this host opens it, and its key file. */
interface Opened {
  readonly access: AccessContext & { readonly keyring: LiveKeyring };
  readonly shelf: KekShelf;
}

/** @throws Error that says what is missing */
function readOrder(): Order | undefined {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [verb = ''] = positionals;
  if (values.help || verb === '') return undefined;
  if (verb !== 'create' && verb !== 'renew') throw new Error(`there is no ${verb}; see --help`);
  const { threshold, out, json } = values;
  const by = orderedBy(values);
  const officers = values.officers.map((file) => parseOfficer(readFileSync(file, 'utf8')));
  return { renew: verb === 'renew', by, officers, threshold: Number(threshold), out, json };
}

async function carryOut(order: Order): Promise<void> {
  const config = readSettings(SETTINGS);
  const database = await reachDatabase(config);
  const server = new SqlStore(database.address, { poolSize: 2, replicated: database.external });
  try {
    const crypto = serverCrypto();
    const { keyring, shelf, sealed } = openKeks(crypto, keyFileOf(config), true);
    if (!sealed) throw new Error('the realm was not opened by this version yet: start Security first');
    const bare = server.in(config.SALLYPORT_REALM);
    await checkKeks(bare, keyring);
    const store = sealedStore(bare, keyring, ({ table }) => process.stderr.write(`a row of ${table} is forged\n`));
    const opened: Opened = { access: { store, crypto, keyring, passwords: createPasswordHasher() }, shelf };
    if (order.renew) await turnFirst(opened, order);
    await makeEscrow(opened, order);
  } finally {
    await server.close();
    await database.close();
  }
}

/** How far a turn is, is looked at this often, ms. */
const LOOK_MS = 1_000;

/** Turns the key, unless that was done and only the set is missing: whoever was cut off goes on. */
async function turnFirst({ access, shelf }: Opened, { by }: Order): Promise<void> {
  const live = (await listEscrows(access)).filter(({ endedAt }) => endedAt === null);
  const turned = live.length > 0 && !live.some((row) => fitsKeyring(row, access.keyring));
  if (!turned) await beginKekTurn(access, by);
  for (let said = ''; ; await sleep(LOOK_MS)) {
    // The node of this host writes the file; without it nobody would.
    const { current, keys, retired } = shelf.read();
    access.keyring.replace(createKeyring(access.crypto, keys, current, retired));
    const view = await listKeks(access);
    if (!isUnderWay(view.turn) && (keys.size === 1 || !view.turn)) return;
    const waits = turnWaits(view, () => true).map(({ node, why }) => `${node} (${why})`);
    const words = `the key is being turned${waits.length > 0 ? `, waits for ${waits.join(', ')}` : ''}`;
    if (words !== said) process.stderr.write(`  ${words}\n`);
    said = words;
  }
}

async function makeEscrow({ access, shelf }: Opened, order: Order): Promise<void> {
  const { officers, threshold, by, renew } = order;
  if (isUnderWay((await listKeks(access)).turn))
    throw new Error('the key-encryption key is being turned: make the escrow once that is done (sallyport kek show)');
  // One that not every node has yet signs nothing.
  const inUse = (await listLastingKeys(access)).find(({ purpose, state }) => purpose === 'root' && state === 'in use');
  const root = (await loadRealmKeys(access, 'root')).find(({ id }) => id === inUse?.id);
  if (!root) throw new Error('the realm has no root key yet: start Security first');
  const set = await makeSet({
    realm: access.store.realm,
    content: { keks: shelf.read(), rootKey: decodeText(root.secret) },
    rootKey: await calculateJwkThumbprint(root.publicPart as JWK, 'sha256'),
    ...{ officers, threshold, createdAt: await readTime(access.store) },
  });
  const folder = writeSet(set, order.out);
  const { set: id, officers: named, keks, drillKey } = set.description;
  const known = named.map(({ name, recipient, proofKey }) => ({ name, recipient, proofKey }));
  const ended = await recordEscrow(access, { id, threshold, officers: known, keks, drillKey }, { by, replaces: renew });
  process.stdout.write(
    order.json ? `${JSON.stringify({ set: id, folder, ended })}\n` : wordsOf(set.description, { folder, ended }),
  );
}

/** Writes the files before Security counts on them: a set of which nobody has the shares would be none. */
function writeSet({ description, files }: EscrowSet, out: string | undefined): string {
  const folder = resolve(out ?? `escrow-${description.set}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const write = (name: string, content: string | Uint8Array): void =>
    writeFileSync(join(folder, name), content, { flag: 'wx', mode: 0o600, flush: true });
  for (const [i, { name }] of description.officers.entries()) write(`${name}.share.age`, files[i]!);
  write('escrow.json', `${JSON.stringify(description, null, 2)}\n`);
  write('README.txt', readmeOf(description));
  return folder;
}

/** For whoever holds a share in their hands years later. */
function readmeOf({ set, realm, threshold, officers, keks, createdAt }: SetDescription): string {
  const names = officers.map(({ name }) => name).join(', ');
  return `Key escrow ${set} of realm ${realm}, made at ${new Date(createdAt).toISOString()}

Shares of the key-encryption keys ${keks.map(({ id }) => id).join(', ')} and of the root key are with: ${names}.
Any ${threshold} of them give the keys back; fewer learn nothing. Each share is an age file for its officer only.

Once a year, each officer:          sallyport escrow check NAME.share.age --identity NAME.identity.age
Once a year, ${threshold} of them together:   sallyport escrow drill --share A.share.age --identity A.identity.age --share B.share.age …
All kek.json are lost:              sallyport escrow open  --share A.share.age --identity A.identity.age --share B.share.age …

"open" writes security/kek.json, with which a Security server opens its database or a backup of it.
An officer who is far away opens their share and encrypts it anew for the machine at hand:
  age -d -i NAME.identity NAME.share.age | age -r age1… > NAME.share.age
`;
}

function wordsOf(
  { set, threshold, officers }: SetDescription,
  { folder, ended }: { folder: string; ended: readonly string[] },
): string {
  const destroy =
    ended.length === 0
      ? ''
      : `\nsets that count no more: ${ended.join(', ')}. Let the officers destroy their shares of them: enough old shares still open backups of before, and the root key\n`;
  return `escrow ${set}: any ${threshold} of ${officers.map(({ name }) => name).join(', ')} give the keys back
their files are in ${folder}
${destroy}
next: 1. give each officer their NAME.share.age, and all of them escrow.json and README.txt; keep nothing here
      2. let each of them run "sallyport escrow check", and ${threshold} together "sallyport escrow drill": what nobody has opened is no escrow
`;
}

endWithSallyport();
try {
  const order = readOrder();
  if (order) await carryOut(order);
  else process.stdout.write(HELP);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
// The password hasher keeps its threads.
process.exit();
