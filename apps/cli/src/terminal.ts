/**
 * What a terminal would obey, or shows otherwise than it is: control characters of both sets, what turns the direction of text or
 * breaks lines, what is not seen, and halves of characters. The tags of Unicode are among what is not seen.
 */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/**
 * A text from elsewhere as one line for a terminal: what is not to be seen becomes an escape like `\u001b`. Whatever people or
 * servers chose goes through here before it is printed for people.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeOf);
}

function escapeOf(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** Takes no column of its own: marks over other characters. */
const MARK = /^[\p{Mn}\p{Me}]$/u;
/** Takes two columns (Unicode, UAX 11): the scripts of East Asia with their punctuation, full-width forms, emoji. */
const WIDE =
  /^(?![\uff61-\uffdc])(\p{scx=Han}|\p{scx=Hira}|\p{scx=Kana}|\p{scx=Hang}|[\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation})$/u;

/** How many columns of a terminal a printable text takes. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  const widths = Array.from(text, (character) => (MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1));
  return widths.reduce<number>((sum, width) => sum + width, 0);
}

/** JSON in which nothing is left that a terminal would obey; the same value for programs. */
export function printableJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2) ?? 'null';
  // The line breaks are JSON's own: those in texts are escaped by now.
  return text.split('\n').map(printable).join('\n');
}

/** Writes to standard output, as a template: its own text as it stands, whatever is put into it printable. */
export function say(texts: TemplateStringsArray, ...values: readonly unknown[]): void {
  process.stdout.write(format(texts, values));
}

/** Writes to standard error like `say`. */
export function warn(texts: TemplateStringsArray, ...values: readonly unknown[]): void {
  process.stderr.write(format(texts, values));
}

function format(texts: TemplateStringsArray, values: readonly unknown[]): string {
  return texts.map((text, i) => (i < values.length ? text + printable(String(values[i])) : text)).join('');
}
