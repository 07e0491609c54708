import { type CatalogueApp, type Device, DeviceError, type ReleaseDocument } from '@sallyport/device';
import { button, element, letterIcon } from './dom.ts';
import { AppShelf, isNewer, noteIn, sizeWords, systemOf, systemWords } from './shell/app-shelf.ts';

/** What the view of apps shows and does. */
export interface AppsPlace {
  readonly device: Device;
  readonly root: HTMLElement;
  readonly showError: (error: unknown) => void;
  /** Back to what the user may use. */
  readonly home: () => unknown;
}

/** What files of packages are, by the system that installs them. */
const FILES: Readonly<Record<string, readonly [ending: string, type: string]>> = {
  android: ['apk', 'application/vnd.android.package-archive'],
  ios: ['ipa', 'application/octet-stream'],
  browser: ['zip', 'application/zip'],
};

/** Downloads by the id of their release: who leaves the view and comes back finds them going on. */
const downloads = new Map<string, Download>();

/** The apps that the user may have: what they are, what changed, and how to get them. */
export async function appsView(place: AppsPlace): Promise<void> {
  const { device, root, showError, home } = place;
  const list = element('ul', { class: 'stack', id: 'apps' }, element('li', { class: 'wait' }, 'Looking for apps…'));
  const back = element('div', { class: 'bar' }, button('Your resources', home, showError, 'quiet'));
  root.replaceChildren(element('h1', {}, 'Apps'), list, back);
  try {
    const found = releasesFor(await device.catalogue());
    if (!list.isConnected) return;
    const none = element('li', { class: 'wait' }, 'There is no app for you yet.');
    list.replaceChildren(...(found.length > 0 ? found.map((one) => cardOf(place, one)) : [none]));
  } catch (error) {
    if (!list.isConnected) return;
    list.replaceChildren();
    showError(error);
    back.prepend(button('Try again', () => appsView(place), showError, 'quiet'));
  }
}

/** An app with one of its releases. */
interface Offered {
  readonly title: string;
  readonly release: ReleaseDocument;
  /** By which channel it is offered, where it is not for everybody. */
  readonly channel: string | undefined;
}

/** On a phone those of its own system, and web apps; on a computer all. */
function releasesFor(apps: readonly CatalogueApp[]): Offered[] {
  const system = systemOf(navigator.userAgent);
  return apps.flatMap(({ title, releases, channels }) =>
    releases
      .filter(({ os }) => system === undefined || os === system || os === 'browser')
      .map((release) => ({ title, release, channel: channels[release.release] })),
  );
}

function cardOf(place: AppsPlace, { title, release, channel }: Offered): HTMLElement {
  const shelf = new AppShelf();
  const had = shelf.versionOf(release);
  const facts = [release.version, systemWords(release), sizeWords(release.bytes)].join(' · ');
  const name = element('strong', {}, title, ...(channel === undefined ? [] : [badgeOf(channel)]));
  const words = element('span', { class: 'grow' }, name, element('small', {}, facts));
  const doing = element('div', { class: 'doing' });
  const card = element(
    'li',
    { class: 'card column' },
    element('div', { class: 'card-link' }, letterIcon(title), words),
    ...whatChanged(title, release, had),
    doing,
  );
  const show = (): void => doing.replaceChildren(...stateOf({ place, title, release, shelf, show }));
  const download = downloads.get(release.release);
  if (download) download.changed = show;
  show();
  return card;
}

/** Says that not everybody gets this release, before its user takes it. */
function badgeOf(channel: string): HTMLElement {
  return element('span', { class: 'badge', title: `You get this early, on the channel ${channel}` }, channel);
}

function whatChanged(title: string, release: ReleaseDocument, had: string | undefined): HTMLElement[] {
  const note = noteIn(release.notes, navigator.languages);
  const asks = release.permissions.map((one) => one.replace(/^android\.permission\./, ''));
  if (note === undefined && asks.length === 0) return [];
  const summary = element('summary', { 'aria-label': `What changed in ${title}` }, 'What changed');
  const parts = [
    ...(note === undefined ? [] : [element('p', { lang: note.language }, note.text)]),
    ...(asks.length > 0 ? [element('p', {}, `It asks your phone for: ${asks.join(', ')}.`)] : []),
  ];
  const isNews = had !== undefined && isNewer(release.version, had);
  return [element('details', isNews ? { open: '' } : {}, summary, ...parts)];
}

/** What is done with a release now. */
interface Doing {
  readonly place: AppsPlace;
  readonly title: string;
  readonly release: ReleaseDocument;
  readonly shelf: AppShelf;
  readonly show: () => void;
}

function stateOf(doing: Doing): HTMLElement[] {
  const { place, title, release, shelf, show } = doing;
  const download = downloads.get(release.release);
  if (download?.isRunning) return progressOf(download, title);
  const had = shelf.versionOf(release);
  if (release.os === 'ios') return [installerButton(doing)];
  const begin = (): void => {
    const going = download ?? new Download(release);
    downloads.set(release.release, going);
    going.changed = show;
    void going.run(place.device).then(
      (pieces) => {
        downloads.delete(release.release);
        shelf.keep(release);
        save(release, pieces);
        show();
      },
      (error: unknown) => {
        show();
        if (!going.isStopped) place.showError(error);
      },
    );
  };
  const words = download
    ? `${sizeWords(download.kept)} of ${sizeWords(release.bytes)} are here.`
    : had !== undefined && `You have ${had}${had === release.version ? ': open the file to install it' : ''}.`;
  const verb = download ? 'Go on' : verbFor(release, had);
  const get = button(verb, begin, place.showError, had === release.version ? 'quiet' : '');
  get.setAttribute('aria-label', `${verb}: ${title}`);
  return [...(words ? [element('p', { role: 'status' }, words)] : []), get];
}

/** iOS installs by itself, from a page of the gateway that a link opens once. */
function installerButton({ place, title, release, shelf }: Doing): HTMLElement {
  const verb = verbFor(release, shelf.versionOf(release));
  const open = async (): Promise<void> => {
    const link = await place.device.installLink(release.app);
    shelf.keep(release);
    location.assign(link);
  };
  const get = button(verb, open, place.showError);
  get.setAttribute('aria-label', `${verb}: ${title}`);
  return get;
}

function verbFor({ version }: ReleaseDocument, had: string | undefined): string {
  if (had === undefined) return 'Install';
  return isNewer(version, had) ? `Update to ${version}` : 'Get it again';
}

function progressOf(download: Download, title: string): HTMLElement[] {
  const { kept, bytes } = download;
  const bar = element('progress', { max: String(bytes), value: String(kept), 'aria-label': `${title} is on its way` });
  const words = element('p', { role: 'status' }, `${sizeWords(kept)} of ${sizeWords(bytes)}`);
  return [
    bar,
    words,
    button(
      'Stop',
      () => download.stop(),
      () => undefined,
      'quiet',
    ),
  ];
}

/** One download: what came of it stays, and it goes on behind that. */
class Download {
  readonly #release: ReleaseDocument;
  readonly #pieces: Blob[] = [];
  #kept = 0;
  #running: AbortController | undefined;
  #isStopped = false;
  /** Hears of progress. */
  changed: () => void = () => undefined;

  constructor(release: ReleaseDocument) {
    this.#release = release;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** True when its user has stopped it. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  get kept(): number {
    return this.#kept;
  }

  get bytes(): number {
    return this.#release.bytes;
  }

  /** Gives the whole package. @throws DeviceError when it breaks off; it can be run again */
  async run(device: Device): Promise<readonly Blob[]> {
    const running = new AbortController();
    [this.#running, this.#isStopped] = [running, false];
    this.changed();
    try {
      for await (const piece of device.download(this.#release, { from: this.#kept, signal: running.signal })) {
        // A blob need not stay in memory.
        this.#pieces.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
        this.#kept += piece.length;
        this.changed();
      }
      return this.#pieces;
    } catch (error) {
      // What was signed may be another one by now: nothing of it is used.
      if (error instanceof DeviceError && error.code === 'UPDATE_CHANGED') [this.#kept, this.#pieces.length] = [0, 0];
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#running?.abort();
  }
}

/** Hands a package to the browser, which keeps it as a file: its system installs what its user opens. */
function save({ app, version, os }: ReleaseDocument, pieces: readonly Blob[]): void {
  const [ending, type] = FILES[os] ?? ['bin', 'application/octet-stream'];
  const url = URL.createObjectURL(new Blob([...pieces], { type }));
  element('a', { href: url, download: `${app}-${version}.${ending}` }).click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
