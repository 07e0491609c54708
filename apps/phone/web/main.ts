import type { AppContext } from '@sallyport/channel';
import {
  type Credentials,
  type Device,
  DeviceError,
  type DeviceErrorCode,
  messageOf,
  readLinkUser,
} from '@sallyport/device';
import { openDevice } from '@sallyport/device/browser';
import { element } from './dom.ts';
import { isAnswer, providerButtons, takeAnswer } from './provider.ts';
import { credentialsView, secondFactorView, welcomeView } from './sign-in-views.ts';
import { chatView, filesView, homeView, pagesView, type ViewPlace } from './views.ts';

const LABELS = {
  new: 'not enrolled',
  'signed-out': 'signed out',
  connecting: 'connecting…',
  connected: 'connected',
  silent: 'no answer yet…',
  offline: 'offline',
  suspended: 'gateway is waiting',
  closed: 'closed',
} as const;

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
const tabs = document.querySelector<HTMLElement>('#tabs')!;
const badge = document.querySelector<HTMLElement>('#state')!;
const device = await openDevice(context);
const place: ViewPlace = { device, root: view, showError };
let leaveView: (() => void) | undefined;

function showError(error: unknown): void {
  view.querySelector('.error')?.remove();
  const code = error instanceof DeviceError ? ` (${error.code})` : '';
  view.append(element('p', { class: 'error', role: 'alert' }, `${(error as Error).message}${code}`));
}

function showState({ state }: { state: Device['state'] }): void {
  badge.textContent = LABELS[state];
  badge.dataset['state'] = state;
  showOffline(state === 'offline');
}

/** Says beside whatever is shown that nothing can be reached, and that nobody need do anything. */
function showOffline(offline: boolean): void {
  document.querySelector('#offline')?.remove();
  if (!offline || tabs.hidden) return;
  const text = 'No gateway can be reached. You stay signed in, and it goes on by itself.';
  view.before(element('p', { id: 'offline', class: 'note', role: 'status' }, text));
}

/** Why the last session was over, as long as nobody has signed in again: also after a reload. */
function showEnd(code: DeviceErrorCode | undefined): void {
  if (code === undefined) return;
  view.querySelector('.error')?.remove();
  const text = `Your session is over: ${messageOf(code)} (${code}).`;
  view.append(element('p', { class: 'error', role: 'alert' }, text));
}

function open(tab: string, url?: string): void {
  leaveView?.();
  leaveView = undefined;
  tabs.hidden = false;
  for (const other of tabs.querySelectorAll('button')) {
    if (other.dataset['tab'] === tab) other.setAttribute('aria-current', 'page');
    else other.removeAttribute('aria-current');
  }
  if (tab === 'pages') pagesView(place, url);
  else if (tab === 'files') filesView(place);
  else if (tab === 'chat') leaveView = chatView(place);
  else homeView(place, (address) => open('pages', address));
  showState(device);
}

/** Enrols first when the page was opened by an enrolment link. */
async function signIn(credentials: Credentials, link: string): Promise<void> {
  if (device.state === 'new') {
    await device.enroll(link, credentials);
    // The code is used up; it need not stay in the history.
    history.replaceState(null, '', location.pathname);
    await device.login(undefined, { oneTimeCode });
  } else await device.login(credentials, { oneTimeCode });
  open('home');
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
  leaveView?.();
  leaveView = undefined;
  tabs.hidden = true;
  const fresh = device.state === 'new';
  const link = location.href;
  if (fresh && location.hash.length < 2) return view.replaceChildren(...welcomeView());
  const submit = (user: string, password: string): Promise<void> => signIn({ user, password }, link).catch(showAgain);
  view.replaceChildren(...credentialsView({ fresh, name: fresh ? linkUser(link) : device.user?.name }, submit));
  showEnd(device.lastEnd?.code);
  const form = view.querySelector('form')!;
  providerButtons(device, fresh ? link : undefined, showError).then((buttons) => {
    // By now another view may be there.
    if (form.isConnected && buttons.length > 0) form.after(element('div', { class: 'stack' }, ...buttons));
  }, showError);
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

device.on('state', showState);
device.on('state', ({ state }) => {
  if (state === 'signed-out' || state === 'new') signInView();
});
device.on('ended', ({ code }) => {
  signInView();
  showEnd(code);
});
device.on('resources', () => {
  if (document.querySelector('#resources')) open('home');
});
for (const tab of tabs.querySelectorAll('button'))
  tab.addEventListener('click', () => open(tab.dataset['tab'] ?? 'home'));
showState(device);
if (isAnswer(location)) comeBack().catch(showAgain);
else if (device.hasSession) resume();
else signInView();

/** With a session there is something to show, with or without a gateway. */
function resume(): void {
  open('home');
  device.resume().catch(() => undefined);
}
