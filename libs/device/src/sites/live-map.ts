import type { CryptoProvider, LinkPin } from '@sallyport/channel';
import type { DeviceRecord } from '../kept/record.ts';
import { originsOf } from './places.ts';
import { readPublishedSiteMap, type SiteMap, takeSiteMap, verifySiteMap } from './site-map.ts';

/** What keeping a site map live needs of its device. */
export interface LiveMapHost {
  readonly crypto: CryptoProvider;
  readonly pin: LinkPin | undefined;
  record(): DeviceRecord | undefined;
  /** Changes what is stored, durably. */
  change(change: (stored: DeviceRecord) => DeviceRecord): Promise<void>;
  /** Proxies may be elsewhere now. */
  changed(): void;
  /** Somebody gave a map that is none of this realm, or is too large. */
  refused(error: unknown): void;
}

/** Pauses between looks for a newer map while nobody can be reached, ms: each twice as long as the one before. */
const LOOK_MIN_MS = 2_000;
const LOOK_MAX_MS = 120_000;

/**
 * The realm's site map, while a device runs: taken when a Proxy sends one, looked for where Proxies are known to be when they do not
 * answer. It is signed: who brings it does not matter, and one that is foreign, too large or older changes nothing.
 */
export class LiveMap {
  readonly #host: LiveMapHost;
  #looking = false;
  #pauseMs = LOOK_MIN_MS;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(host: LiveMapHost) {
    this.#host = host;
  }

  /** Takes what a Proxy has sent, if it is newer. Never rejects. */
  async take(text: string): Promise<void> {
    const record = this.#host.record();
    if (!record) return;
    try {
      await this.#keep(verifySiteMap(this.#host.crypto, text, record));
    } catch (error) {
      this.#host.refused(error);
    }
  }

  /** A Proxy has a map with this `seq`: it is read, if it is a newer one. */
  heardOf(seq: number): void {
    this.#pauseMs = LOOK_MIN_MS;
    if (seq > (this.#host.record()?.siteMapSeq ?? -1)) void this.#look();
  }

  /** Nobody answers: perhaps the Proxies have moved. Looks again for a newer map, now and then. */
  lost(): void {
    if (performance.now() - this.#lookedAt < this.#pauseMs) return;
    this.#pauseMs = Math.min(2 * this.#pauseMs, LOOK_MAX_MS);
    void this.#look();
  }

  async #look(): Promise<void> {
    const record = this.#host.record();
    if (this.#looking || !record) return;
    this.#looking = true;
    this.#lookedAt = performance.now();
    const seq = (record.siteMapSeq ?? -1) + 1;
    const of = { ...record, origins: originsOf(record, this.#host.pin ?? record.pin), seq };
    const map = await readPublishedSiteMap(this.#host.crypto, of).catch(() => undefined);
    if (map) await this.#keep(map).catch((error: unknown) => this.#host.refused(error));
    this.#looking = false;
  }

  async #keep(map: SiteMap): Promise<void> {
    let isNew = false;
    await this.#host.change((stored) => {
      const changed = takeSiteMap(stored, map);
      isNew = changed !== stored;
      return changed;
    });
    if (isNew) this.#host.changed();
  }
}
