import { readFileSync } from 'node:fs';
import { CertificateError, certificatesOf } from '@sallyport/certificates';
import type { Config } from '../config.ts';
import type { ShownCertificate } from '../listeners.ts';

/** Files are read again this often, ms: the registry tells of days. */
const LOOK_MS = 60_000;

type Trusting = Pick<Config, 'SALLYPORT_DATABASE_CA' | 'SALLYPORT_REDIS_CA' | 'SALLYPORT_JOURNAL_CA'>;

/** The CAs by which this node trusts its database, Redis and the database of the journal: files that were read at its start. */
export class TrustedFiles {
  readonly #files: readonly (readonly [place: string, file: string])[];
  readonly #monotonicMs: () => number;
  #shown: readonly ShownCertificate[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(settings: Trusting, monotonicMs: () => number) {
    const { SALLYPORT_DATABASE_CA: database, SALLYPORT_REDIS_CA: redis, SALLYPORT_JOURNAL_CA: journal } = settings;
    const named = Object.entries({ database, redis, journal });
    this.#files = named.flatMap(([place, file]) => (file === undefined ? [] : [[`trusted/${place}`, file] as const]));
    this.#monotonicMs = monotonicMs;
  }

  /** What they hold now, for the registry; a file that cannot be read leaves what it held. */
  get shown(): readonly ShownCertificate[] {
    if (this.#monotonicMs() - this.#readAt < LOOK_MS) return this.#shown;
    this.#readAt = this.#monotonicMs();
    this.#shown = this.#files.flatMap(([place, file]) => this.#read(place, file));
    return this.#shown;
  }

  #read(place: string, file: string): ShownCertificate[] {
    try {
      const all = certificatesOf(readFileSync(file, 'utf8'));
      return all.map((one, at) => ({
        place: all.length === 1 ? place : `${place}/${at + 1}`,
        chain: one.toString(),
        renewedBy: 'files',
        trouble: undefined,
      }));
    } catch (error) {
      const why = error instanceof CertificateError ? error.message : `cannot be read: ${codeOf(error)}`;
      const before = this.#shown.filter((one) => one.place === place || one.place.startsWith(`${place}/`));
      return before.map((one) => ({ ...one, trouble: `${file}: ${why}` }));
    }
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'it failed';
}
