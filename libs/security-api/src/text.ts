import Type, { type TString } from 'typebox';

/** Pattern of what people and programs may write as one line of text: no control characters (ISO 6429: C0, DEL, C1). */
const TextPattern = '^[^\\u0000-\\u001f\\u007f-\\u009f]*$';

const TEXT = new RegExp(TextPattern);
const WORDS = 'one line of text without control characters';

/** One line of text in any of our APIs; `about` says what it is for. */
export function Text(options: {
  readonly minLength?: number;
  readonly maxLength: number;
  readonly about?: string | undefined;
}): TString {
  const { about, ...lengths } = options;
  const words = about === undefined ? { description: WORDS } : { title: WORDS, description: `${about}: ${WORDS}` };
  return Type.String({ pattern: TextPattern, ...words, ...lengths });
}

/** True for one line of text that every store, log and terminal takes as it is: no control characters, no half characters. */
export function isText(text: string): boolean {
  return TEXT.test(text) && text.isWellFormed();
}
