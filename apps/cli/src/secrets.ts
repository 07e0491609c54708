import { confirm, isCancel, password, text } from '@clack/prompts';
import { CliError } from './output.ts';

/** Reads all of standard input, without the line break at its end. */
export async function readStdin(): Promise<string> {
  let read = '';
  for await (const part of process.stdin) read += part;
  return read.replace(/\r?\n$/, '');
}

/** Asks for a secret without showing it. Secrets are never arguments: those show in the process list. */
async function ask(message: string, otherwise = '--password-stdin'): Promise<string> {
  if (!process.stdin.isTTY) throw new CliError('there is no terminal to ask on', `use ${otherwise}`);
  const answer = await password({ message });
  if (isCancel(answer)) throw new CliError('cancelled');
  return answer;
}

/** A one-time code that is typed; undefined when there is no terminal to ask on. */
export async function askOneTimeCode({ tries }: { tries: number }): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const answer = await text({ message: `One-time code of your authenticator app (${tries} tries)` });
  return isCancel(answer) ? undefined : answer;
}

/** A password that is typed or comes on standard input. */
export function promptPassword(fromStdin: boolean): Promise<string> {
  return fromStdin ? readStdin() : ask('Password');
}

/** Another secret that is typed or comes on standard input. */
export function askSecret(message: string, fromStdin: boolean, otherwise = '--secret-stdin'): Promise<string> {
  return fromStdin ? readStdin() : ask(message, otherwise);
}

/** Asks whether something shall be done; where there is nobody to ask it is not. */
export async function askWhether(message: string, otherwise: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new CliError('there is no terminal to ask on', `use ${otherwise}`);
  return (await confirm({ message, initialValue: false })) === true;
}

/** A new password, typed twice. */
export async function askNewPassword(fromStdin: boolean): Promise<string> {
  if (fromStdin) return readStdin();
  const first = await ask('New password (8 characters or more)');
  if (first !== (await ask('Once more'))) throw new CliError('the two are not the same');
  return first;
}
