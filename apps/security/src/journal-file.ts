import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { claimedByOther, type Journal, type JournalContent, type JournalEntry, JournalError } from '@sallyport/access';

const LOG = 'revocations.jsonl';
const CHECK_DIGITS = 16;

/**
 * A journal in a folder of this machine, for one realm and for any number of processes on it. Nothing is ever changed:
 *
 *     claim.0000000001   epoch, made by hard link: whoever makes number n + 1 has compared and set
 *     revocations.jsonl  lines of `check json`, appended and synced; a line starts with a line break, so that one that a
 *                        power cut or a full disk has torn spoils no other. Who wrote it writes the same line again: a torn
 *                        one is damage only while no whole line begins with it
 *
 * An entry counts as written when the claim was still its epoch's after the sync: a later claim then reads it.
 */
export async function openFileJournal(folder: string): Promise<Journal> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const claims = (): Promise<readonly string[]> => readClaims(folder);
  return {
    description: `in ${folder}`,
    claimed: () => reaching(async () => (await claims()).at(-1)),
    claim: (from, epoch) =>
      reaching(async () => {
        const before = await claims();
        return before.at(-1) === from && makeClaim(folder, before.length + 1, epoch);
      }),
    append: (epoch, entries) =>
      reaching(async () => {
        if ((await claims()).at(-1) !== epoch) throw claimedByOther();
        await appendSynced(folder, entries.map(formatLine).join(''));
        if ((await claims()).at(-1) !== epoch) throw claimedByOther();
      }),
    read: () => reaching(async () => ({ epochs: await claims(), ...(await readLines(folder)) })),
    close: async () => undefined,
  };
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

async function readClaims(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => /^claim\.\d{10}$/.test(name)).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

/** A link to a file with its content is made whole or not at all, and by one process only. */
async function makeClaim(folder: string, number: number, epoch: string): Promise<boolean> {
  const draft = join(folder, `draft.${randomUUID()}`);
  await writeSynced(draft, epoch, 'wx');
  try {
    await link(draft, join(folder, `claim.${String(number).padStart(10, '0')}`));
    await syncFolder(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

async function appendSynced(folder: string, text: string): Promise<void> {
  await writeSynced(join(folder, LOG), text, 'a');
  await syncFolder(folder);
}

async function writeSynced(file: string, text: string, flags: 'a' | 'wx'): Promise<void> {
  const handle = await open(file, flags, 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function checkOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, CHECK_DIGITS);
}

function formatLine(entry: JournalEntry): string {
  const json = JSON.stringify(entry);
  return `\n${checkOf(json)} ${json}\n`;
}

async function readLines(folder: string): Promise<Omit<JournalContent, 'epochs'>> {
  const text = await readFile(join(folder, LOG), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').filter(Boolean);
  const whole = lines.filter(isWhole);
  const damaged = lines.filter((line) => !isWhole(line)).filter((torn) => !whole.some((line) => line.startsWith(torn)));
  const entries = whole.map((line) => JSON.parse(line.slice(CHECK_DIGITS + 1)) as JournalEntry);
  return { entries, damaged: damaged.length };
}

function isWhole(line: string): boolean {
  return checkOf(line.slice(CHECK_DIGITS + 1)) === line.slice(0, CHECK_DIGITS);
}
