import { Command } from 'commander';
import type { KnownCommand } from './known-commands.ts';

/** Loaded before `sallyport`: instead of doing anything it tells as JSON which commands and options it has. */
function treeOf(command: Command): KnownCommand {
  const options = command.options.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined));
  return { name: command.name(), options, commands: command.commands.map(treeOf) };
}

Command.prototype.parseAsync = async function tell(this: Command): Promise<Command> {
  process.stdout.write(`${JSON.stringify(treeOf(this))}\n`);
  return this;
};
