import type { Device } from '@sallyport/device';
import { element } from '../dom.ts';
import { KEEPER_PATH, type PageWord } from '../messages.ts';
import type { CookieJars } from './cookie-jars.ts';
import { openPageSocket } from './page-sockets.ts';
import type { ResourceGate, ShownResource } from './resource-gate.ts';
import type { ResourceOrigins } from './resource-origins.ts';

/** Where the page in the frame is: at its resource's own address. */
export interface ShownPlace {
  readonly url: string;
  readonly authority: string;
  readonly title: string;
  /** Address of its icon, empty when it names none. */
  readonly icon: string;
}

/** What the frames need, and whom they tell. */
export interface FrameOptions {
  readonly device: Device;
  readonly origins: ResourceOrigins;
  readonly jars: CookieJars;
  readonly gate: ResourceGate;
  readonly place: (place: ShownPlace) => void;
  /** Something is shown, whether or not it says where it is. */
  readonly loaded: () => void;
  /** A page wants to go to another resource, or out of the intranet. */
  readonly go: (url: string) => void;
}

/** Origins whose keepers stay; the one that was not used for the longest time goes first. */
const MAX_KEEPERS = 12;
/** What a page may do in the frame; what is not named here it may not: move the window, open others, point elsewhere. */
const SANDBOX = 'allow-scripts allow-same-origin allow-forms allow-modals allow-downloads';
/** Pages of a resource can reach into its keeper, so it may do even less. */
const KEEPER_SANDBOX = 'allow-scripts allow-same-origin';
const FEATURES = 'clipboard-write; fullscreen';

interface Keeper {
  readonly frame: HTMLIFrameElement;
  readonly ready: Promise<void>;
  readonly settle: (word: { type?: unknown; text?: unknown }) => void;
}

/**
 * The frame in which pages of resources are shown, and hidden ones that keep the service worker of each origin in touch with the
 * shell. A message counts for the resource whose origin the browser names as its sender, and for no other.
 */
export class ResourceFrames {
  readonly #options: FrameOptions;
  readonly #root: HTMLElement;
  readonly #keepers = new Map<string, Keeper>();
  readonly #shown = new Map<string, ShownResource>();
  readonly #expected = new Map<string, { link: boolean }>();
  #frame: HTMLIFrameElement | undefined;

  constructor(root: HTMLElement, options: FrameOptions) {
    this.#root = root;
    this.#options = options;
    window.addEventListener('message', (event) => this.#hear(event));
  }

  /** Takes the frame to an address of a resource; `link` when a page of another resource led there. */
  async show(url: URL, { link }: { link: boolean }): Promise<void> {
    const shown = await this.#resource(url);
    await this.#keeper(shown.origin).ready;
    const target = shown.origin + url.pathname + url.search + url.hash;
    this.expect(target, { link });
    if (this.#frame?.contentWindow) this.#frame.contentWindow.location.href = target;
    else this.#frame = this.#addPage(target);
  }

  /** Shows an address anew, without a step in the history. */
  async reload(url: URL): Promise<void> {
    this.clear();
    await this.show(url, { link: false });
  }

  /** Takes the page away. */
  clear(): void {
    this.#frame?.remove();
    this.#frame = undefined;
  }

  /** Takes everything away: nobody is signed in any more. */
  forget(): void {
    this.clear();
    for (const { frame } of this.#keepers.values()) frame.remove();
    this.#keepers.clear();
    this.#shown.clear();
    this.#expected.clear();
  }

  /** Notes that the frame comes to an address because the shell took it there. */
  expect(url: string, how: { readonly link: boolean }): void {
    this.#expected.set(withoutHash(url), { link: how.link });
  }

  /** How, once, when the shell takes its frame to this address. */
  takeExpected(url: string): { readonly link: boolean } | undefined {
    const key = withoutHash(url);
    const found = this.#expected.get(key);
    this.#expected.delete(key);
    return found;
  }

  /** The address that one at a resource's origin here stands for. */
  realUrl(url: string): URL | undefined {
    const parsed = URL.parse(url);
    if (!parsed) return undefined;
    const shown = this.#shown.get(parsed.origin);
    if (!shown) return parsed;
    return new URL(`${shown.scheme}://${shown.authority}${parsed.pathname}${parsed.search}${parsed.hash}`);
  }

  async #resource(url: URL): Promise<ShownResource> {
    const origin = await this.#options.origins.originOf(url.host);
    const scheme = url.protocol === 'https:' ? 'https' : 'http';
    const known = this.#shown.get(origin);
    if (known) {
      known.scheme = scheme;
      return known;
    }
    const shown: ShownResource = { authority: url.host, origin, scheme };
    this.#shown.set(origin, shown);
    return shown;
  }

  #keeper(origin: string): Keeper {
    const known = this.#keepers.get(origin);
    this.#keepers.delete(origin);
    const keeper = known ?? this.#addKeeper(origin);
    this.#keepers.set(origin, keeper);
    for (const [oldest, { frame }] of this.#keepers) {
      if (this.#keepers.size <= MAX_KEEPERS) break;
      frame.remove();
      this.#keepers.delete(oldest);
    }
    return keeper;
  }

  #addKeeper(origin: string): Keeper {
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    const hidden = { hidden: '', title: 'Keeper', 'aria-hidden': 'true', sandbox: KEEPER_SANDBOX };
    const frame = this.#addFrame({ ...hidden, src: origin + KEEPER_PATH });
    const settle: Keeper['settle'] = ({ type, text }) => {
      if (type === 'ready') return resolve();
      this.#keepers.delete(origin);
      frame.remove();
      reject(new Error(`this browser cannot show pages here: ${String(text).slice(0, 200)}`));
    };
    return { frame, ready, settle };
  }

  #addPage(src: string): HTMLIFrameElement {
    const frame = this.#addFrame({ id: 'page', title: 'Page', sandbox: SANDBOX, allow: FEATURES, src });
    frame.addEventListener('load', this.#options.loaded);
    return frame;
  }

  #addFrame(attributes: Readonly<Record<string, string>>): HTMLIFrameElement {
    const frame = element('iframe', attributes);
    this.#root.append(frame);
    return frame;
  }

  /** `data` may be anything that a page of a resource made up. */
  #hear({ origin, source, data, ports }: MessageEvent): void {
    const shown = this.#shown.get(origin);
    if (!shown || typeof data !== 'object' || data === null) return;
    const { type } = data as { type?: unknown };
    const keeper = this.#keepers.get(origin);
    if (type === 'request' && ports[0]) void this.#options.gate.answer(shown, data, ports[0]);
    else if (source === keeper?.frame.contentWindow) keeper?.settle(data);
    else if (this.#isInFrame(source)) this.#hearPage(shown, { word: data as PageWord, source, port: ports[0] });
  }

  #isInFrame(source: MessageEventSource | null): boolean {
    const top = this.#frame?.contentWindow;
    for (let at = source as Window | null; at && at !== window; at = at.parent) if (at === top) return true;
    return false;
  }

  #hearPage(
    shown: ShownResource,
    { word, source, port }: { word: PageWord; source: MessageEventSource | null; port: MessagePort | undefined },
  ): void {
    const { authority } = shown;
    if (word.type === 'place' && source === this.#frame?.contentWindow) {
      const url = this.realUrl(String(word.url));
      const icon = this.realUrl(String(word.icon))?.href ?? '';
      if (url?.host === authority)
        this.#options.place({ url: url.href, authority, title: String(word.title).slice(0, 200), icon });
    } else if (word.type === 'go') {
      const url = this.realUrl(String(word.url));
      if (url) this.#options.go(url.href);
    } else if (word.type === 'cookie') {
      const path = String(word.path);
      if (path.startsWith('/')) void this.#options.jars.take(authority, String(word.text), { path, http: false });
    } else if (word.type === 'web-socket' && port) {
      const wanted = { url: String(word.url), protocols: [word.protocols].flat().map(String).slice(0, 32) };
      void openPageSocket({ device: this.#options.device, jars: this.#options.jars, shown }, wanted, port);
    }
  }
}

function withoutHash(url: string): string {
  return url.replace(/#.*$/, '');
}
