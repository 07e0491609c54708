import { DeviceError } from '../errors.ts';
import type { GatewayChannel } from '../gateway/channel.ts';

/** One site at which a search may end. */
export interface SearchedSite {
  readonly site: string;
  /** A channel there. Rejects when the device is offline, or the session is over. */
  usable(): Promise<GatewayChannel>;
}

/** That the gateway answers, and this site does not. */
export function siteUnavailable(site: string): DeviceError {
  return new DeviceError('SITE_UNAVAILABLE', `the site ${site} does not answer, and no other serves this`, { site });
}

/** How a search is made. */
export interface SearchTerms {
  /** The next site is tried beside one that gives nothing for so long, ms. */
  readonly staggerMs: number;
  /** After so long the site is called unavailable, if the gateway answers elsewhere, ms. */
  readonly patienceMs: number;
  /** Whether the gateway has answered at another site since the search began. */
  answersElsewhere(): boolean;
}

/** How often it is looked whether the gateway answers elsewhere, once patience is over, ms. */
const LOOK_MS = 200;
/** Codes that are no site's: the session or the device is what ends the search. Whatever else a Proxy says, another site may serve. */
const OF_NO_SITE: ReadonlySet<string | undefined> = new Set(['SIGNED_OUT', 'CLOSED', 'REVOKED', 'SESSION_EXPIRED']);

/**
 * Looks for a channel at one of some sites, the preferred ones first. A site that is down does not hold anybody up: the next one is
 * tried when it has failed, or beside it. One per request that finds no channel.
 */
export class SiteSearch {
  readonly #sites: readonly SearchedSite[];
  readonly #terms: SearchTerms;
  #begun = 0;
  #failed = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #settle: { resolve(channel: GatewayChannel): void; reject(error: unknown): void } | undefined;

  constructor(sites: readonly SearchedSite[], terms: SearchTerms) {
    this.#sites = sites;
    this.#terms = terms;
  }

  /** The first channel. @throws DeviceError SITE_UNAVAILABLE; OFFLINE and others when it is no single site that does not answer */
  run(): Promise<GatewayChannel> {
    return new Promise<GatewayChannel>((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#patience = setTimeout(() => this.#look(), this.#terms.patienceMs);
      this.#beginNext();
    }).finally(() => {
      this.#settle = undefined;
      clearTimeout(this.#timer);
      clearTimeout(this.#patience);
    });
  }

  /** A site has failed once more: whoever waits behind it goes on. */
  failed(site: string): void {
    if (this.#sites[this.#begun - 1]?.site === site) this.#beginNext();
  }

  #beginNext(): void {
    clearTimeout(this.#timer);
    const next = this.#sites[this.#begun];
    if (!next || !this.#settle) return;
    this.#begun += 1;
    if (this.#begun < this.#sites.length) this.#timer = setTimeout(() => this.#beginNext(), this.#terms.staggerMs);
    next.usable().then(
      (channel) => this.#settle?.resolve(channel),
      (error: unknown) => this.#rejected(error),
    );
  }

  #rejected(error: unknown): void {
    const isOver = !(error instanceof DeviceError) || OF_NO_SITE.has(error.code);
    this.#failed += 1;
    if (isOver) return this.#settle?.reject(error);
    this.#beginNext();
    if (this.#failed < this.#sites.length) return;
    this.#settle?.reject(this.#terms.answersElsewhere() ? siteUnavailable(this.#sites[0]!.site) : error);
  }

  #look(): void {
    if (this.#terms.answersElsewhere()) return this.#settle?.reject(siteUnavailable(this.#sites[0]!.site));
    this.#patience = setTimeout(() => this.#look(), LOOK_MS);
  }
}
