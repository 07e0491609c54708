import { getSystemErrorMessage } from 'node:util';
import { DeviceError } from '@sallyport/device';
import { PackageError } from '@sallyport/releases';
import { AdminError } from '@sallyport/security-client/admin';
import { CliError } from './output.ts';

/** An error for people: what went wrong, and what to do next. */
export interface Explanation {
  readonly words: string;
  readonly next?: string | undefined;
  readonly log?: readonly string[];
}

const DEBUG = '--debug shows where';

/** Says an error in words, never by a stack or a code of a library. */
export function explanationOf(error: unknown): Explanation {
  if (error instanceof CliError) return { words: error.message, next: error.next, log: error.log };
  // Codes are for programs; what people need is in the words.
  if (error instanceof AdminError) return { words: error.message, next: nextAfter(error) };
  if (error instanceof PackageError) return { words: error.message };
  if (error instanceof DeviceError) return { words: `${error.message} (${error.code})` };
  if (!(error instanceof Error)) return { words: `something went wrong: ${String(error)}`, next: DEBUG };
  const { code, errno, path } = error as NodeJS.ErrnoException;
  if (code === 'ERR_CHANNEL_LINK')
    return {
      words: error.message,
      next: 'take the whole link, in quotes; an operator makes one: sallyport code new <user>',
    };
  if (errno !== undefined && path !== undefined)
    return { words: `${path}: ${systemWords(errno)}`, next: 'relative paths count from where you are' };
  if (errno !== undefined) return { words: systemWords(errno), next: DEBUG };
  return { words: `this should not have happened: ${error.message}`, next: DEBUG };
}

function nextAfter({ code, status }: AdminError): string | undefined {
  if (code === 'ERR_ADMIN_UNREACHABLE') return 'is it running? see: npm start';
  return status === 401 ? 'run: sallyport login' : undefined;
}

function systemWords(errno: number): string {
  return getSystemErrorMessage(errno);
}
