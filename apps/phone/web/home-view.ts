import { UPDATE_AUTHORITY } from '@sallyport/channel';
import type { Device, DeviceUser, Resource } from '@sallyport/device';
import { button, element, letterIcon } from './dom.ts';
import { fitsSearch, type Shelf, titleOf } from './shell/shelf.ts';

/** What the home view shows and does. */
export interface HomePlace {
  readonly device: Device;
  readonly shelf: Shelf;
  readonly root: HTMLElement;
  readonly showError: (error: unknown) => void;
  /** Opens an address; a text that is none says so. */
  readonly open: (address: string) => unknown;
  readonly signOut: () => unknown;
  /** Shows the apps that the user may have. */
  readonly apps: () => unknown;
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

/** Home: what the user may use, favourites first. */
export function homeView(place: HomePlace): void {
  const { device, root, showError, signOut, apps } = place;
  const list = element('ul', { class: 'stack', id: 'resources' });
  const search = element('input', {
    id: 'search',
    type: 'search',
    placeholder: 'Search, or type an address',
    'aria-label': 'Search, or type an address',
    autocomplete: 'off',
    autocapitalize: 'none',
    enterkeyhint: 'go',
  });
  const show = (): void => list.replaceChildren(...itemsFor(place, search.value, show));
  search.addEventListener('input', show);
  const form = element('form', { role: 'search', id: 'go' }, search);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    Promise.resolve()
      .then(() => place.open(chosen(place, search.value)))
      .catch(showError);
  });
  const who = device.user ? [element('p', { id: 'who' }, `Signed in as ${whoIs(device.user)}.`)] : [];
  // By this one devices get apps and their updates: it is no page.
  const hasApps = device.resources.some(isUpdates);
  const more = hasApps ? [button('Apps', apps, showError, 'quiet')] : [];
  const leave = button('Sign out', signOut, showError, 'quiet');
  root.replaceChildren(
    element('h1', {}, 'Your resources'),
    ...who,
    form,
    list,
    element('div', { class: 'bar' }, ...more, leave),
  );
  show();
}

function isUpdates({ kind, authority }: Resource): boolean {
  return kind === 'http' && authority === UPDATE_AUTHORITY;
}

/** Pages and connections, favourites first. */
function listed({ device, shelf }: HomePlace): readonly Resource[] {
  return shelf.sorted(device.resources.filter((one) => !isUpdates(one)));
}

/** The one resource that fits what was typed, or the address itself. */
function chosen(place: HomePlace, typed: string): string {
  const pages = listed(place).filter((one) => one.kind === 'http' && fitsSearch(one, typed));
  return pages.length === 1 ? `http://${pages[0]!.authority}/` : typed;
}

function itemsFor(place: HomePlace, typed: string, changed: () => void): HTMLElement[] {
  const { device } = place;
  const fitting = listed(place).filter((one) => fitsSearch(one, typed));
  if (fitting.length > 0) return fitting.map((one) => itemOf(place, one, changed));
  const none = typed === '' ? (WAITING[device.state] ?? 'Nothing is open to you.') : 'Nothing of yours fits.';
  return [element('li', { class: 'wait' }, none)];
}

function itemOf(place: HomePlace, resource: Resource, changed: () => void): HTMLElement {
  if (resource.kind !== 'http') return element('li', { class: 'card column' }, ...connectionCard(resource));
  const { shelf, showError, open } = place;
  const url = `http://${resource.authority}/`;
  const text = element('span', { class: 'grow' }, titleOf(resource), element('small', {}, resource.authority));
  const link = element('a', { class: 'card-link', href: `#/${url}` }, iconOf(shelf, resource), text);
  link.addEventListener('click', (event) => {
    event.preventDefault();
    Promise.resolve()
      .then(() => open(url))
      .catch(showError);
  });
  return element('li', { class: 'card' }, link, starOf(shelf, resource, changed));
}

function starOf(shelf: Shelf, resource: Resource, changed: () => void): HTMLButtonElement {
  const pressed = shelf.isFavourite(resource.name);
  const star = element(
    'button',
    { type: 'button', class: 'star', 'aria-pressed': String(pressed), 'aria-label': `Favourite: ${titleOf(resource)}` },
    pressed ? '★' : '☆',
  );
  star.addEventListener('click', () => {
    shelf.toggleFavourite(resource.name);
    changed();
    document.querySelector<HTMLElement>(`[aria-label="${CSS.escape(`Favourite: ${titleOf(resource)}`)}"]`)?.focus();
  });
  return star;
}

/** The icon that its pages have, or its first letter. */
function iconOf(shelf: Shelf, resource: Resource): HTMLElement {
  const known = shelf.iconOf(resource.authority);
  if (known) return element('img', { class: 'icon', src: known, alt: '' });
  return letterIcon(titleOf(resource), resource.name);
}

/** What a TCP resource is for: no page, a connection for programs on a computer. */
function connectionCard({ authority, ...resource }: Resource): HTMLElement[] {
  const port = /:(\d+)$/.exec(authority)?.[1] ?? '';
  const command = `sallyport device forward --tcp ${port || '8022'}=${authority}`;
  const title = element('strong', {}, titleOf({ ...resource, authority }), element('small', {}, authority));
  const words =
    'This is no page but a connection for programs, like a database client, ssh or mail. On your computer, run';
  const details = element(
    'details',
    {},
    element('summary', {}, 'How to use it'),
    element('p', {}, words),
    element('pre', { tabindex: '0' }, element('code', {}, command)),
    element('p', {}, `and let your program connect to 127.0.0.1, port ${port || '8022'}.`),
  );
  return [title, details];
}
