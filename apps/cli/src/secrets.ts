import { isCancel, password } from '@clack/prompts';
import { CliError } from './output.ts';

/** Reads all of standard input, without the line break at its end. */
export async function readStdin(): Promise<string> {
  let text = '';
  for await (const part of process.stdin) text += part;
  return text.replace(/\r?\n$/, '');
}

/** Asks for a secret without showing it. Secrets are never arguments: those show in the process list. */
async function ask(message: string): Promise<string> {
  if (!process.stdin.isTTY) throw new CliError('there is no terminal to ask on', 'use --password-stdin');
  const answer = await password({ message });
  if (isCancel(answer)) throw new CliError('cancelled');
  return answer;
}

/** A password that is typed or comes on standard input. */
export function askPassword(fromStdin: boolean): Promise<string> {
  return fromStdin ? readStdin() : ask('Password');
}

/** A new password, typed twice. */
export async function askNewPassword(fromStdin: boolean): Promise<string> {
  if (fromStdin) return readStdin();
  const first = await ask('New password (8 characters or more)');
  if (first !== (await ask('Once more'))) throw new CliError('the two are not the same');
  return first;
}
