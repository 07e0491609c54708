import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { assertVerifying } from '@sallyport/settings';
import { Command, Help } from 'commander';
import { addCommandsFor } from './command-rooms.ts';
import { printable, warn } from './terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('sallyport')
  .description('Sallyport: a way into the intranet that opens only while a session is vouched for')
  .version(version)
  .option('--data <folder>', 'folder with the state of this machine', './data')
  .option('--json', 'JSON for programs instead of tables', false)
  .option('--debug', 'show where in the program an error comes from', false)
  .option('--reason <text>', 'why you do this; goes into the audit log')
  .configureHelp({
    optionDescription: (option) => {
      const text = new Help().optionDescription(option);
      return option.mandatory ? `${text} (required)` : text;
    },
  })
  .showHelpAfterError('(--help shows how)');
program.hook('preAction', () => assertVerifying());
await addCommandsFor(program, process.argv.slice(2));

// Who reads only the beginning, like `head`, has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

async function explain(error: unknown): Promise<void> {
  const { explanationOf } = await import('./explain.ts');
  const { words, next, log = [] } = explanationOf(error);
  process.stderr.write(`${styleText('red', 'error')} ${printable(words)}\n`);
  for (const line of log) warn`    ${line}\n`;
  if (next !== undefined) warn`  next: ${next}\n`;
  if (program.opts()['debug'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

await program.parseAsync().catch(async (error: unknown) => {
  await explain(error);
  process.exitCode = 1;
});
