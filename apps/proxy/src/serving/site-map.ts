import { createPublicKey, hash, verify } from 'node:crypto';
import {
  decodeText,
  equalBytes,
  followRoots,
  MAX_SITE_MAP_BYTES,
  parseBase64Url,
  type RootJwk,
  rootThumbprint,
} from '@sallyport/channel';
import type { SiteMapAnswer } from '@sallyport/security-api';

const KEEP_MS = 3_000;
/** When a map that should be there and was not is asked for again, ms. */
const RETRY_MS = 500;

/** The site map that a Proxy hands out, with its `seq`. */
export interface KnownSiteMap {
  readonly seq: number;
  readonly answer: SiteMapAnswer;
}

/** What a site map is kept by. */
export interface SiteMapHost {
  readonly realm: string;
  /** Asks Security for the map of at least that `seq`. */
  ask(seq: number | undefined): Promise<SiteMapAnswer>;
  /** What an earlier run of this Proxy took last. */
  readonly kept?: string | undefined;
  /** A newer map was taken: devices are told, and it is kept for the next run. */
  changed(known: KnownSiteMap): void;
  /** Security gave a map that is none of this realm, too large or older; the last good one stays. */
  refused(error: unknown): void;
  /** Security gave no map; the last good one is handed out, if there is one. */
  failed(error: unknown): void;
}

/**
 * The realm's signed site map: checked before it takes the place of the last good one, which is handed out also while Security does not
 * answer. Asked for at most every three seconds, however many want it, and at once when Security has a newer one. One per process.
 */
export class SiteMapCache {
  readonly #host: SiteMapHost;
  #known: KnownSiteMap | undefined;
  #asked: { readonly at: number; readonly answer: Promise<SiteMapAnswer> } | undefined;
  #wanted = 0;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(host: SiteMapHost) {
    this.#host = host;
    const { kept } = host;
    if (kept !== undefined) this.#bringBack(kept);
  }

  /** `seq` of the map that is handed out; undefined before the first one. */
  get seq(): number | undefined {
    return this.#known?.seq;
  }

  /** @throws SecurityClientError when Security did not answer and there is no map of before; the next one asks again */
  get(): Promise<SiteMapAnswer> {
    const now = performance.now();
    if (this.#asked && now - this.#asked.at < KEEP_MS) return this.#asked.answer;
    const answer = this.#ask();
    this.#asked = { at: now, answer };
    answer.catch(() => {
      this.#asked = undefined;
    });
    return answer;
  }

  /** Security has a map with this `seq`: it is fetched if it is a newer one. */
  heardOf(seq: number): void {
    if (this.#closed || seq <= this.#wanted || seq <= (this.#known?.seq ?? -1)) return;
    this.#wanted = seq;
    void this.#fetch(seq);
  }

  /** Fetches nothing more by itself; who asks still gets the map, while the Proxy drains. */
  close(): void {
    clearTimeout(this.#retry);
    this.#closed = true;
  }

  async #fetch(seq: number): Promise<void> {
    this.#asked = undefined;
    await this.get().catch(() => undefined);
    if (this.#closed || (this.#known?.seq ?? -1) >= seq || this.#wanted !== seq) return;
    // Another node answered, from before; or none did.
    this.#retry = setTimeout(() => void this.#fetch(seq), RETRY_MS);
    this.#retry.unref();
  }

  async #ask(): Promise<SiteMapAnswer> {
    const known = this.#known;
    let answer: SiteMapAnswer;
    try {
      answer = await this.#host.ask(this.#wanted || undefined);
    } catch (error) {
      this.#host.failed(error);
      if (!known) throw error;
      return known.answer;
    }
    return this.#take(answer);
  }

  /** The map that is handed out from now on: the given one if it is good and newer, or else the last good one. */
  #take(answer: SiteMapAnswer): SiteMapAnswer {
    const known = this.#known;
    try {
      const { seq } = checkSiteMap(answer, { realm: this.#host.realm, rootKey: known?.answer.rootKey });
      if (known && seq < known.seq) throw new RangeError(`its seq ${seq} is below ${known.seq}`);
      if (known?.seq === seq) return known.answer;
      this.#known = { seq, answer };
      this.#host.changed(this.#known);
      return answer;
    } catch (error) {
      this.#host.refused(error);
      if (!known) throw error;
      return known.answer;
    }
  }

  #bringBack(text: string): void {
    try {
      const answer = JSON.parse(text) as SiteMapAnswer;
      const { seq } = checkSiteMap(answer, { realm: this.#host.realm, rootKey: undefined });
      this.#known = { seq, answer };
    } catch (error) {
      this.#host.refused(error);
    }
  }
}

/** Checks the signature by the realm's root key, the one that is known if there is one. @throws Error in words */
function checkSiteMap(
  { siteMap, rootKey }: SiteMapAnswer,
  known: { readonly realm: string; readonly rootKey: string | undefined },
): { readonly seq: number } {
  if (siteMap.length > MAX_SITE_MAP_BYTES) throw new RangeError(`it is longer than ${MAX_SITE_MAP_BYTES} bytes`);
  const [header = '', payload = '', signature = '', ...rest] = siteMap.split('.');
  const { alg, typ, jwk, roots = [] } = JSON.parse(decodeText(parseBase64Url(header)));
  const isMap =
    rest.length === 0 && alg === 'EdDSA' && typ === 'sallyport-site-map+jwt' && jwk.x === JSON.parse(rootKey).x;
  if (!isMap || !leadsTo(jwk, { realm: known.realm, root: JSON.parse(known.rootKey ?? rootKey), statements: roots }))
    throw new TypeError('it is not signed by the root key that is known');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, format: 'jwk' });
  if (!verify(null, Buffer.from(`${header}.${payload}`), key, parseBase64Url(signature)))
    throw new TypeError('its signature does not fit');
  const { realm, seq } = JSON.parse(decodeText(parseBase64Url(payload)));
  if (realm !== known.realm || !Number.isSafeInteger(seq)) throw new TypeError('it is of another realm');
  return { seq };
}

/** Whether the root key that is known signed it, or named whoever did, be it by others (SPEC.md, section 2). */
function leadsTo(
  jwk: RootJwk,
  known: { readonly realm: string; readonly root: RootJwk; readonly statements: readonly string[] },
): boolean {
  const { realm, root, statements } = known;
  if (jwk.x === root.x) return true;
  const crypto = { sha256: (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer') };
  const led = followRoots(crypto, rootThumbprint(crypto, root), { realm, statements });
  return equalBytes(led, rootThumbprint(crypto, jwk));
}
