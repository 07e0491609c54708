import { button, element, field } from './dom.ts';

/** What somebody sees who came without an enrolment link. */
export function welcomeView(): HTMLElement[] {
  return [
    element('h1', {}, 'Welcome'),
    element('p', {}, 'Open the enrolment link that you were sent, on this device.'),
  ];
}

/** What the form shows beside its fields. */
export interface CredentialsText {
  /** The device is not enrolled yet. */
  readonly fresh: boolean;
  /** Whom the link, or the enrolled device, is for. */
  readonly name: string | undefined;
}

/** Name and password. */
export function credentialsView(
  { fresh, name }: CredentialsText,
  submit: (user: string, password: string) => Promise<void>,
): HTMLElement[] {
  const user = field('User name', {
    id: 'user',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: 'false',
    required: '',
    value: name ?? '',
  });
  const secret = { id: 'password', type: 'password', autocomplete: 'current-password', required: '' };
  const password = field('Password', secret);
  const send = element('button', { type: 'submit' }, fresh ? 'Enrol this device' : 'Sign in');
  const form = element('form', {}, user.label, password.label, send);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send.disabled = true;
    const done = (): void => {
      send.disabled = false;
    };
    submit(user.input.value, password.input.value).then(done, done);
  });
  const text = fresh ? 'Your keys are made on this device and never leave it.' : 'This device is enrolled.';
  const heading = element('h1', {}, fresh ? 'Enrol this device' : 'Sign in');
  return [heading, element('p', {}, text), ...whoseView(fresh, name), form];
}

/** Whose device this is, or would be: somebody who was handed another one's link sees it before they type a password. */
function whoseView(fresh: boolean, name: string | undefined): HTMLElement[] {
  if (name === undefined) return [];
  const words = fresh ? `This link is for ${name}. If that is not you, close this page.` : `It belongs to ${name}.`;
  return [element('p', { id: 'whose', class: 'note' }, words)];
}

/** What an enrolled device offers when somebody opens an enrolment link on it: Security may know it no more. */
export function anewView(
  name: string | undefined,
  enrolAnew: () => unknown,
  onError: (error: unknown) => void,
): HTMLElement {
  const whose = name === undefined ? 'a new enrolment link' : `a new enrolment link for ${name}`;
  const words = `You have opened ${whose}. If you were sent it to start afresh, this device forgets how it was enrolled before.`;
  return element(
    'div',
    { id: 'anew' },
    element('p', { class: 'note' }, words),
    button('Enrol this device anew', enrolAnew, onError, 'quiet'),
  );
}

/** The code of an authenticator app. */
export function secondFactorView(tries: number, submit: (code: string) => void): HTMLElement[] {
  const shape = {
    id: 'code',
    inputmode: 'numeric',
    autocomplete: 'one-time-code',
    pattern: '[0-9 ]{6,7}',
    required: '',
  };
  const code = field('Code of your authenticator app', shape);
  const form = element('form', {}, code.label, element('button', { type: 'submit' }, 'Go on'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit(code.input.value);
  });
  const left = tries === 1 ? 'One try is left.' : `${tries} tries are left.`;
  return [element('h1', {}, 'One more step'), element('p', {}, left), form];
}
