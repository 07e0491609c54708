import type { AppContext } from '@sallyport/channel';
import {
  attestInSoftware,
  type Credentials,
  type Device,
  DeviceError,
  messageOf,
  readLinkUser,
} from '@sallyport/device';
import { openDevice } from '@sallyport/device/browser';
import { appsView } from './apps-view.ts';
import { BrowserView } from './browser-view.ts';
import { element } from './dom.ts';
import { homeView } from './home-view.ts';
import { isAnswer, providerButtons, takeAnswer } from './provider.ts';
import { readPlace } from './shell/places.ts';
import { Shelf } from './shell/shelf.ts';
import { anewView, credentialsView, secondFactorView, welcomeView } from './sign-in-views.ts';
import { stateView } from './state-view.ts';

/** A browser knows little of the device it runs on; what it cannot know is left out. */
function context(): AppContext {
  return {
    id: 'sallyport.phone',
    version: '0.1.0',
    build: '1',
    signer: new Uint8Array(32),
    os: 'browser',
    osVersion: '1',
    osPatch: '',
    model: navigator.platform || 'browser',
    posture: {},
    sdk: 'sallyport-device/0.1.0',
  };
}

const view = document.querySelector<HTMLElement>('#view')!;
const device: Device = await openDevice(context, undefined, attestInSoftware);
const shelf = new Shelf();
const browser = new BrowserView({ device, shelf, showHome: home, showError });

function showError(error: unknown): void {
  view.querySelector('.error')?.remove();
  const code = error instanceof DeviceError ? ` (${error.code})` : '';
  const next = error instanceof DeviceError && error.code === 'HANDSHAKE_FAILED' ? ASK_FOR_LINK : '';
  view.append(element('p', { class: 'error', role: 'alert' }, `${(error as Error).message}${code}${next}`));
}

/** An enrolment that Security does not know any more ends by a new link alone. */
const ASK_FOR_LINK = '. Ask your administrator for a new enrolment link, and open it on this device.';

/** Why the last session was over, as long as nobody has signed in again: also after a reload. */
function showEnd(end: Device['lastEnd']): void {
  if (end === undefined) return;
  view.querySelector('.error')?.remove();
  const text = `Your session is over: ${messageOf(end.code, end.cause)} (${end.code}).`;
  view.append(element('p', { class: 'error', role: 'alert' }, text));
}

/** What the user may use. */
function home(): void {
  if (!device.hasSession) return signInView();
  browser.hide();
  homeView({ device, shelf, root: view, showError, open: (address) => browser.open(address), signOut, apps: openApps });
}

/** Home, as a place of its own in the history. */
function goHome(): void {
  if (device.hasSession && location.hash !== '') history.pushState(null, '', '/');
  home();
}

/** Where the apps are shown, in the address of this page. */
const APPS_HASH = '#apps';

function openApps(): void {
  history.pushState(null, '', `/${APPS_HASH}`);
  apps();
}

/** The apps that the user may have. */
function apps(): void {
  browser.hide();
  void appsView({ device, root: view, showError, home: goHome });
}

/** The page that the address names, or home. `link`: anybody on the internet may have written the address. */
function route({ link }: { link: boolean }): void {
  const place = location.pathname === '/' ? readPlace(location.hash) : undefined;
  if (place && device.hasSession) browser.show(place, { link }).catch(showError);
  else if (location.hash === APPS_HASH && device.hasSession) apps();
  else home();
}

async function signOut(): Promise<void> {
  await browser.forget();
  await device.logout();
}

/** Enrols first when the page was opened by an enrolment link. */
async function signIn(credentials: Credentials, link: string): Promise<void> {
  if (device.state === 'new') {
    await device.enroll(link, credentials);
    // The code is used up; it need not stay in the history.
    history.replaceState(null, '', '/');
    await device.login(undefined, { oneTimeCode });
  } else await device.login(credentials, { oneTimeCode });
  route({ link: true });
}

/** Asks for the code of the authenticator app, in place of the form that was there. */
function oneTimeCode({ tries }: { tries: number }): Promise<string> {
  return new Promise((resolve) => {
    const submit = (code: string): void => {
      view.replaceChildren(element('p', { class: 'wait' }, 'One moment…'));
      resolve(code);
    };
    view.replaceChildren(...secondFactorView(tries, submit));
  });
}

function signInView(): void {
  browser.hide();
  const fresh = device.state === 'new';
  const link = location.href;
  const isLink = location.hash.length > 1 && location.hash !== APPS_HASH && !readPlace(location.hash);
  if (fresh && !isLink) return view.replaceChildren(...welcomeView());
  const submit = (user: string, password: string): Promise<void> => signIn({ user, password }, link).catch(showAgain);
  view.replaceChildren(...credentialsView({ fresh, name: fresh ? linkUser(link) : device.user?.name }, submit));
  showEnd(device.lastEnd);
  if (!fresh && isLink) view.append(anewView(linkUser(link), enrolAnew, showError));
  const form = view.querySelector('form')!;
  providerButtons(device, fresh ? link : undefined, showError).then((buttons) => {
    // By now another view may be there.
    if (form.isConnected && buttons.length > 0) form.after(element('div', { class: 'stack' }, ...buttons));
  }, showError);
}

/** Forgets the enrolment of before: the link in the address makes a new one. */
async function enrolAnew(): Promise<void> {
  await browser.forget();
  await device.reset();
  signInView();
}

/** Whom the link is for, to be shown only: what is wrong with a link is said when it is used. */
function linkUser(link: string): string | undefined {
  try {
    return readLinkUser(link);
  } catch {
    return undefined;
  }
}

/** An error of a sign-in that may have gone through several views: back to the first one. */
function showAgain(error: unknown): void {
  if (!view.querySelector('#password')) signInView();
  showError(error);
}

/** The browser comes back from a provider: the sign-in that began before goes on. */
async function comeBack(): Promise<void> {
  const { credentials, link } = takeAnswer(location.href);
  history.replaceState(null, '', '/');
  await signIn(credentials, link);
}

stateView(device);
device.on('state', ({ state }) => {
  if (state === 'signed-out' || state === 'new') signInView();
});
device.on('ended', (end) => {
  // Who only has to sign in again finds the resources as they were.
  if (end.code !== 'SESSION_EXPIRED') void browser.forget();
  signInView();
  showEnd(end);
});
device.on('resources', () => {
  // Behind a page it is drawn when somebody goes there: a channel to another site takes nobody's page away.
  if (!view.hidden && document.querySelector('#resources')) home();
  if (!view.hidden && document.querySelector('#apps')) apps();
});
document.querySelector('#home')?.addEventListener('click', goHome);
window.addEventListener('popstate', () => {
  if (device.hasSession) route({ link: false });
});
if (isAnswer(location)) comeBack().catch(showAgain);
else if (device.hasSession) resume();
else signInView();
navigator.serviceWorker?.register('/shell-worker.js', { updateViaCache: 'none' }).catch(() => undefined);

/** With a session there is something to show, with or without a gateway. */
function resume(): void {
  device.resume().catch(() => undefined);
  const [loading] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  route({ link: loading?.type !== 'reload' });
}
