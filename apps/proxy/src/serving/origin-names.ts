import { decodeText, parseBase64Url } from '@sallyport/channel';
import type { SiteMapAnswer } from '@sallyport/security-api';

/** The site map is looked at for other names this often, ms. */
const LOOK_MS = 60_000;

/** Host names under which devices reach the Proxies of a site, by the realm's site map: what a certificate for them must be for. */
export class OriginNames {
  readonly #site: () => string;
  readonly #ask: () => Promise<SiteMapAnswer>;
  #names: readonly string[] = [];

  /** `site` gives the one at which the Proxy is: it may move. */
  constructor(site: () => string, ask: () => Promise<SiteMapAnswer>) {
    this.#site = site;
    this.#ask = ask;
  }

  /** As far as they are known; empty before that. */
  get current(): readonly string[] {
    return this.#names;
  }

  /** Reads the map. It came from Security itself, so that its signature is of no use here. */
  async look(): Promise<void> {
    try {
      const [, payload = ''] = (await this.#ask()).siteMap.split('.');
      const { sites } = JSON.parse(decodeText(parseBase64Url(payload))) as SiteMapText;
      const origins = sites.find(({ name }) => name === this.#site())?.origins ?? [];
      const secure = origins.filter((origin) => /^(wss|https):/.test(origin));
      this.#names = [...new Set(secure.map((origin) => new URL(origin).hostname))];
    } catch {
      // Without Security the names of before are as good as any.
    }
  }

  /** Looks now and again; gives what ends that. */
  follow(): () => void {
    void this.look();
    const timer = setInterval(() => void this.look(), LOOK_MS);
    timer.unref();
    return () => clearInterval(timer);
  }
}

interface SiteMapText {
  readonly sites: readonly { readonly name: string; readonly origins: readonly string[] }[];
}
