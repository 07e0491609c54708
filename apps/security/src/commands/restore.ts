import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type AccessContext,
  type Actor,
  beginNewEpoch,
  type HostChange,
  type JournalCopy,
  NODE_SILENCE_MS,
  type Restored,
  readRealm,
} from '@sallyport/access';
import {
  type BackupIdentity,
  type BackupTarget,
  EXPORT_OBJECTS,
  type FoundManifest,
  type Manifest,
  objectPath,
  openData,
} from '@sallyport/backup';
import { readJsonFile } from '@sallyport/settings';
import {
  asOnlyRestore,
  countOtherClients,
  findLivingNodes,
  findRealms,
  hasSchema,
  loadRealm,
  migrate,
  putSchemaAside,
  SqlStore,
} from '@sallyport/store-sql';
import type { Config } from '../config.ts';
import { readAllCopies } from '../journal/copy-objects.ts';
import { openJournal } from '../journal/journal.ts';
import { keyFileOf, wrapRestored } from '../keys/kek.ts';
import { openBareAccess } from '../stores/bare-access.ts';
import { closedAtSignals, findRunning, type OpenDatabase, openDatabase } from '../stores/database.ts';
import { readKnownLife } from '../stores/epoch-file.ts';
import { lifeFileOf } from '../stores/life.ts';
import { assertAlone, beginRestoring, endRestoring, placeOfBefore, readRestoring } from '../stores/restoring.ts';

/** Where an export is, and what opens it: all of it was checked before. */
export interface RestoreSource {
  readonly target: BackupTarget;
  /** Opens that target once more. */
  readonly open: () => Promise<BackupTarget>;
  readonly identity: BackupIdentity;
  readonly found: FoundManifest;
  /** The key file that the export was made under. */
  readonly keyFile: string;
}

/** How it is restored. */
export interface ExportOrder {
  readonly by: Actor;
  readonly journalIsLost: boolean;
  readonly logEndedAt: number | undefined;
  readonly operators: 'out' | 'stay';
  readonly hosts: readonly HostChange[];
  /** Asks whether something may be put aside. */
  confirm(question: string): Promise<boolean>;
  /** Hears of each step before it is taken. */
  step(words: string): void;
}

/** What was restored, and what is known of what is missing. */
export interface RestoreReport extends Restored {
  readonly manifest: Manifest;
  /** Up to when revocations are known, epoch ms: by the newest entry of journal and copies. */
  readonly journalUntil: number | undefined;
  /** What copies at targets said that could not be read. */
  readonly unreadable: readonly string[];
  /** Where what was there before is now; undefined when there was nothing. */
  readonly aside: string | undefined;
  readonly tookMs: number;
  /** This very restore was finished before, and only its mark was left. */
  readonly before: boolean;
}

/** Which export it is, wherever it lies. */
function markOf({ text }: FoundManifest): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Restores an export: into the database of the settings, or one of our own in the data folder. Each step is repeated by the next try
 * when this one is killed: until the rows are in there is no realm, then it is closed, and it opens last (`beginNewEpoch`).
 * @throws Error with what stands in the way; nothing was overwritten then
 */
export async function restore(config: Config, source: RestoreSource, order: ExportOrder): Promise<RestoreReport> {
  const startedAt = performance.now();
  const { manifest } = source.found;
  const mark = markOf(source.found);
  order.step('looking at what is here');
  assertAlone(config);
  assertKeyFile(config, source.keyFile);
  await assertNoServer(config);
  let database = isThere(config) ? await closedAtSignals(() => openDatabase(config)) : undefined;
  try {
    const names = database ? await realmsInTheWay(config, database, mark) : [];
    if (names.length > 0) await assertWanted(names, source, order);
    order.step('marking this folder');
    const isInTheWay = database !== undefined && names.length > 0;
    const aside = isInTheWay ? placeAside(config, database!.external) : asideBefore(config, mark);
    const first = await firstBefore(config, database, mark);
    beginRestoring(config, { name: manifest.name, mark, aside, first });
    placeKeyFile(config, source.keyFile);
    if (isInTheWay) await putAside(config, database!, { aside: aside!, order });
    if (isInTheWay || !database) {
      order.step('opening the database');
      database = await closedAtSignals(() => openDatabase(config));
    }
    const filling: Filling = { source, order, database, mark };
    const restored = await asOnlyRestore(database.address, () => fill(config, filling));
    order.step('taking the mark away');
    endRestoring(config);
    return {
      ...restored,
      manifest,
      aside: placeOfBefore({ aside, first }),
      tookMs: Math.round(performance.now() - startedAt),
    };
  } finally {
    await database?.close();
  }
}

/** Asks, and makes sure that what is to come is whole, before anything is put aside for it. */
async function assertWanted(names: readonly string[], source: RestoreSource, order: ExportOrder): Promise<void> {
  const { name } = source.found.manifest;
  if (!(await order.confirm(`There is realm ${names.join(', ')} here already. Put it aside and restore ${name}?`)))
    throw new Error(`realm ${names.join(', ')} is here already; nothing was changed`);
  order.step('checking the export from its beginning to its end');
  for await (const part of partsOf(source)) for await (const _ of part.rows);
}

function isThere(config: Config): boolean {
  return config.SALLYPORT_DATABASE_HOSTS.length > 0 || existsSync(join(config.SALLYPORT_DATA, 'database'));
}

/** A key file is never overwritten: it may be the only one that opens something else. */
function assertKeyFile(config: Config, keyFile: string): void {
  const own = keyFileOf(config);
  if (!existsSync(own) || own === keyFile) return;
  const keysOf = (file: string): string => JSON.stringify((readJsonFile(file) as { keys?: object }).keys);
  if (keysOf(own) === keysOf(keyFile)) return;
  throw new Error(`${own} is another key file than ${keyFile}: move it away first, it is never overwritten`);
}

function placeKeyFile(config: Config, keyFile: string): void {
  const own = keyFileOf(config);
  if (existsSync(own)) return;
  mkdirSync(dirname(own), { recursive: true, mode: 0o700 });
  copyFileSync(keyFile, `${own}.new`);
  renameSync(`${own}.new`, own);
}

/** The database of a server that lives is nobody's to take away. What a killed one left behind is stopped later. */
async function assertNoServer(config: Config): Promise<void> {
  const address = await findRunning(config);
  if (address && (await countOtherClients(address)) > 0)
    throw new Error(
      `a Security server runs on ${config.SALLYPORT_DATA}: stop it first, its database is never overwritten`,
    );
}

/**
 * Realms that are no part of this restore. What it left itself when it was killed is; rows of the same export that have lived since,
 * and were not put aside yet, are not.
 */
async function realmsInTheWay(
  config: Config,
  { address, external }: OpenDatabase,
  mark: string,
): Promise<readonly string[]> {
  const found = await findRealms(address);
  const left = readRestoring(config);
  const isOurs = found.mark === mark && left?.mark === mark && (await wasPutAside(address, left.aside));
  if (found.names.length === 0 || isOurs) return [];
  const living = external ? await findLivingNodes(address, NODE_SILENCE_MS) : [];
  if (living.length > 0)
    throw new Error(`node ${living.join(', ')} lives on this database: it is never overwritten; stop it first`);
  return found.names;
}

/** True as soon as nothing of before is in the place of the database. */
async function wasPutAside(address: OpenDatabase['address'], aside: string | undefined): Promise<boolean> {
  if (aside === undefined) return true;
  const place = placeOf(aside);
  return aside.startsWith('schema ') ? hasSchema(address, place) : existsSync(place);
}

/** Its path or name, without the word in front. */
function placeOf(aside: string): string {
  return aside.slice(aside.indexOf(' ') + 1);
}

/** Where what is here is put: a schema, or a folder beside the database. */
function placeAside(config: Config, external: boolean): string {
  const name = `before_restore_${new Date().toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}`;
  return external ? `schema ${name}` : `folder ${join(config.SALLYPORT_DATA, name)}`;
}

/** Where a try of this restore, which was killed, has put what was here. */
function asideBefore(config: Config, mark: string): string | undefined {
  const left = readRestoring(config);
  return left?.mark === mark ? left.aside : undefined;
}

/** What was here before restores of other exports that nobody finished: what those have put in its place is nobody's. */
async function firstBefore(
  config: Config,
  database: OpenDatabase | undefined,
  mark: string,
): Promise<string | undefined> {
  const left = readRestoring(config);
  if (!left || left.mark === mark) return left?.first;
  const gone = database ? await wasPutAside(database.address, left.aside) : true;
  return gone ? (left.first ?? left.aside ?? 'nothing') : left.first;
}

async function putAside(
  config: Config,
  database: OpenDatabase,
  { aside, order }: { readonly aside: string; readonly order: ExportOrder },
): Promise<void> {
  order.step(`putting what is here aside as ${aside}`);
  const place = placeOf(aside);
  if (database.external) await putSchemaAside(database.address, place);
  await database.close();
  if (!database.external) renameSync(join(config.SALLYPORT_DATA, 'database'), place);
}

interface Filling {
  readonly source: RestoreSource;
  readonly order: ExportOrder;
  readonly database: OpenDatabase;
  readonly mark: string;
}

type Filled = Omit<RestoreReport, 'manifest' | 'aside' | 'tookMs'>;

async function fill(config: Config, { source, order, database, mark }: Filling): Promise<Filled> {
  const { address, external } = database;
  const { manifest } = source.found;
  const { realm, migration } = manifest;
  const found = await findRealms(address);
  const opened = found.mark === mark && found.names.length > 0 && !found.closed;
  if (!opened) {
    order.step('loading the rows');
    await loadRealm(address, { realm, migration, mark }, partsOf(source));
  }
  await migrate(address);
  const server = new SqlStore(address, { poolSize: 2, replicated: external });
  try {
    const access = await openBareAccess(config, server, { restored: true });
    if (opened) return finishedBefore((await readRealm(access.store)).epoch);
    order.step('holding the realm against the manifest');
    await assertHeads(access, manifest);
    return await beginAnew(config, access, { source, order });
  } finally {
    await server.close();
  }
}

function finishedBefore(epoch: string): Filled {
  const none = { appended: [], rights: [], credentials: [], usersOut: 0, renamed: [], unreadable: [] };
  return { ...none, epoch, journalUntil: undefined, before: true };
}

async function* partsOf({ target, identity, found: { manifest } }: RestoreSource) {
  const path = objectPath(manifest.realm, manifest.name, EXPORT_OBJECTS.data);
  yield* openData(target.get(path), { manifest, identity });
}

/** What was loaded is what the manifest names; a try before this one may have begun its new epoch already. */
async function assertHeads({ store }: AccessContext, { epoch, log, name }: Manifest): Promise<void> {
  const realm = await readRealm(store);
  if (realm.supersedes.includes(epoch)) return;
  if (realm.epoch === epoch && realm.head === log.head && realm.headHash === log.hash) return;
  throw new Error(`what was loaded is not what the manifest of ${name} names: it stays closed`);
}

/** The target of the export, and those of the settings. */
function placesOf(config: Config, { target, open }: RestoreSource): Parameters<typeof readAllCopies>[0] {
  const others = config.SALLYPORT_BACKUP_TARGETS.filter(({ description }) => description !== target.description);
  return [{ description: target.description, open }, ...others];
}

async function beginAnew(
  config: Config,
  access: AccessContext,
  { source, order }: Pick<Filling, 'source' | 'order'>,
): Promise<Filled> {
  const {
    target,
    found: { manifest },
  } = source;
  const { by, journalIsLost: lost, logEndedAt, operators, hosts } = order;
  order.step('opening the journal');
  const opened = await openJournal(config);
  try {
    if (!opened && !lost)
      throw new Error(
        'there is no journal (SALLYPORT_JOURNAL): say --journal-is-lost, and all users stay out until enabled',
      );
    const unreadable: string[] = [];
    let newest: number | undefined;
    const readAll = async (): Promise<readonly JournalCopy[]> => {
      order.step('reading the copies of the journal');
      const read = await readAllCopies(placesOf(config, source), access.keyring, manifest.realm);
      unreadable.push(...read.unreadable);
      const entries = [
        ...read.copies.flatMap((copy) => copy.entries),
        ...((await opened?.journal.read())?.entries ?? []),
      ];
      newest = entries.reduce<number | undefined>((max, { at }) => Math.max(max ?? at, at), undefined);
      return read.copies;
    };
    const known = readKnownLife(lifeFileOf(config));
    const from = `export ${manifest.name} of ${manifest.takenAt}, ${target.description}`;
    order.step('beginning a new epoch');
    const restored = await beginNewEpoch({
      ...{ access, journal: opened?.journal, lost, readCopies: readAll, logEndedAt, operators, hosts, by, from },
      supersedes: known ? [known.epoch] : [],
      seen: known,
      backup: { epoch: manifest.epoch, head: manifest.log.head, headHash: manifest.log.hash },
    });
    await wrapRestored(access, by);
    return { ...restored, journalUntil: newest, unreadable, before: false };
  } finally {
    await opened?.journal.close();
  }
}
