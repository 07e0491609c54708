import { isText } from './text.ts';

/** How many characters a reason has, without the white space around it. */
export const REASON_LENGTH = { min: 3, max: 500 } as const;

/** What a reason is, in words. */
export const REASON_WORDS = 'one line of 3 to 500 characters that says why';

/** A reason as it goes into the audit log, without white space around it; undefined where a text is none, such as blanks. */
export function parseReason(text: string): string | undefined {
  const reason = text.trim();
  const { min, max } = REASON_LENGTH;
  return reason.length >= min && reason.length <= max && isText(reason) ? reason : undefined;
}
