import { DOWNLOAD_PATH, type PageCookie, type PageFacts, type PageWord } from '../messages.ts';
import { installWebSocket } from './page-web-socket.ts';

/**
 * Our script in every document of a resource, before any of its own: what a service worker cannot give a page. It guards nothing: a
 * page that undoes it harms itself only.
 */
interface PageSettings extends PageFacts {
  readonly shell: string;
}

const settings = JSON.parse(document.currentScript?.dataset['sallyport'] ?? '{}') as PageSettings;
document.currentScript?.remove();
const ownHost = settings.address.slice(settings.address.indexOf('//') + 2);
const tell = (word: PageWord, ports: Transferable[] = []): void => window.top?.postMessage(word, settings.shell, ports);

installCookies();
installWebSocket(ownHost, tell);
installWays();
if (window.parent === window.top) {
  keepNameApart();
  tellPlace();
}
for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport'])
  Reflect.deleteProperty(globalThis, name);

/**
 * What a page writes into `window.name` stays in its window whatever is shown there next: only pages of the resource that wrote it
 * find it again.
 */
function keepNameApart(): void {
  const key = 'sallyport window.name';
  if (window.name !== (sessionStorage.getItem(key) ?? '')) window.name = '';
  window.addEventListener('pagehide', () => {
    if (window.name === '') sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, window.name);
  });
}

/** `document.cookie` as the page's own address would have it. */
function installCookies(): void {
  let cookies: readonly PageCookie[] = settings.cookies;
  navigator.serviceWorker?.addEventListener('message', ({ data }) => {
    if (data?.sallyport === 'cookies') cookies = data.cookies;
  });
  navigator.serviceWorker?.startMessages();
  const visible = (): readonly PageCookie[] => cookies.filter(({ path }) => pathFits(location.pathname, path));
  Object.defineProperty(Document.prototype, 'cookie', {
    configurable: true,
    enumerable: true,
    get: () =>
      visible()
        .map(({ name, value }) => (name === '' ? value : `${name}=${value}`))
        .join('; '),
    set: (text: unknown) => {
      cookies = withCookie(cookies, String(text));
      tell({ type: 'cookie', text: String(text), path: location.pathname });
    },
  });
}

function pathFits(path: string, cookiePath: string): boolean {
  return path === cookiePath || path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`);
}

/** What a script sees at once of a cookie that it has set; the shell's jar decides. */
function withCookie(cookies: readonly PageCookie[], text: string): readonly PageCookie[] {
  const [pair = '', ...attributes] = text.split(';').map((part) => part.trim());
  const at = pair.indexOf('=');
  const [name, value] = at < 0 ? ['', pair] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  const of = (wanted: string): string | undefined =>
    attributes.find((one) => one.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
  const given = of('path');
  const path = given?.startsWith('/') ? given : location.pathname.replace(/\/[^/]*$/, '') || '/';
  const maxAge = of('max-age');
  const over = maxAge === undefined ? Date.parse(of('expires') ?? '') <= Date.now() : Number(maxAge) <= 0;
  const others = cookies.filter((one) => one.name !== name || one.path !== path);
  return over ? others : [...others, { name, value, path }];
}

/** Where the page is, for the address bar of the shell. */
function tellPlace(): void {
  const say = (): void => {
    const icon = document.querySelector<HTMLLinkElement>('link[rel~=icon]')?.href ?? '';
    tell({ type: 'place', url: location.href, title: document.title, icon });
  };
  const { history } = window;
  for (const name of ['pushState', 'replaceState'] as const) {
    const original = history[name];
    history[name] = (...args) => {
      original.apply(history, args);
      say();
    };
  }
  for (const name of ['popstate', 'hashchange', 'pageshow', 'load']) window.addEventListener(name, say);
  document.addEventListener('DOMContentLoaded', () => {
    say();
    const observer = new MutationObserver(say);
    observer.observe(document.head, { childList: true, subtree: true, characterData: true });
  });
  say();
}

/** Where an address that a page wrote leads: within its own origin, or somewhere that only the shell can go. */
function routeOf(address: string | URL): { own: string } | { away: string } | undefined {
  const url = URL.parse(String(address), document.baseURI);
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  const path = url.pathname + url.search + url.hash;
  if (url.origin === location.origin) return { own: path };
  if (url.host === ownHost) return { own: path };
  return { away: url.href };
}

function follow(address: string | URL): void {
  const route = routeOf(address);
  if (route && 'own' in route) location.assign(route.own);
  else if (route) tell({ type: 'go', url: route.away });
}

/** Links, forms and scripts that lead to other places, into new windows, or to files. */
function installWays(): void {
  window.addEventListener('click', takeClick);
  window.addEventListener('submit', ({ target, submitter, defaultPrevented }) => {
    if (!defaultPrevented) fitForm(target as HTMLFormElement, submitter);
  });
  const { submit } = HTMLFormElement.prototype;
  HTMLFormElement.prototype.submit = function submitFitted() {
    fitForm(this, null);
    submit.call(this);
  };
  window.open = (address) => {
    if (address !== undefined && address !== '') follow(address);
    return null;
  };
  const navigation = (window as { navigation?: EventTarget }).navigation;
  navigation?.addEventListener('navigate', (event) => {
    const { destination, cancelable, formData } = event as Event & {
      destination: { url: string };
      formData: FormData | null;
    };
    if (!cancelable || formData || destination.url.startsWith(`${location.origin}/`)) return;
    if (!routeOf(destination.url)) return;
    event.preventDefault();
    follow(destination.url);
  });
}

function takeClick(event: MouseEvent): void {
  const link = (event.composedPath()[0] as Element | undefined)?.closest?.('a[href], area[href]') as HTMLAnchorElement;
  if (!link || event.defaultPrevented) return;
  const route = routeOf(link.href);
  if (!route) return;
  if (link.hasAttribute('download') && 'own' in route) {
    event.preventDefault();
    const query = new URLSearchParams({ path: route.own, name: link.download || nameOf(route.own) });
    location.assign(`${DOWNLOAD_PATH}?${query}`);
  } else if ('away' in route || link.origin !== location.origin || leavesWindow(link.target)) {
    event.preventDefault();
    follow(link.href);
  }
  // Where it stays, nothing is told to whoever pings.
  link.removeAttribute('ping');
}

function nameOf(path: string): string {
  return (
    path
      .replace(/[?#].*$/, '')
      .split('/')
      .at(-1) || 'download'
  );
}

function leavesWindow(target: string): boolean {
  return target !== '' && !/^_(self|parent|top)$/i.test(target) && !(target in window.frames);
}

/** A form that names the resource's own address is sent to its origin here, in this window. */
function fitForm(form: HTMLFormElement, submitter: HTMLElement | null): void {
  for (const element of [form, submitter]) {
    for (const name of ['action', 'formaction']) {
      const action = element?.getAttribute(name);
      const route = action ? routeOf(action) : undefined;
      if (route && 'own' in route) element?.setAttribute(name, route.own);
    }
    if (element && leavesWindow(element.getAttribute('target') ?? '')) element.removeAttribute('target');
  }
}
