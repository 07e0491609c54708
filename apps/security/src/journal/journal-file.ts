import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  claimedByOther,
  epochsWithGaps,
  type Journal,
  type JournalContent,
  type JournalEntry,
  JournalError,
} from '@sallyport/access';
import { makeWhole } from '../stores/durable-file.ts';
import { EntryFiles } from './journal-entries.ts';

const IDENTITY = 'identity';
/** Another value with each start of the machine, the same in all of its containers (random(4)). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * A journal in a folder of this machine, for one realm and for any number of processes on it. Nothing is ever changed:
 *
 *     identity           random, made with the folder
 *     claim.0000000001   epoch, made by hard link: whoever makes number n + 1 has compared and set
 *     entries.<epoch>    lines of `check json`, appended and synced (journal-lines.ts); made before the claim is, and never by
 *                        who appends: where it is missing, or shorter than it was, entries are lost
 *
 * An entry counts as written when the claim was still its epoch's after the sync: a later claim then reads it.
 */
export async function openFileJournal(folder: string): Promise<Journal> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = new EntryFiles(folder);
  const claims = (): Promise<readonly string[]> => readClaims(folder);
  /** Everything is written within the claim: a later one reads it. */
  const within = async (epoch: string, write: () => Promise<void>): Promise<void> => {
    if ((await claims()).at(-1) !== epoch) throw claimedByOther();
    await write();
    if ((await claims()).at(-1) !== epoch) throw claimedByOther();
  };
  return {
    description: `in ${folder}`,
    identity: `${await reaching(() => readIdentity(folder))} on ${machineMark()}`,
    claimed: () => reaching(async () => (await claims()).at(-1)),
    claim: (from, epoch) =>
      reaching(async () => {
        const before = await claims();
        if (before.at(-1) !== from) return false;
        await files.begin(epoch);
        return makeClaim(folder, before.length + 1, epoch);
      }),
    append: (epoch, entries) => reaching(() => within(epoch, () => files.append(epoch, entries))),
    mend: (epoch, entries) => reaching(() => within(epoch, () => files.mend(epoch, entries))),
    holds: (epoch) => reaching(() => files.isAsKnown(epoch)),
    last: (epoch) => reaching(() => files.last(epoch)),
    read: () =>
      reaching(async () => {
        const epochs = await claims();
        const read = await Promise.all(epochs.map(async (epoch) => ({ epoch, ...(await files.read(epoch)) })));
        return contentOf(epochs, read);
      }),
    close: async () => undefined,
  };
}

function contentOf(
  epochs: readonly string[],
  read: readonly { epoch: string; entries: readonly JournalEntry[]; damaged: boolean }[],
): JournalContent {
  const entries = read.flatMap((one) => one.entries);
  const gone = [...read.filter(({ damaged }) => damaged).map(({ epoch }) => epoch), ...epochsWithGaps(entries)];
  return { epochs, entries, damaged: [...new Set(gone)] };
}

/** Whatever the file system says, nothing of it means that something is not there. */
async function reaching<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof JournalError) throw cause;
    throw new JournalError('ERR_JOURNAL_UNAVAILABLE', 'the folder of the journal cannot be used', { cause });
  }
}

/** What tells this machine from others at the moment, also from one that was cloned from it. */
function machineMark(): string {
  return existsSync(BOOT_ID) ? readFileSync(BOOT_ID, 'utf8').trim() : hostname();
}

async function readIdentity(folder: string): Promise<string> {
  await makeWhole(folder, IDENTITY, randomUUID());
  return readFile(join(folder, IDENTITY), 'utf8');
}

async function readClaims(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => /^claim\.\d{10}$/.test(name)).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

function makeClaim(folder: string, number: number, epoch: string): Promise<boolean> {
  return makeWhole(folder, `claim.${String(number).padStart(10, '0')}`, epoch);
}
