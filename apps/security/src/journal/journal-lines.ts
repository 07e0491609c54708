import { createHash } from 'node:crypto';
import type { JournalEntry } from '@sallyport/access';

const CHECK_DIGITS = 16;

/**
 * Lines of a file of entries. Each is `check json` and starts with a line break, so that one that a power cut or a full disk
 * has torn spoils no other; who wrote it writes the same line again.
 *
 *     {"begin":"id"}   all entries of the epoch follow, from the first one on
 *     {"whole":"id"}   they are all here: what was lost or torn above their beginning is no loss any more
 *     {...}            an entry
 */
interface Section {
  readonly begin?: string;
  readonly whole?: string;
}

/** What a file holds. */
export interface EntryFile {
  readonly entries: readonly JournalEntry[];
  /** True when entries may be missing. */
  readonly damaged: boolean;
}

/** A line of the file. */
export function formatLine(content: JournalEntry | Section): string {
  const json = JSON.stringify(content);
  return `\n${checkOf(json)} ${json}\n`;
}

/** Reads a file. Without a section that is whole, or with a line behind its beginning that nobody can read, it is damaged. */
export function parseEntryFile(text: string): EntryFile {
  const lines = text.split('\n').filter(Boolean);
  const whole = lines.filter(isWhole);
  const isTorn = (line: string): boolean => !isWhole(line) && !whole.some((other) => other.startsWith(line));
  const contents = lines.map((line) => (isWhole(line) ? contentOf(line) : undefined));
  const begun = new Map<string, number>();
  let soundFrom = -1;
  contents.forEach((content, i) => {
    if (content?.begin !== undefined) begun.set(content.begin, i);
    if (content?.whole !== undefined) soundFrom = Math.max(soundFrom, begun.get(content.whole) ?? -1);
  });
  const unfinished = Math.max(-1, ...begun.values()) > soundFrom;
  const torn = lines.slice(soundFrom + 1).some(isTorn);
  const entries = contents.filter((content) => content !== undefined && isEntry(content)) as JournalEntry[];
  return { entries, damaged: soundFrom < 0 || unfinished || torn };
}

function isEntry(content: JournalEntry | Section): boolean {
  return 'index' in content;
}

function contentOf(line: string): Section & Partial<JournalEntry> {
  return JSON.parse(line.slice(CHECK_DIGITS + 1)) as Section & Partial<JournalEntry>;
}

function checkOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, CHECK_DIGITS);
}

function isWhole(line: string): boolean {
  return checkOf(line.slice(CHECK_DIGITS + 1)) === line.slice(0, CHECK_DIGITS);
}
