type Child = Node | string;

/** Makes an element. Texts are texts, never markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A labelled input. */
export function field(
  label: string,
  attributes: Readonly<Record<string, string>>,
): { label: HTMLLabelElement; input: HTMLInputElement } {
  const input = element('input', attributes);
  return { label: element('label', {}, label, input), input };
}

/** The first letter of what something is called, in a colour of its own: where there is no picture of it. */
export function letterIcon(title: string, name: string = title): HTMLElement {
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)!) % 360, 7);
  return element(
    'span',
    { class: 'icon letter', style: `--hue: ${hue}`, 'aria-hidden': 'true' },
    title.charAt(0).toUpperCase(),
  );
}

/** A button with what it does. Errors go to `onError`. */
export function button(
  text: string,
  action: () => unknown,
  onError: (error: unknown) => void,
  className = '',
): HTMLButtonElement {
  const made = element('button', { type: 'button', class: className }, text);
  made.addEventListener('click', () => {
    made.disabled = true;
    Promise.resolve()
      .then(action)
      .catch(onError)
      .finally(() => {
        made.disabled = false;
      });
  });
  return made;
}
