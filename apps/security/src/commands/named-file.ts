import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** What a file is that somebody names, and what to do where there is none. */
export interface NamedFile {
  readonly what: string;
  readonly next: string;
}

export const IDENTITY_FILE: NamedFile = {
  what: 'identity file',
  next: '--identity names the backup-identity-….txt that "sallyport backup keys new" made; bring it here, or go to the host that has it',
};
export const RECIPIENT_FILE: NamedFile = {
  what: 'recipient file',
  next: '--recipient, or SALLYPORT_BACKUP_RECIPIENTS, names the backup-recipient-….txt that "sallyport backup keys new" made',
};
export const KEY_FILE: NamedFile = { what: 'key file', next: '--key-file FILE, a kek.json of this realm' };

/** The content of a file that somebody names. @throws Error that says which one cannot be read, and what to do */
export function readNamedFile(file: string, { what, next }: NamedFile): string {
  const path = resolve(file);
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    throw new Error(wordsOf(code, `${what} ${path}`, next), { cause });
  }
}

function wordsOf(code: string, file: string, next: string): string {
  if (code === 'ENOENT') return `there is no ${file}: ${next}`;
  if (code === 'EACCES')
    return `user ${process.getuid?.()}, whom the folder of the server belongs to, may not read the ${file}: give it to that user`;
  return `the ${file} cannot be read (${code}): ${next}`;
}
