import { styleText } from 'node:util';
import type { FactorView, RightsView } from '@sallyport/security-api';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { printJson, printRows } from '../output.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { printable, say } from '../terminal.ts';

/** `sallyport user rights` and `sallyport user second-factor` */
export function addUserRightCommands(user: Command): void {
  user
    .command('rights <name>')
    .description('why a user may, or may not, reach each resource')
    .option('-r, --resource <name>', 'only this one')
    .action(async (name: string, options: { resource?: string }, command: Command) => {
      const globals = globalsOf(command);
      const rights = await withAdmin(globals, (admin) => admin.call<RightsView>('GET', `/v1/users/${name}/rights`));
      const resources = rights.resources.filter(({ resource }) => (options.resource ?? resource) === resource);
      if (globals.json) return printJson({ ...rights, resources });
      sayRights({ ...rights, resources });
    });
  user
    .command('second-factor <name>')
    .description('a new second factor, for an authenticator app; the one before is void')
    .option('--remove', 'take it away')
    .option('--keep-sessions', 'sessions go on; they end otherwise')
    .action(async (name: string, options: { remove?: boolean; keepSessions?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const reason = reasonOf(globals, 'user second-factor');
      const keep = options.keepSessions ? '?keepSessions=true' : '';
      const path = `/v1/users/${name}/second-factor${keep}`;
      if (options.remove) {
        const { done } = await withAdmin(globals, (admin) => admin.call<{ done: boolean }>('DELETE', path, { reason }));
        say`${done ? `${name} has no second factor any more` : `${name} had none`}\n`;
        return;
      }
      const factor = await withAdmin(globals, (admin) => admin.call<FactorView>('POST', path, { reason }));
      if (globals.json) return printJson(factor);
      process.stdout.write(
        `${renderUnicodeCompact(factor.uri)}\nscan this with an authenticator app, or type ${factor.secret}\nIt is shown this once.\n`,
      );
    });
}

function sayRights({ user, enabled, directory, groups, resources }: RightsView): void {
  const from = directory === '' ? 'a local user' : `of ${directory}`;
  say`${user}, ${from}, ${enabled ? 'may sign in' : 'may not sign in'}\n\n`;
  printRows(groups, ['group', 'by'], false);
  process.stdout.write('\n');
  for (const { resource, allowed, words, policies } of resources) {
    const mark = allowed ? styleText('green', '✔ may    ') : styleText('red', '✘ may not');
    const only = allowed ? policies.map((policy) => policy.only).filter((text) => text !== '') : [];
    const conditions = only.length > 0 ? `; only ${only.join('; ')}` : '';
    process.stdout.write(`${mark} ${printable(`${resource}: ${words}${conditions}`)}\n`);
  }
}
