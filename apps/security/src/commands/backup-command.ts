import { existsSync, readFileSync } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkKeks, type Keyring } from '@sallyport/access';
import {
  BackupError,
  type BackupIdentity,
  type BackupTarget,
  formatIdentity,
  formatRecipient,
  listExports,
  makeIdentity,
  parseIdentity,
  parseRecipients,
  putExport,
  type Recipient,
} from '@sallyport/backup';
import { serverCrypto } from '@sallyport/channel/sodium';
import { finishAtSignal, readSettings } from '@sallyport/settings';
import { SqlStore } from '@sallyport/store-sql';
import { makeExport, openSpool } from '../backup/make-export.ts';
import { openScratchDatabase } from '../backup/scratch-database.ts';
import { backupTargetsOf } from '../backup/setup.ts';
import { type ExportDetails, type StandingOrder, standingOf } from '../backup/standing.ts';
import { verifyExport } from '../backup/verify-export.ts';
import { watchExports } from '../backup/verify-watch.ts';
import { type Config, SETTINGS } from '../config.ts';
import { keyFileOf, openKeksOfExports } from '../keys/kek.ts';
import { reachDatabase } from '../stores/database.ts';
import { endCommand, endWithSallyport, tell } from './end-command.ts';
import { IDENTITY_FILE, RECIPIENT_FILE, readNamedFile } from './named-file.ts';
import { assertOneWorked, codedWords, type NamedTarget, targetNamed, workAtEach } from './named-targets.ts';

const HELP = `node backup-command.ts keys|create|list|show|verify [...]

What "sallyport backup ..." runs, with the settings of a Security server. Answers in JSON.

  keys NAME --out FOLDER        makes an identity file, to be taken away, and a recipient file, for the servers
  create                        makes a backup now and puts it at every target
  list                          backups at every target, and what they are worth
  show NAME                     one backup
  verify [NAME] --identity FILE restores it (the newest, unless it is named) into a scratch database and signs a receipt
    --scratch FOLDER            where the scratch database lives
  watch --identity FILE         verifies the newest one of each target as it comes, until it is ended
    --pause SECONDS             between two looks
  --target PLACE                a folder, file:/..., sftp://... or s3://... instead of SALLYPORT_BACKUP_TARGETS
  --recipient FILE              instead of SALLYPORT_BACKUP_RECIPIENTS
`;

const OPTIONS = {
  target: { type: 'string', multiple: true, default: [] as string[] },
  recipient: { type: 'string', multiple: true, default: [] as string[] },
  identity: { type: 'string' },
  scratch: { type: 'string' },
  out: { type: 'string', default: '.' },
  limit: { type: 'string', default: '50' },
  pause: { type: 'string', default: '60' },
  help: { type: 'boolean', default: false },
} as const;

const NAME = /^[a-z0-9]([a-z0-9._@-]{0,61}[a-z0-9])?$/;

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

interface Order {
  readonly name: string | undefined;
  readonly targets: readonly string[];
  readonly recipients: readonly string[];
  readonly identity: string | undefined;
  readonly scratch: string | undefined;
  readonly out: string;
  readonly limit: number;
  readonly pauseMs: number;
}

/** What a command answers; `failed` when not all of it was done. */
interface Answer {
  readonly value: unknown;
  readonly failed?: boolean;
}

const VERBS: Readonly<Record<string, (order: Order) => Promise<Answer>>> = { keys, create, list, show, verify, watch };

async function keys({ name, out }: Order): Promise<Answer> {
  if (name === undefined || !NAME.test(name))
    throw new Error('whose identity is it? a name has the characters a-z, 0-9 and ._@-');
  const [identityFile, recipientFile] = [`backup-identity-${name}.txt`, `backup-recipient-${name}.txt`].map((file) =>
    resolve(out, file),
  ) as [string, string];
  await refuseOnServer(out);
  const identity = await makeIdentity(name);
  await writeNew(identityFile, formatIdentity(identity), 0o600);
  await writeNew(recipientFile, formatRecipient(identity.recipient), 0o644);
  return { value: { identityFile, recipientFile, recipient: identity.recipient.age } };
}

/** Nothing is lost with what lies in the folder of a server, but its backups would open there. */
async function refuseOnServer(out: string): Promise<void> {
  const { SALLYPORT_DATA: data } = readSettings(SETTINGS);
  if (!existsSync(data)) return;
  const way = relative(await realpath(data), await realpath(out));
  if (way === '' || (!way.startsWith('..') && !isAbsolute(way)))
    throw new Error('an identity does not belong into the folder of a server: name another one with --out');
}

/** Never overwrites: an identity that is gone takes its backups with it. */
async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(cause.code === 'EEXIST' ? `there is ${file} already: it stays` : `${file}: ${cause.code}`, {
      cause,
    });
  });
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function create(order: Order): Promise<Answer> {
  const config = readSettings(SETTINGS);
  const recipients = recipientsOf(order, config);
  if (recipients.length === 0)
    throw new BackupError(
      'ERR_BACKUP_RECIPIENT',
      'there is nobody to encrypt to: make keys with "sallyport backup keys new", and name the recipient file',
    );
  const targets = namedTargets(order, config);
  const keyring = openKeyring(config);
  if (!keyring) throw new Error(`there is no ${keyFileOf(config)}: backups are made on a Security host`);
  const spool = await openSpool(join(config.SALLYPORT_DATA, 'security', 'backup'));
  try {
    const sealed = await sealRealmOf(config, { keyring, recipients, spool });
    const { name, takenAt, parts, data } = sealed.manifest;
    const outcomes = await workAtEach(targets, (opened, { description }) => {
      step(`writing to ${description}`);
      return putExport(opened, sealed);
    });
    const failed = outcomes.some(({ fault }) => fault !== '');
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    return { failed, value: { name, takenAt, rows, bytes: data.bytes, targets: outcomes } };
  } finally {
    await spool.close();
  }
}

async function sealRealmOf(
  config: Config,
  {
    keyring,
    recipients,
    spool,
  }: {
    readonly keyring: Keyring;
    readonly recipients: readonly Recipient[];
    readonly spool: Awaited<ReturnType<typeof openSpool>>;
  },
): ReturnType<typeof makeExport> {
  const realm = config.SALLYPORT_REALM;
  step('looking for the database');
  const database = await reachDatabase(config);
  try {
    const store = new SqlStore(database.address, { poolSize: 1, replicated: database.external });
    // Who has another realm's key file would make what nobody can restore.
    await checkKeks(store.in(realm), keyring).finally(() => store.close());
    step(`reading realm ${realm}`);
    return await makeExport({
      ...{ address: database.address, replicated: database.external, realm, product: version },
      ...{ recipients: recipients.map(({ age }) => age), keys: keyring, spool },
    });
  } finally {
    await database.close();
  }
}

async function list(order: Order): Promise<Answer> {
  const config = readSettings(SETTINGS);
  const standing = standingOrder(order, config);
  const rows: object[] = [];
  const outcomes = await workAtEach(namedTargets(order, config), async (opened, { description }) => {
    const newest = (await listExports(opened, standing.realm)).slice(-order.limit).reverse();
    for (const folder of newest) {
      const details = await standingOf(opened, folder, standing);
      rows.push({ target: description, ...details.standing });
    }
  });
  const unreachable = outcomes.filter(({ fault }) => fault !== '');
  for (const outcome of unreachable) rows.push({ ...outcome, name: '', state: 'unreachable' });
  return { failed: unreachable.length > 0, value: rows };
}

async function show(order: Order): Promise<Answer> {
  const config = readSettings(SETTINGS);
  const standing = standingOrder(order, config);
  const found: (ExportDetails & { readonly target: string })[] = [];
  const outcomes = await workAtEach(namedTargets(order, config), async (opened, { description }) => {
    const folder = (await listExports(opened, standing.realm)).find(({ name }) => name === order.name);
    if (folder) found.push({ target: description, ...(await standingOf(opened, folder, standing)) });
  });
  assertOneWorked(outcomes);
  if (found.length === 0) throw new Error(`no target has a backup ${order.name ?? ''} of realm ${standing.realm}`);
  const value = found.map(({ target, standing: worth, found: read, receipt }) => ({
    ...{ target, ...worth, genuine: read?.genuine ?? false },
    ...{ manifest: read?.manifest ?? null, receipt: receipt ?? null },
  }));
  return { value };
}

async function verify(order: Order): Promise<Answer> {
  const identity = await identityOf(order);
  const config = readSettings(SETTINGS);
  const keyring = openKeyring(config);
  const verified: object[] = [];
  const outcomes = await workAtEach(namedTargets(order, config), async (opened) => {
    verified.push({ ...(await verifyAt(opened, { config, keyring, identity, order })), fault: '' });
  });
  assertOneWorked(outcomes);
  const failed = outcomes.filter(({ fault }) => fault !== '');
  return { failed: failed.length > 0, value: [...verified, ...failed] };
}

/** Ends with the verification that is under way at the first signal, and at once at the next. What it says are lines, for people and logs. */
async function watch(order: Order): Promise<Answer> {
  const identity = await identityOf(order);
  if (!(order.pauseMs >= 1_000)) throw new Error('--pause is a number of seconds, 1 at least');
  const config = readSettings(SETTINGS);
  const keyring = openKeyring(config);
  const enough = new AbortController();
  finishAtSignal(() => {
    enough.abort();
    void tell({ finishing: true });
  });
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  await watchExports(
    {
      ...{ realm: config.SALLYPORT_REALM, targets: namedTargets(order, config), recipient: identity.recipient },
      ...{ pauseMs: order.pauseMs, say },
      verify: (target, name) => verifyAt(target, { config, keyring, identity, order: { ...order, name } }),
    },
    enough.signal,
  );
  return { value: 'ended' };
}

async function identityOf({ identity }: Order): Promise<BackupIdentity> {
  if (identity === undefined) throw new BackupError('ERR_BACKUP_IDENTITY', 'which identity opens it? --identity FILE');
  return parseIdentity(readNamedFile(identity, IDENTITY_FILE));
}

async function verifyAt(
  target: BackupTarget,
  {
    config,
    keyring,
    identity,
    order,
  }: {
    readonly config: Config;
    readonly keyring: Keyring | undefined;
    readonly identity: BackupIdentity;
    readonly order: Order;
  },
): Promise<object> {
  const realm = config.SALLYPORT_REALM;
  const whole = (await listExports(target, realm)).filter((folder) => folder.whole);
  const name = order.name ?? whole.at(-1)?.name;
  if (name === undefined) throw new Error(`${target.description} has no backup of realm ${realm}`);
  const begun = performance.now();
  const { receipt, rows, manifest } = await verifyExport({
    ...{ target, realm, name, identity, keyring, product: version, onStep: step },
    openScratch: () => openScratchDatabase(order.scratch),
  });
  const took = { tookMs: Math.round(performance.now() - begun) };
  return {
    target: target.description,
    name,
    takenAt: manifest.takenAt,
    rows,
    macs: receipt.macs,
    verifiedAt: receipt.verifiedAt,
    ...took,
  };
}

function standingOrder(order: Order, config: Config): StandingOrder {
  return { realm: config.SALLYPORT_REALM, keys: openKeyring(config), recipients: recipientsOf(order, config) };
}

/** The keys of the realm, where they are at hand. */
function openKeyring(config: Config): Keyring | undefined {
  const file = keyFileOf(config);
  return existsSync(file) ? openKeksOfExports(serverCrypto(), file) : undefined;
}

function recipientsOf({ recipients }: Order, config: Config): readonly Recipient[] {
  const files = recipients.length > 0 ? recipients : config.SALLYPORT_BACKUP_RECIPIENTS;
  return files.flatMap((file) => parseRecipients(readNamedFile(file, RECIPIENT_FILE)));
}

function namedTargets({ targets }: Order, config: Config): readonly NamedTarget[] {
  const places = targets.length > 0 ? targets.map(targetNamed) : backupTargetsOf(config);
  if (places.length > 0) return places;
  throw new Error(
    'where do backups go? name a target: SALLYPORT_BACKUP_TARGETS, or --target FOLDER, sftp://… or s3://…',
  );
}

/** Progress for who looks; nothing for programs. */
function step(words: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${words} …`);
}

function endSteps(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}

async function carryOut(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [verb = '', name] = positionals;
  const work = VERBS[verb];
  if (values.help || !work) return void process.stdout.write(HELP);
  const { target: targets, recipient: recipients, limit, pause, identity, scratch, out } = values;
  const order = {
    name,
    targets,
    recipients,
    identity,
    scratch,
    out,
    limit: Number(limit),
    pauseMs: Number(pause) * 1_000,
  };
  const { value, failed = false } = await work(order).finally(endSteps);
  process.stdout.write(`${JSON.stringify(value)}\n`);
  if (failed) process.exitCode = 1;
}

endWithSallyport();
await carryOut().catch((error: unknown) => {
  process.stdout.write(`${JSON.stringify({ error: codedWords(error) })}\n`);
  process.exitCode = 1;
});
await endCommand();
