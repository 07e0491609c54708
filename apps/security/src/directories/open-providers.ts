import { type AccessContext, type Bus, type DirectoryRow, listDirectories } from '@sallyport/access';
import { Places } from '@sallyport/places';
import type { AddressThrottle } from '../stores/address-throttle.ts';

/** Rows are read again after this, ms. */
const FRESH_MS = 1_000;
/** What a provider's business here may use at once on this node; more waits, and not for ever. */
const LIMITS = { places: 8, reserved: 4, maxWaiting: 1_000, maxWaitMs: 20_000 } as const;

/** What failed tries at providers are counted under. */
const FAILED = 'provider';

/** What reaching providers uses. */
export interface ProviderParts {
  readonly access: AccessContext;
  readonly addressThrottle: AddressThrottle;
  /** Tells that settings may have changed. */
  readonly bus: Bus;
  readonly monotonicMs: () => number;
}

/**
 * The OpenID providers of the realm as strangers reach them: by name, without a look into the database for each who asks, and
 * with a line for each of them, so that nobody's business holds up another's. One belongs to one node.
 */
export class OpenProviders {
  readonly #parts: ProviderParts;
  readonly #lines = new Map<string, Places>();
  #rows: readonly DirectoryRow[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #changes = 0;
  #reading: Promise<void> | undefined;

  constructor(parts: ProviderParts) {
    this.#parts = parts;
    // Whoever has changed a provider is answered by its settings of now.
    parts.bus.subscribe('entries', () => {
      this.#changes += 1;
      this.#readAt = Number.NEGATIVE_INFINITY;
    });
  }

  /** A provider, in use or not, as it was a second ago at most; undefined for whatever else has the name. */
  async find(name: string): Promise<DirectoryRow | undefined> {
    if (this.#parts.monotonicMs() - this.#readAt >= FRESH_MS) {
      this.#reading ??= this.#read();
      await this.#reading;
    }
    return this.#rows.find((row) => row.name === name);
  }

  /** Ms until an address whose tries have failed too often may do what costs the provider something; 0 at once. */
  blockedMs(address: string): Promise<number> {
    return this.#parts.addressThrottle.blockedMs(address, FAILED);
  }

  /** Counts a failed try. Whatever was right is counted for nobody. */
  async failed(address: string): Promise<void> {
    await this.#parts.addressThrottle.take(address, FAILED);
  }

  /** Does some work of a provider in its line. Who is not urgent waits behind those who are. @throws BusyError with nothing done */
  inLine<T>({ name }: DirectoryRow, work: () => Promise<T>, urgency: { readonly urgent: boolean }): Promise<T> {
    const line = this.#lines.get(name) ?? new Places(LIMITS);
    this.#lines.set(name, line);
    return line.run(work, urgency);
  }

  async #read(): Promise<void> {
    const changes = this.#changes;
    try {
      const rows = await listDirectories(this.#parts.access);
      this.#rows = rows.filter(({ kind }) => kind === 'oidc');
      if (changes === this.#changes) this.#readAt = this.#parts.monotonicMs();
    } finally {
      this.#reading = undefined;
    }
  }
}
