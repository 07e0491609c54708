import { closeSync, existsSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';

/** Where a database of our own lies: what a copy of its folder, or of its machine, does not share with it. */
export interface PlaceMark {
  /** Another one with each start of the machine, the same in all of its containers (random(4)). */
  readonly boot: string;
  /** Ids of the machine and of its hardware; empty where they cannot be read, or say nothing (containers). */
  readonly machine: string;
  readonly hardware: string;
  /** Of the folder with the database: number in its file system, and when it was made, ns; 0 where that is not kept. */
  readonly inode: string;
  readonly bornAt: string;
}

/** What somebody says of a database that was copied. */
export interface PlaceWords {
  /** It begins a new life where it lies now. */
  readonly isAdopted: boolean;
  /** All of it is from one moment. */
  readonly isWhole: boolean;
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const MACHINE_ID = '/etc/machine-id';
const HARDWARE_ID = '/sys/class/dmi/id/product_uuid';
/** What containers have: there the machine may be another one at each start, and the volume the same. */
const CONTAINER_FILES = ['/.dockerenv', '/run/.containerenv', '/var/run/secrets/kubernetes.io'];

const NEXT =
  'when that one is off for good: sallyport realm new-epoch --old-database-is-off --reason … (all sign in once more, nothing else is lost)';

/**
 * Why a database must not be used where it is found; undefined when it may. `isShutDown`: its server ended in order, so that its
 * files are from one moment.
 */
export function refusalOfPlace(
  { known, found, isShutDown }: { readonly known: PlaceMark; readonly found: PlaceMark; readonly isShutDown: boolean },
  { isAdopted, isWhole }: PlaceWords,
): string | undefined {
  const isCopy = isCopyOf(known, found);
  // A snapshot of a volume is of one moment, and keeps the numbers of its files.
  if (isCopy && !isShutDown && !isWhole)
    return `the database is a copy of files, made while its server ran: parts of it may be from different moments, and nothing in it shows that. Copy it while the server is stopped, take a snapshot of the volume, or an export (sallyport backup). If these files come from a snapshot: sallyport realm new-epoch --copy-is-whole`;
  if (isAdopted) return undefined;
  if (isCopy) return `the folder of the database is a copy of another one, and must not serve beside it; ${NEXT}`;
  if (isElsewhere(known, found))
    return `the database comes from another machine, or this machine is a copy of it, and must not serve beside it; ${NEXT}`;
  return undefined;
}

function isCopyOf(known: PlaceMark, found: PlaceMark): boolean {
  return known.inode !== found.inode && (known.bornAt === '0' || known.bornAt !== found.bornAt);
}

function isElsewhere(known: PlaceMark, found: PlaceMark): boolean {
  if (known.boot === found.boot) return false;
  return differs(known.machine, found.machine) || differs(known.hardware, found.hardware);
}

function differs(known: string, found: string): boolean {
  return known !== '' && found !== '' && known !== found;
}

/** Holds the place of a database that does not run against where it was last. @throws Error when it is a copy, in words */
export function checkPlace(folder: string, words: PlaceWords): void {
  const known = readMark(folder);
  const found = markOf(folder);
  if (!known || !found) return;
  const refusal = refusalOfPlace({ known, found, isShutDown: isShutDown(folder) }, words);
  if (refusal !== undefined) throw new Error(refusal);
  if (isCopyOf(known, found) || known.boot !== found.boot) forgetServer(folder);
}

/**
 * What is left of a server that ran elsewhere, or before the machine was started again: PostgreSQL would take any process of its
 * user that has that number now for its server.
 */
function forgetServer(folder: string): void {
  rmSync(join(folder, 'cluster', 'postmaster.pid'), { force: true });
  rmSync(join(folder, 'socket'), { recursive: true, force: true });
}

/** From now on the database is at home where it lies. */
export function markPlace(folder: string): void {
  const found = markOf(folder);
  if (!found || JSON.stringify(found) === JSON.stringify(readMark(folder))) return;
  replacePrivateFile(markFileOf(folder), `${JSON.stringify(found)}\n`);
}

function markFileOf(folder: string): string {
  return join(folder, 'place.json');
}

function readMark(folder: string): PlaceMark | undefined {
  const file = markFileOf(folder);
  return existsSync(file) ? (readJsonFile(file) as PlaceMark) : undefined;
}

function markOf(folder: string): PlaceMark | undefined {
  const cluster = statSync(join(folder, 'cluster'), { bigint: true, throwIfNoEntry: false });
  if (!cluster) return undefined;
  const isContained = CONTAINER_FILES.some((file) => existsSync(file));
  return {
    boot: read(BOOT_ID),
    machine: isContained ? '' : read(MACHINE_ID),
    hardware: isContained ? '' : read(HARDWARE_ID),
    inode: String(cluster.ino),
    bornAt: String(cluster.birthtimeNs),
  };
}

/** Empty for what cannot be read: only the system's administrator sees the id of the hardware. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Where `pg_control` keeps the state of the server (ControlFileData), and its value for one that ended in order. */
const STATE_AT = 16;
const SHUT_DOWN = 1;

function isShutDown(folder: string): boolean {
  const state = Buffer.alloc(4);
  const file = openSync(join(folder, 'cluster', 'global', 'pg_control'), 'r');
  try {
    readSync(file, state, 0, state.length, STATE_AT);
  } finally {
    closeSync(file);
  }
  return state.readInt32LE() === SHUT_DOWN;
}
