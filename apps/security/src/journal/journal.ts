import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  checkLogHolds,
  type EpochFence,
  type Journal,
  JournalWriter,
  NO_JOURNAL,
  openClaim,
  type RealmStore,
  readRealm,
  settleJournal,
} from '@sallyport/access';
import { LeaseClock, processClocks } from '@sallyport/lease';
import { type DatabaseAddress, openSqlJournal } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';
import type { Config } from '../config.ts';
import { parseSqlAddress } from '../stores/database.ts';
import { openFileJournal } from './journal-file.ts';

/** A journal, and whether it is a place of its own: then nodes give leases only while it says that they may. */
export interface OpenJournal {
  readonly journal: Journal;
  readonly authorityMs: number | undefined;
}

/** Opens the journal of the settings; undefined when there is none. @throws Error for a setting that is not valid. */
export async function openJournal(config: Config): Promise<OpenJournal | undefined> {
  const { SALLYPORT_JOURNAL: place, SALLYPORT_REALM: realm, SALLYPORT_DATA: data } = config;
  const external = config.SALLYPORT_DATABASE_HOSTS.length > 0;
  if (place === undefined && external) return undefined;
  const url = URL.parse(place ?? `file:${join(data, 'journal')}`);
  if (url?.protocol === 'file:')
    return { journal: await openFileJournal(join(decodeURIComponent(url.pathname), realm)), authorityMs: undefined };
  const address = sqlAddressOf(config, place ?? '');
  return { journal: await openSqlJournal(address, realm), authorityMs: config.SALLYPORT_JOURNAL_AUTHORITY_MS };
}

function sqlAddressOf(config: Config, place: string): DatabaseAddress {
  const password = config.SALLYPORT_JOURNAL_PASSWORD?.reveal() ?? '';
  const called = 'SALLYPORT_JOURNAL, unless it is file:/folder,';
  return parseSqlAddress(place, { password, ca: config.SALLYPORT_JOURNAL_CA, called });
}

/** The journal as a node keeps it. */
export interface NodeJournal {
  /** What the node says of it to others. */
  readonly identity: string;
  /** For how long nodes give leases without a look at it, ms: 0 where it is no place of its own. A hold is longer by that. */
  readonly authorityMs: number;
  /** Undefined where there is no journal. */
  readonly writer: JournalWriter | undefined;
  close(): Promise<void>;
}

/** The node that keeps a journal, and the log that it keeps. */
export interface JournalUse {
  readonly id: string;
  readonly store: RealmStore;
  readonly epoch: string;
  readonly fence: EpochFence;
  readonly log: Log;
}

/**
 * Opens the journal of a node that starts, and holds the process to it.
 * @throws JournalError ERR_JOURNAL_ELSEWHERE while a node with another one lives, ERR_JOURNAL_CLAIMED when it is of another epoch
 */
export async function openNodeJournal(config: Config, use: JournalUse): Promise<NodeJournal> {
  const opened = await openJournal(config);
  try {
    return await keepJournal(opened, use);
  } catch (error) {
    // The start may try again.
    await opened?.journal.close();
    throw error;
  }
}

async function keepJournal(opened: OpenJournal | undefined, use: JournalUse): Promise<NodeJournal> {
  const { id, store, fence } = use;
  const identity = opened?.journal.identity ?? NO_JOURNAL;
  const description = opened?.journal.description ?? '';
  const monotonicMs = (): number => performance.now();
  await settleJournal(store, { id, journal: identity, description, monotonicMs, sleep });
  fence.pinJournal(identity);
  const writer = opened && (await openJournalWriter(opened, use));
  return { identity, authorityMs: opened?.authorityMs ?? 0, writer, close: async () => opened?.journal.close() };
}

/**
 * The writer of a node: the journal is its epoch's, or the node does not start. What the log has and the journal has not is
 * written at once: a journal that was lost, or is new, would else hold nothing until the next revocation.
 * @throws JournalError ERR_JOURNAL_CLAIMED
 */
export async function openJournalWriter(
  { journal, authorityMs }: OpenJournal,
  { store, epoch, log }: Pick<JournalUse, 'store' | 'epoch' | 'log'>,
): Promise<JournalWriter> {
  const before = await openClaim(journal, await readRealm(store));
  if (before !== undefined)
    log.error({ before }, 'the journal had gone back to an epoch whose place this one has taken; it is claimed again');
  const content = await journal.read();
  const own = content.entries.filter((entry) => entry.epoch === epoch);
  await checkLogHolds(store, own);
  const written = new Set(own.map(({ index }) => index));
  let last = 0;
  while (written.has(last + 1)) last += 1;
  const clocks = processClocks();
  const { monotonicMs } = clocks;
  // Its generation rises when the clocks drift apart: this process may be a copy, of which the claim knows nothing.
  const lease = new LeaseClock(clocks);
  const drifts = (): number => lease.generation;
  const mended = (entries: number): void =>
    log.error({ entries }, 'the journal had lost entries, or could not be read; those of the log are written again');
  const damaged = content.damaged.includes(epoch);
  const parts = { store, journal, epoch, monotonicMs, authorityMs, drifts, mended };
  const writer = new JournalWriter({ ...parts, written: last, damaged });
  await writer.look();
  await writer.upTo((await readRealm(store)).head);
  return writer;
}
