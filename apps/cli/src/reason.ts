import { parseReason, REASON_WORDS } from '@sallyport/security-api';
import { CliError } from './output.ts';

/**
 * Why something is done, as the operator said it; `words` is what is said where nothing was, `example` what could be.
 * @throws CliError
 */
export function saidReason(said: string | undefined, words: string, example: string): string {
  const next = `add: --reason "${example}"`;
  if (said === undefined || said.trim() === '') throw new CliError(words, next);
  const reason = parseReason(said);
  if (reason === undefined) throw new CliError(`a reason is ${REASON_WORDS}`, next);
  return reason;
}
