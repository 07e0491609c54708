import { element, field } from './dom.ts';
import { basicAuthorization, type PasswordQuestion } from './shell/passwords.ts';

/** Pages cause these dialogs, as often as they like: only one is there at a time. */
function isAsking(): boolean {
  return document.querySelector('dialog[open]') !== null;
}

/** Shows a dialog of the shell and waits until it is closed; gives what it was closed with. */
function ask(id: string, ...content: readonly HTMLElement[]): { dialog: HTMLDialogElement; closed: Promise<string> } {
  const heading = content.find(({ tagName }) => tagName === 'H2');
  if (heading) heading.id = `${id}-title`;
  const dialog = element('dialog', { id, 'aria-labelledby': `${id}-title` }, ...content);
  document.body.append(dialog);
  const closed = new Promise<string>((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  dialog.showModal();
  return { dialog, closed };
}

/** `first` is where the focus is: whatever somebody is typing when the dialog comes does that. */
function buttons(yes: string, no: string, first?: 'no'): HTMLElement {
  const cancel = element('button', { type: 'submit', class: 'quiet', value: '', formnovalidate: '' }, no);
  if (first === 'no') cancel.autofocus = true;
  return element('div', { class: 'bar' }, element('button', { type: 'submit', value: 'yes' }, yes), cancel);
}

/** A backend asks for a password: the shell's own dialog, which no page can draw over. */
export async function askPassword({ authority, realm, again }: PasswordQuestion): Promise<string | undefined> {
  if (isAsking()) return undefined;
  const user = field('User name', { autocomplete: 'off', autocapitalize: 'none', required: '' });
  const password = field('Password', { type: 'password', autocomplete: 'off' });
  const words = again ? 'That was not right. ' : '';
  const named = realm === '' ? '' : ` It calls itself “${realm.slice(0, 100)}”.`;
  const text = element('p', {}, `${words}${authority} asks for a user name and a password of its own.${named}`);
  const form = element('form', { method: 'dialog' }, user.label, password.label, buttons('Sign in', 'Cancel'));
  const { closed } = ask('password-dialog', element('h2', {}, 'Sign in to this resource'), text, form);
  return (await closed) === 'yes' ? basicAuthorization(user.input.value, password.input.value) : undefined;
}

/** For how long a press of the user counts as one in a browser (HTML, transient activation), with time to spare, ms. */
const PRESS_MS = 6_000;
/** When the user last said that they stay. */
let stayedAt = Number.NEGATIVE_INFINITY;

/** True while somebody who has said that they stay has not pressed anything since: the press on "Stay" itself does not count. */
function hasJustStayed(): boolean {
  if (stayedAt === Number.NEGATIVE_INFINITY) return false;
  // Where a browser does not tell of presses, each link is asked about.
  const pressed = navigator.userActivation?.isActive ?? true;
  return !pressed || performance.now() - stayedAt < PRESS_MS;
}

/** The user went somewhere: what leads out of there is asked about anew. */
export function forgetStay(): void {
  stayedAt = Number.NEGATIVE_INFINITY;
}

/** A page leads out of the intranet. Where the user has said "Stay" it may not ask again by itself. */
export async function askLeaveForPage(url: URL): Promise<void> {
  if (!hasJustStayed()) await askLeave(url);
}

/** A link leads out of the intranet: only the user opens it, in the browser's own window. */
export async function askLeave(url: URL): Promise<void> {
  if (isAsking()) return;
  const text = element('p', {}, 'This address is not one of your resources. It would be opened past the gateway:');
  const shown = element('p', { class: 'address' }, url.href.slice(0, 500));
  const form = element('form', { method: 'dialog' }, buttons('Open in the browser', 'Stay', 'no'));
  const { dialog, closed } = ask('leave-dialog', element('h2', {}, 'Leave the intranet?'), text, shown, form);
  let leaves = false;
  form.addEventListener('submit', ({ submitter }) => {
    leaves = (submitter as HTMLButtonElement).value === 'yes';
    // In the press itself, or the browser takes it for an unwanted window.
    if (leaves) window.open(url.href, '_blank', 'noopener,noreferrer');
    dialog.returnValue = '';
  });
  await closed;
  if (!leaves) stayedAt = performance.now();
}
