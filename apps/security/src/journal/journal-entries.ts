import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type JournalEntry, journalDamaged, lastOf, refuseOthers } from '@sallyport/access';
import { syncFolder } from '../stores/durable-file.ts';
import { type EntryFile, formatLine, parseEntryFile } from './journal-lines.ts';

/** How far a file was when this process last wrote or read it. */
interface KnownFile {
  readonly inode: number;
  readonly bytes: number;
}

/** Who appends never makes the file: one that is gone is not taken for an empty one. */
const APPEND = constants.O_WRONLY | constants.O_APPEND;
const MAKE = APPEND | constants.O_CREAT;
const MAKE_NEW = MAKE | constants.O_EXCL;

/**
 * Files of entries, one for each epoch, of one process: each only grows, and what this process has seen of it must still be
 * there. Others may append at the same time.
 */
export class EntryFiles {
  readonly #folder: string;
  #last: { readonly epoch: string; readonly bytes: number; readonly entry: JournalEntry | undefined } = {
    epoch: '',
    bytes: 0,
    entry: undefined,
  };
  readonly #known = new Map<string, KnownFile>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the file of an epoch that is about to claim the journal. */
  async begin(epoch: string): Promise<void> {
    const id = randomUUID();
    await this.#write(epoch, formatLine({ begin: id }) + formatLine({ whole: id }), MAKE_NEW).catch(unlessThere);
  }

  /** @throws JournalError ERR_JOURNAL_DAMAGED when the file is not the one that it was, ERR_JOURNAL_CLAIMED over other entries */
  async append(epoch: string, entries: readonly JournalEntry[]): Promise<void> {
    await this.#refuseOthers(epoch, entries);
    const text = entries.map(formatLine).join('');
    await this.#write(epoch, text, APPEND);
    const { bytes } = this.#known.get(epoch)!;
    const { entry } = this.#last;
    // Where nobody else has written the file need not be read again.
    if (this.#last.epoch === epoch && this.#last.bytes === bytes - Buffer.byteLength(text))
      this.#last = { epoch, bytes, entry: lastOf(entry ? [entry, ...entries] : entries) };
  }

  /** Writes all entries again; the file counts as whole with the last line. */
  async mend(epoch: string, entries: readonly JournalEntry[]): Promise<void> {
    await this.#refuseOthers(epoch, entries);
    this.#known.delete(epoch);
    const id = randomUUID();
    await this.#write(epoch, formatLine({ begin: id }), MAKE);
    await this.#write(epoch, entries.map(formatLine).join('') + formatLine({ whole: id }), APPEND);
  }

  /** True while the file is there and no shorter than it was. */
  async isAsKnown(epoch: string): Promise<boolean> {
    const found = await this.#find(epoch);
    return found !== undefined && !isBehind(found, this.#known.get(epoch));
  }

  /** The entry with the highest index. Read again only when the file has another length. */
  async last(epoch: string): Promise<JournalEntry | undefined> {
    const { bytes = 0 } = (await this.#find(epoch)) ?? {};
    if (this.#last.bytes !== bytes || this.#last.epoch !== epoch) {
      const text = bytes === 0 ? '' : await readFile(this.#fileOf(epoch), 'utf8');
      this.#last = { epoch, bytes, entry: lastOf(parseEntryFile(text).entries) };
    }
    return this.#last.entry;
  }

  async read(epoch: string): Promise<EntryFile> {
    const found = await this.#find(epoch);
    if (!found) return { entries: [], damaged: true };
    const text = await readFile(this.#fileOf(epoch), 'utf8');
    this.#known.set(epoch, found);
    return parseEntryFile(text);
  }

  async #refuseOthers(epoch: string, entries: readonly JournalEntry[]): Promise<void> {
    const last = await this.last(epoch);
    if (!last || (entries[0]?.index ?? 0) > last.index) return;
    refuseOthers(parseEntryFile(await readFile(this.#fileOf(epoch), 'utf8')).entries, entries);
  }

  async #write(epoch: string, text: string, flags: number): Promise<void> {
    const handle = await open(this.#fileOf(epoch), flags, 0o600).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? journalDamaged() : error;
    });
    try {
      const { ino: inode, size } = await handle.stat();
      if (isBehind({ inode, bytes: size }, this.#known.get(epoch))) throw journalDamaged();
      await handle.writeFile(text);
      await handle.datasync();
      this.#known.set(epoch, { inode, bytes: size + Buffer.byteLength(text) });
    } finally {
      await handle.close();
    }
    await syncFolder(this.#folder);
    // What was written into a file that is not there any more is nowhere.
    if (!(await this.isAsKnown(epoch))) throw journalDamaged();
  }

  async #find(epoch: string): Promise<KnownFile | undefined> {
    const found = await stat(this.#fileOf(epoch)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return found && { inode: found.ino, bytes: found.size };
  }

  #fileOf(epoch: string): string {
    if (!/^[0-9a-z]+$/.test(epoch)) throw new Error('a claim of the journal is not readable');
    return join(this.#folder, `entries.${epoch}`);
  }
}

/** Another node of the same epoch was first. */
function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

function isBehind(found: KnownFile, known: KnownFile | undefined): boolean {
  return known !== undefined && (found.inode !== known.inode || found.bytes < known.bytes);
}
