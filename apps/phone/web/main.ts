import type { AppContext } from '@sallyport/channel';
import { type Device, DeviceError } from '@sallyport/device';
import { openDevice } from '@sallyport/device/browser';
import { element, field } from './dom.ts';
import { chatView, filesView, homeView, pagesView, type ViewPlace } from './views.ts';

const LABELS = {
  new: 'not enrolled',
  'signed-out': 'signed out',
  connecting: 'connecting…',
  connected: 'connected',
  suspended: 'waiting',
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
}

/** Enrols first when the page was opened by an enrolment link. */
async function signIn(user: string, password: string): Promise<void> {
  if (location.hash.length > 1 && device.state === 'new') {
    await device.enroll(location.href, { user, password });
    // The code is used up; it need not stay in the history.
    history.replaceState(null, '', location.pathname);
  }
  await device.login({ user, password });
  open('home');
}

function signInView(): void {
  leaveView?.();
  leaveView = undefined;
  tabs.hidden = true;
  const fresh = device.state === 'new';
  if (fresh && location.hash.length < 2) {
    return view.replaceChildren(
      element('h1', {}, 'Welcome'),
      element('p', {}, 'Open the enrolment link that you were sent, on this device.'),
    );
  }
  const user = field('User name', { id: 'user', autocomplete: 'username', required: '' });
  const password = field('Password', {
    id: 'password',
    type: 'password',
    autocomplete: 'current-password',
    required: '',
  });
  const submit = element('button', { type: 'submit' }, fresh ? 'Enrol this device' : 'Sign in');
  const form = element('form', {}, user.label, password.label, submit);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit.disabled = true;
    signIn(user.input.value, password.input.value)
      .catch(showError)
      .finally(() => {
        submit.disabled = false;
      });
  });
  const text = fresh ? 'Your keys are made on this device and never leave it.' : 'This device is enrolled.';
  view.replaceChildren(element('h1', {}, fresh ? 'Enrol this device' : 'Sign in'), element('p', {}, text), form);
}

device.on('state', showState);
device.on('state', ({ state }) => {
  if (state === 'signed-out' || state === 'new') signInView();
});
device.on('ended', ({ code }) => {
  signInView();
  showError(new DeviceError(code, 'The session is over'));
});
device.on('resources', () => {
  if (document.querySelector('#resources')) open('home');
});
for (const tab of tabs.querySelectorAll('button'))
  tab.addEventListener('click', () => open(tab.dataset['tab'] ?? 'home'));
showState(device);
if (device.hasSession) device.resume().then(() => open('home'), signInView);
else signInView();
