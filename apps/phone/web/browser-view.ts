import { findByAuthority } from '@sallyport/channel';
import { type Device, findField, type Resource } from '@sallyport/device';
import { askLeave, askLeaveForPage, askPassword, forgetStay } from './dialogs.ts';
import { CookieJars } from './shell/cookie-jars.ts';
import { sealedKeeping } from './shell/keeping.ts';
import { Passwords } from './shell/passwords.ts';
import { formatPlace, readAddress } from './shell/places.ts';
import { ResourceFrames, type ShownPlace } from './shell/resource-frames.ts';
import { ResourceGate } from './shell/resource-gate.ts';
import { ResourceOrigins } from './shell/resource-origins.ts';
import { type Shelf, titleOf } from './shell/shelf.ts';

/** What the browser needs of the page around it. */
export interface BrowserOptions {
  readonly device: Device;
  readonly shelf: Shelf;
  readonly showHome: () => void;
  readonly showError: (error: unknown) => void;
}

/** The largest icon that is kept, bytes. */
const MAX_ICON_BYTES = 16_384;

/** The browser of intranet pages: their frame, the bar above it, and the address that the window shows for them. */
export class BrowserView {
  readonly #options: BrowserOptions;
  readonly #frames: ResourceFrames;
  readonly #jars: CookieJars;
  readonly #passwords: Passwords;
  readonly #origins: ResourceOrigins;
  readonly #section = document.querySelector<HTMLElement>('#browser')!;
  readonly #progress = document.querySelector<HTMLElement>('#progress')!;
  #place: URL | undefined;

  constructor(options: BrowserOptions) {
    const { device } = options;
    const keeping = sealedKeeping();
    this.#options = options;
    this.#jars = new CookieJars(keeping);
    this.#passwords = new Passwords(keeping);
    this.#origins = new ResourceOrigins(resourcePattern());
    const go = (url: string): void => void this.#follow(url);
    const gate = new ResourceGate({
      device,
      jars: this.#jars,
      passwords: this.#passwords,
      // A page that is not shown can still ask, by its keeper: it neither moves the frame nor asks the user for anything.
      askPassword: async (question) => (this.#shows(question.authority) ? askPassword(question) : undefined),
      came: (site, authority) => this.#shows(authority) && this.#sayWay(site),
      leave: (url, authority) => this.#shows(authority) && go(url),
      expected: (url) => this.#frames.takeExpected(url),
      expect: (url, how) => this.#frames.expect(url, how),
    });
    const frames = { device, origins: this.#origins, jars: this.#jars, gate, go };
    const place = (shown: ShownPlace): void => this.#showPlace(shown);
    const loaded = (): void => {
      this.#progress.hidden = true;
    };
    this.#frames = new ResourceFrames(document.querySelector<HTMLElement>('#frames')!, { ...frames, place, loaded });
    document.querySelector('#back')!.addEventListener('click', () => history.back());
    document.querySelector('#reload')!.addEventListener('click', () => this.#reload());
  }

  /** Opens what somebody chose or typed, as a step in the history. @throws Error for what is no address of the intranet */
  async open(address: string): Promise<void> {
    const url = readAddress(address);
    if (!url) throw new Error(`${address.trim().slice(0, 100)} is no address`);
    if (!this.#isOurs(url)) return askLeave(url);
    history.pushState(null, '', formatPlace(url.href));
    await this.show(url);
  }

  /** Shows a page in a frame of its own, without a step in the history; `link` when it is not known who wrote its address. */
  async show(url: URL, { link } = { link: false }): Promise<void> {
    forgetStay();
    this.#present(url);
    if (this.#place?.href === url.href && this.#section.dataset['filled']) return;
    this.#frames.clear();
    await this.#take(url, link);
  }

  /** Takes the page away. */
  hide(): void {
    this.#frames.clear();
    this.#place = undefined;
    delete this.#section.dataset['filled'];
    this.#section.hidden = true;
    document.querySelector<HTMLElement>('#view')!.hidden = false;
    document.title = 'Sallyport';
  }

  /** Forgets everything that resources have left here: cookies, passwords, icons, and the origins that they had. */
  async forget(): Promise<void> {
    this.hide();
    this.#frames.forget();
    this.#origins.forget();
    this.#options.shelf.forgetIcons();
    await Promise.all([this.#jars.forget(), this.#passwords.forget()]);
  }

  /** A page leads elsewhere: to another resource, in the same frame, or out of the intranet, if the user wants. */
  async #follow(address: string): Promise<void> {
    const url = URL.parse(address);
    if (!url || !/^https?:$/.test(url.protocol)) return;
    if (!this.#isOurs(url)) return askLeaveForPage(url);
    this.#present(url);
    await this.#take(url, true);
  }

  async #take(url: URL, link: boolean): Promise<void> {
    this.#place = url;
    this.#section.dataset['filled'] = 'yes';
    try {
      await this.#frames.show(url, { link });
    } catch (error) {
      this.#options.showHome();
      this.#options.showError(error);
    }
  }

  #reload(): void {
    if (!this.#place) return;
    this.#progress.hidden = false;
    this.#frames.reload(this.#place).catch(this.#options.showError);
  }

  #present(url: URL): void {
    this.#section.hidden = false;
    this.#progress.hidden = false;
    document.querySelector<HTMLElement>('#view')!.hidden = true;
    this.#bar(url, '');
  }

  #showPlace({ url, title, icon, authority }: ShownPlace): void {
    this.#place = new URL(url);
    this.#progress.hidden = true;
    this.#bar(this.#place, title);
    const hash = formatPlace(url);
    if (location.hash !== hash) history.replaceState(null, '', hash);
    this.#keepIcon(authority, icon).catch(() => undefined);
  }

  /** By which site the page came, where there is more than one. */
  #sayWay(site: string): void {
    const { sites } = this.#options.device;
    const place = document.querySelector<HTMLElement>('#site')!;
    place.hidden = sites.length < 2;
    place.textContent = `by ${sites.find(({ name }) => name === site)?.title ?? site}`;
  }

  #bar(url: URL, title: string): void {
    const resource = this.#resourceOf(url);
    const shown = title || (resource ? titleOf(resource) : url.host);
    document.querySelector('#title')!.textContent = shown;
    document.querySelector('#address')!.textContent = url.host + url.pathname;
    document.title = `${shown} – Sallyport`;
  }

  async #keepIcon(authority: string, icon: string): Promise<void> {
    const { device, shelf } = this.#options;
    const url = URL.parse(icon);
    if (!url || url.host !== authority || shelf.iconOf(authority) !== undefined) return;
    const path = url.pathname + url.search;
    const cookie = await this.#jars.header(authority, path, 'strict');
    const fields = cookie === '' ? [] : [['cookie', cookie] as const];
    const scheme = url.protocol.slice(0, -1);
    const { status, fields: answered, body } = await device.request({ method: 'GET', scheme, authority, path, fields });
    const type = findField(answered, 'content-type') ?? '';
    if (status !== 200 || !/^image\//.test(type)) return body.cancel();
    const parts = await readUpTo(body, MAX_ICON_BYTES);
    if (parts) shelf.keepIcon(authority, await dataUrl(new Blob(parts, { type })));
  }

  #resourceOf(url: URL): Resource | undefined {
    const pages = this.#options.device.resources.filter(({ kind }) => kind === 'http');
    return findByAuthority(pages, url.host);
  }

  #shows(authority: string): boolean {
    return this.#place?.host === authority;
  }

  /** Before a gateway has said what there is, it decides itself. */
  #isOurs(url: URL): boolean {
    return this.#options.device.resources.length === 0 || this.#resourceOf(url) !== undefined;
  }
}

function resourcePattern(): string {
  return document.querySelector<HTMLMetaElement>('meta[name=sallyport-resources]')!.content;
}

/** A body that is no longer than so many bytes; undefined for one that is, of which no more is read. */
async function readUpTo(body: ReadableStream<Uint8Array>, max: number): Promise<BlobPart[] | undefined> {
  const parts: BlobPart[] = [];
  const reader = body.getReader();
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > max) {
      await reader.cancel();
      return undefined;
    }
    parts.push(Uint8Array.from(part.value));
  }
  return parts;
}

function dataUrl(content: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(content);
  });
}
