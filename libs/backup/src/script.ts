import { BackupError } from './errors.ts';

/** One table as an export holds it: rows as the text of COPY, which ends each with a line feed and has none within. */
export interface ExportPart {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<Uint8Array>;
}

/** First line of what is inside: its format. */
const HEAD = '-- sallyport export 1';
/** Ends the rows of a part. A backslash of a row is always followed by another character. */
const END = '\\.\n';
const COPY = /^COPY "([a-z0-9_]+)" \(((?:"[a-z0-9_]+"(?:, )?)+)\) FROM stdin;$/;
/** Longer than any list of columns. */
const LONGEST_LINE = 16_384;

/**
 * Writes parts as a script of `COPY … FROM stdin` with their rows, which PostgreSQL's psql reads as well:
 *
 *     -- sallyport export 1
 *     COPY "groups" ("realm", "name") FROM stdin;
 *     main\tstaff
 *     \.
 */
export async function* writeScript(parts: AsyncIterable<ExportPart>): AsyncIterable<Uint8Array> {
  yield Buffer.from(`${HEAD}\n`);
  for await (const { name, columns, rows } of parts) {
    const line = `COPY "${name}" (${columns.map((column) => `"${column}"`).join(', ')}) FROM stdin;`;
    if (!COPY.test(line)) throw new TypeError(`${name} has names that no script holds`);
    yield Buffer.from(`${line}\n`);
    yield* rows;
    yield Buffer.from(END);
  }
}

/**
 * Reads parts as they come; the rows of each are to be read to their end before the next one.
 * @throws BackupError ERR_BACKUP_DAMAGED when it is anything else or ends early
 */
export async function* readScript(content: AsyncIterable<Uint8Array>): AsyncIterable<ExportPart> {
  const reader = new ScriptReader(content);
  try {
    if ((await reader.line()) !== HEAD) throw damaged('it does not begin as an export');
    for (let line = await reader.line(); line !== undefined; line = await reader.line()) {
      const [, name, columns] = COPY.exec(line) ?? [];
      if (!name || !columns) throw damaged('between its parts stands something else');
      yield { name, columns: columns.slice(1, -1).split('", "'), rows: reader.rows() };
      reader.assertBetween();
    }
  } finally {
    await reader.close();
  }
}

function damaged(why: string): BackupError {
  return new BackupError('ERR_BACKUP_DAMAGED', `the export is damaged: ${why}`);
}

/** Lines and rows of a script, with no more in memory than a piece of it. */
class ScriptReader {
  readonly #content: AsyncIterator<Uint8Array>;
  #bytes: Buffer = Buffer.alloc(0);
  #inRows = false;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#content = content[Symbol.asyncIterator]();
  }

  /** The next line without its end; undefined at the end of all. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#bytes.indexOf(0x0a);
      if (end >= 0) return this.#take(end + 1).toString('utf8', 0, end);
      if (this.#bytes.length > LONGEST_LINE) throw damaged('a line is too long');
      if (await this.#more()) continue;
      if (this.#bytes.length > 0) throw damaged('it ends in the middle');
      return undefined;
    }
  }

  /** The rows up to the line that ends them. */
  async *rows(): AsyncIterable<Uint8Array> {
    this.#inRows = true;
    while (this.#bytes.length < END.length && (await this.#more()));
    if (this.#bytes.indexOf(END) !== 0) yield* this.#rowsBefore(`\n${END}`);
    if (this.#bytes.indexOf(END) !== 0) throw damaged('it ends in the middle');
    this.#take(END.length);
    this.#inRows = false;
  }

  assertBetween(): void {
    if (this.#inRows) throw new TypeError('the rows of a part were not read to their end');
  }

  async close(): Promise<void> {
    await this.#content.return?.();
  }

  async *#rowsBefore(end: string): AsyncIterable<Uint8Array> {
    for (;;) {
      const at = this.#bytes.indexOf(end);
      if (at >= 0) return yield this.#take(at + 1);
      const certain = this.#bytes.length - end.length + 1;
      if (certain > 0) yield this.#take(certain);
      if (!(await this.#more())) throw damaged('it ends in the middle');
    }
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#content.next();
    if (done) return false;
    this.#bytes =
      this.#bytes.length === 0
        ? Buffer.from(value.buffer, value.byteOffset, value.length)
        : Buffer.concat([this.#bytes, value]);
    return true;
  }
}
