import { CliError } from './output.ts';

/** Lines of a log that are shown. */
const SHOWN_LINES = 5;

/** Why a part did not start, for people: what happened, below it the last lines of its log, and where the rest is. */
export function startError(error: Error, whereLogs: string): CliError {
  const [words = '', ...log] = error.message.split('\n').filter((line) => line !== '');
  return new CliError(words, whereLogs, log.slice(-SHOWN_LINES).map(wordsOfLine));
}

/** A line of a log in words: what a record of our servers says, any other line as it is. */
function wordsOfLine(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter(Boolean).join(': ') || line;
  } catch {
    return line;
  }
}
