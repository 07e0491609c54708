import type { Device, DeviceUser } from '@sallyport/device';
import { button, element, field } from './dom.ts';
import { showPage } from './page-view.ts';

/** What a view needs. */
export interface ViewPlace {
  readonly device: Device;
  readonly root: HTMLElement;
  readonly showError: (error: unknown) => void;
}

/** Host of the first HTTP resource, the one the views work with. */
function firstHost(device: Device): string | undefined {
  return device.resources.find(({ kind }) => kind === 'http')?.authority;
}

/** What is said while nothing can be listed yet. */
const WAITING: Partial<Record<Device['state'], string>> = {
  connecting: 'Looking for a gateway…',
  silent: 'Waiting for the gateway…',
  suspended: 'The gateway waits for its Security server…',
  offline: 'What you may use is shown as soon as a gateway answers.',
};

function whoIs({ name, displayName }: DeviceUser): string {
  return displayName === name ? name : `${displayName} (${name})`;
}

/** Home: what the user may use. */
export function homeView({ device, root, showError }: ViewPlace, openPage: (url: string) => void): void {
  const cards = device.resources.map(({ name, kind, authority }) => {
    const text = element('span', {}, name, element('small', {}, `${authority} · ${kind}`));
    const open = button('Open', () => openPage(`http://${authority}/`), showError, 'quiet');
    return element('div', { class: 'card' }, text, ...(kind === 'http' ? [open] : []));
  });
  const leave = button('Sign out', () => device.logout(), showError, 'quiet');
  const list = element('div', { class: 'stack', id: 'resources' }, ...cards, leave);
  if (cards.length === 0)
    list.prepend(element('p', { class: 'wait' }, WAITING[device.state] ?? 'Nothing is open to you.'));
  const who = device.user && element('p', { id: 'who' }, `Signed in as ${whoIs(device.user)}.`);
  root.replaceChildren(
    element('h1', {}, 'Your resources'),
    ...(who ? [who] : []),
    element('p', {}, 'Open only while your session is vouched for.'),
    list,
  );
}

/** Pages: a small browser. */
export function pagesView({ device, root, showError }: ViewPlace, start?: string): void {
  const value = start ?? `http://${firstHost(device) ?? ''}/`;
  const address = element('input', { type: 'url', id: 'address', 'aria-label': 'Address', value });
  const frame = element('iframe', { id: 'page', title: 'Intranet page', sandbox: 'allow-same-origin' });
  const go = async (): Promise<void> =>
    showPage(device, frame, new URL(address.value), (url) => {
      address.value = url.href;
      go().catch(showError);
    });
  const bar = element('div', { class: 'bar' }, address, button('Go', go, showError));
  root.replaceChildren(element('h1', {}, 'Pages'), bar, frame);
  go().catch(showError);
}

/** Files: the share, with upload. */
export function filesView(place: ViewPlace): void {
  const { device, root, showError } = place;
  const host = firstHost(device);
  const list = element('div', { class: 'stack', id: 'files' });
  const progress = element('progress', { max: '1', value: '0', hidden: '', 'aria-label': 'Upload' });
  const picker = field('Upload a file', { type: 'file', id: 'file' });
  const refresh = async (): Promise<void> => {
    const files = (await (await device.fetch(`http://${host}/files.json`)).json()) as { name: string; bytes: number }[];
    list.replaceChildren(...files.map((file) => fileCard(place, `http://${host}`, file)));
  };
  picker.input.addEventListener('change', () => {
    const file = picker.input.files?.[0];
    if (!file) return;
    upload(device, `http://${host}/files/${encodeURIComponent(file.name)}`, file, progress)
      .then(refresh)
      .catch(showError);
  });
  root.replaceChildren(element('h1', {}, 'Files'), picker.label, progress, list);
  refresh().catch(showError);
}

function fileCard(
  { device, showError }: ViewPlace,
  base: string,
  { name, bytes }: { name: string; bytes: number },
): HTMLElement {
  const save = async (): Promise<void> => {
    const content = await (await device.fetch(`${base}/files/${encodeURIComponent(name)}`)).blob();
    const link = element('a', { href: URL.createObjectURL(content), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const text = element('span', {}, name, element('small', {}, `${bytes.toLocaleString('en')} bytes`));
  return element('div', { class: 'card' }, text, button('Save', save, showError, 'quiet'));
}

async function upload(device: Device, url: string, file: File, progress: HTMLProgressElement): Promise<void> {
  let sent = 0;
  progress.hidden = false;
  const counted = file.stream().pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(part, controller) {
        sent += part.length;
        progress.value = file.size === 0 ? 1 : sent / file.size;
        controller.enqueue(part);
      },
    }),
  );
  const response = await device.fetch(url, { method: 'PUT', body: counted });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
}

/** Chat over a WebSocket. */
export function chatView({ device, root, showError }: ViewPlace): () => void {
  const list = element('ul', { class: 'log', id: 'messages', 'aria-live': 'polite' });
  const message = element('input', { id: 'message', 'aria-label': 'Message', autocomplete: 'off' });
  const socket = device.webSocket(`ws://${firstHost(device)}/chat`);
  socket.onmessage = ({ data }) => list.append(element('li', {}, String(data)));
  socket.onerror = () => showError(new Error('the chat was cut off'));
  const send = (): void => {
    if (message.value !== '') socket.send(message.value);
    message.value = '';
  };
  const form = element(
    'form',
    {},
    element('div', { class: 'bar' }, message, element('button', { type: 'submit' }, 'Send')),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  root.replaceChildren(element('h1', {}, 'Chat'), list, form);
  return () => socket.close();
}
