import { readFileSync, statSync } from 'node:fs';
import { parseAddress } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';
import { Reader, type Response } from 'mmdb-lib';

/** The file is looked at again this often, ms. */
const LOOK_MS = 60_000;
const COUNTRY = /^[A-Z]{2}$/;

/** What files say of an address: those of MaxMind and DB-IP in one way, those of ip-location-db in the other. Nothing of it was looked at. */
interface CountryRecord {
  readonly country?: { readonly iso_code?: unknown };
  readonly country_code?: unknown;
}

/**
 * Countries of addresses by a file of the operator (MaxMind DB). It is read again when it changes; one that cannot be read then leaves the one
 * before in place. One per process.
 */
export class Countries {
  readonly #file: string;
  readonly #log: Pick<Log, 'warn' | 'info'>;
  readonly #timer: NodeJS.Timeout;
  #reader: Reader<Response>;
  #changedAt: number;

  /** @throws Error that names the file when it is none of its kind */
  constructor(file: string, log: Pick<Log, 'warn' | 'info'>) {
    this.#file = file;
    this.#log = log;
    this.#changedAt = statSync(file).mtimeMs;
    this.#reader = readCountries(file);
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  /** ISO 3166-1 code of the country of an address; undefined where the file knows none. */
  of(address: string): string | undefined {
    // An IPv4-mapped address is the one of IPv4.
    const known = parseAddress(address);
    // In a file of IPv4 alone the first bits of any other address lead to a country, too.
    if (known === undefined || (known.includes(':') && this.#reader.metadata.ipVersion === 4)) return undefined;
    try {
      const found = this.#reader.get(known) as CountryRecord | null;
      const code = found?.country?.iso_code ?? found?.country_code;
      return typeof code === 'string' && COUNTRY.test(code) ? code : undefined;
    } catch {
      // What a damaged part of the file says is nowhere.
      return undefined;
    }
  }

  /** Reads the file again where it has changed. */
  look(): void {
    try {
      const { mtimeMs } = statSync(this.#file);
      if (mtimeMs === this.#changedAt) return;
      this.#reader = readCountries(this.#file);
      this.#changedAt = mtimeMs;
      this.#log.info({ file: this.#file }, 'countries of addresses are read anew');
    } catch (error) {
      this.#log.warn({ err: error }, 'countries of addresses could not be read again: the file of before counts');
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function readCountries(file: string): Reader<Response> {
  try {
    return new Reader<Response>(readFileSync(file));
  } catch (cause) {
    throw new Error(`${file} is no MaxMind DB file of countries: ${(cause as Error).message}`, { cause });
  }
}
