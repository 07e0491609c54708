import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';

/**
 * What Security said last of something, in a file, for a later run: of its database, which this Proxy shows to each node that it comes
 * to, so that a database which went back is known; and the site map. Written beside the work, not synced: an older one is worth little
 * less.
 */
export class KeptText {
  readonly #file: string;
  readonly #trouble: (error: unknown) => void;
  #wanted: string | undefined;
  #writing = false;

  constructor(file: string, trouble: (error: unknown) => void) {
    this.#file = file;
    this.#trouble = trouble;
  }

  /** Undefined for none. */
  read(): string | undefined {
    return existsSync(this.#file) ? readFileSync(this.#file, 'utf8').trim() : undefined;
  }

  /** Keeps the newest; one write at a time. */
  keep(witness: string): void {
    this.#wanted = witness;
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      for (let next = this.#wanted; next !== undefined; next = this.#wanted) {
        this.#wanted = undefined;
        await writeFile(`${this.#file}.new`, `${next}\n`, { mode: 0o600 });
        await rename(`${this.#file}.new`, this.#file);
      }
    } catch (error) {
      this.#trouble(error);
    } finally {
      this.#writing = false;
    }
  }
}
