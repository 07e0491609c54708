import type { AdminClient } from '@sallyport/security-client/admin';
import { type Command, Option } from 'commander';
import { printJson, printRows } from './output.ts';
import { type GlobalOptions, globalsOf, withAdmin } from './program.ts';
import { saidReason } from './reason.ts';

/** What a command was given beside its arguments. */
export interface Given<Options> {
  readonly options: Options;
  /** Why, for the audit log: what the operator said, or that it is routine work by this command. */
  readonly reason: string;
  readonly globals: GlobalOptions;
}

/** An option of a command: its flags, what it is, and what holds unless it is given; or one with more to it. */
export type CommandOption = readonly [flags: string, about: string, otherwise?: string] | Option;

/** A command that asks the admin API. */
export interface OperatorCommand<Options, Result> {
  /** With its arguments, like `disable <name>`. */
  readonly name: string;
  readonly about: string;
  readonly options?: readonly CommandOption[];
  /** It is not done without a reason: what is said without one, and an example. */
  readonly reason?: readonly [why: string, example: string];
  readonly run: (admin: AdminClient, given: Given<Options>, ...args: string[]) => Promise<Result>;
  /** Says for people what came of it; programs get it as JSON. */
  readonly show: (result: Result, given: Given<Options>, ...args: string[]) => void;
  /** What programs get, where that is not the result itself. */
  readonly json?: (result: Result) => unknown;
  /** What else is looked at once it was shown: should that fail, what was done is known. */
  readonly afterwards?: (admin: AdminClient, result: Result, given: Given<Options>) => Promise<void>;
}

/** Shows rows as a table; `view` is what a row looks like in it. */
export function table<Row extends object>(
  columns: readonly string[],
  view: (row: Row) => object = (row) => row,
): (rows: readonly Row[]) => void {
  return (rows) => printRows(rows.map(view), columns, false);
}

/** An option that must be given. */
export function required(flags: string, about: string): Option {
  return new Option(flags, about).makeOptionMandatory();
}

/**
 * Adds a command of operators: with the stored profile it asks the admin API, shows the answer, and renews the credential when it
 * is time.
 */
export function addOperatorCommand<Options, Result>(parent: Command, command: OperatorCommand<Options, Result>): void {
  const added = parent.command(command.name).description(command.about);
  for (const option of command.options ?? []) added.addOption(option instanceof Option ? option : optionOf(option));
  added.action(async (...given: unknown[]) => {
    const args = given.slice(0, -2).flat() as string[];
    const globals = globalsOf(added);
    const reason = reasonOf(command.reason, globals.reason) ?? `routine: ${pathOf(added)}`;
    const told = { options: given.at(-2) as Options, reason, globals };
    await withAdmin(globals, async (admin) => {
      const result = await command.run(admin, told, ...args);
      if (globals.json) printJson(command.json ? command.json(result) : result);
      else command.show(result, told, ...args);
      await command.afterwards?.(admin, result, told);
    });
  });
}

function reasonOf(needed: readonly [string, string] | undefined, said: string | undefined): string | undefined {
  if (needed) return saidReason(said, `why? ${needed[0]} needs a reason`, needed[1]);
  return said === undefined ? undefined : saidReason(said, 'why? the reason is empty', 'ticket 4711');
}

function optionOf([flags, about, otherwise]: readonly [string, string, string?]): Option {
  return new Option(flags, about).default(otherwise);
}

/** What a command is called, with the program's name: `sallyport user disable`. */
function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}
