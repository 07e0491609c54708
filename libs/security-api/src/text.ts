import Type, { type TString } from 'typebox';

/** Pattern of what people and programs may write as one line of text: no control characters (ISO 6429: C0, DEL, C1). */
const TextPattern = '^[^\\u0000-\\u001f\\u007f-\\u009f]*$';

const TEXT = new RegExp(TextPattern);

/** One line of text in any of our APIs. */
export function Text(options: { readonly minLength?: number; readonly maxLength: number }): TString {
  return Type.String({ pattern: TextPattern, description: 'one line of text without control characters', ...options });
}

/** True for one line of text that every store, log and terminal takes as it is: no control characters, no half characters. */
export function isText(text: string): boolean {
  return TEXT.test(text) && text.isWellFormed();
}
