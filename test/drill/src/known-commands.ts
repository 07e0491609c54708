import { fileURLToPath } from 'node:url';
import { CLI, runCommand } from '@sallyport/support';

/** A command of `sallyport`, with those below it. */
export interface KnownCommand {
  readonly name: string;
  /** Short and long ones. */
  readonly options: readonly string[];
  readonly commands: readonly KnownCommand[];
}

const PRELOAD = fileURLToPath(new URL('./tell-commands.ts', import.meta.url));
/** Options that every command has, beside those of the program. */
const EVERYWHERE = ['-h', '--help'];

/** Everything that `sallyport` can be asked for, as it says itself. */
export async function readCommands(): Promise<KnownCommand> {
  // From its sources: a bundle has a parser of its own, which nothing can be loaded before.
  const environment = { NODE_OPTIONS: '' };
  const { stdout, stderr } = await runCommand(process.execPath, ['--import', PRELOAD, CLI], { environment });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as KnownCommand;
}

/** What a command line of a document asks for that there is not; `line` begins with `sallyport`. */
export function unknownIn(program: KnownCommand, line: string): string[] {
  const words = wordsOf(line);
  let command = program;
  const options = new Set([...EVERYWHERE, ...program.options]);
  let unknown = '';
  for (const word of words.filter((text) => !text.startsWith('-') && text !== '…')) {
    const next = command.commands.find(({ name }) => name === word);
    if (!next) {
      unknown = word;
      break;
    }
    command = next;
    for (const option of next.options) options.add(option);
  }
  const given = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split('=')[0]!);
  return [
    ...(command.commands.length > 0 && unknown !== '' ? [`${command.name} has no ${unknown}: ${line}`] : []),
    ...given.filter((option) => !options.has(option)).map((option) => `${option} is no option of ${command.name}`),
  ];
}

/** Words behind `sallyport`, up to a comment, the next command or an end of the line; quoted text is one word. */
function wordsOf(line: string): string[] {
  const [, rest = ''] = /^sallyport\s?(.*)$/.exec(line) ?? [];
  const words = [...rest.matchAll(/"[^"]*"|'[^']*'|\S+/g)].map(([word]) => word);
  const end = words.findIndex((word) => /^(?:#|[|;&<>]|\\$)/.test(word));
  return end < 0 ? words : words.slice(0, end);
}
