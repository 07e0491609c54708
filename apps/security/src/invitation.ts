import { join } from 'node:path';
import { replacePrivateFile } from '@sallyport/settings';

/**
 * Tells whoever starts Security of the first operator's one-time token: on a terminal by itself, else in a file of mode 0600,
 * because what a service prints goes into the journal, which others read and keep.
 */
export function invitationText(token: string, { folder, isTerminal }: { folder: string; isTerminal: boolean }): string {
  if (isTerminal) return `One-time operator token, good for a day:\n  ${token}`;
  const file = join(folder, 'first-operator-token');
  replacePrivateFile(file, `${token}\n`);
  return `A one-time operator token, good for a day, is in ${file}:\n  sallyport login <url> --ca <file> --token-stdin < ${file}`;
}
