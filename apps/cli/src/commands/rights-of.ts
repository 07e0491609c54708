import { styleText } from 'node:util';
import type { FactorView, RightsView } from '@sallyport/security-api';
import { factors, users } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { addOperatorCommand, type Given } from '../operator-command.ts';
import { printRows } from '../output.ts';
import { printable, say, warn } from '../terminal.ts';

interface FactorOptions {
  readonly remove?: boolean;
  readonly keepSessions?: boolean;
}

/** `sallyport user rights` and `sallyport user second-factor` */
export function addUserRightCommands(user: Command): void {
  addOperatorCommand(user, {
    name: 'rights <name>',
    about: 'why a user may, or may not, reach each resource',
    options: [['-r, --resource <name>', 'only this one']],
    run: async (admin, { options }: Given<{ readonly resource?: string }>, name: string) => {
      const rights = await admin.call(users.rights, { params: { name } });
      const resources = rights.resources.filter(({ resource }) => (options.resource ?? resource) === resource);
      return { ...rights, resources };
    },
    show: sayRights,
  });
  addOperatorCommand(user, {
    name: 'second-factor <name>',
    about: 'a new second factor, for an authenticator app; the one before is void',
    options: [
      ['--remove', 'take it away'],
      ['--keep-sessions', 'sessions go on; they end otherwise'],
    ],
    run: changeFactor,
    show: sayFactor,
  });
}

async function changeFactor(
  admin: AdminClient,
  { options, reason }: Given<FactorOptions>,
  name: string,
): Promise<FactorView | { readonly done: boolean }> {
  const query = options.keepSessions ? ({ keepSessions: 'true' } as const) : {};
  return admin.call(options.remove ? factors.remove : factors.issue, { params: { name }, query, reason });
}

function sayFactor(changed: FactorView | { readonly done: boolean }, _given: Given<FactorOptions>, name: string): void {
  if ('done' in changed) {
    say`${changed.done ? `${name} has no second factor any more` : `${name} had none`}\n`;
    return;
  }
  process.stdout.write(
    `${renderUnicodeCompact(changed.uri)}\nscan this with an authenticator app, or type ${changed.secret}\nIt is shown this once.\n`,
  );
}

function siteLine({
  site,
  serves,
  policies,
  liveProxies,
  words,
}: RightsView['resources'][number]['sites'][number]): string {
  if (!serves) return `not at ${site}: ${words}`;
  const by = liveProxies.length > 0 ? `by ${liveProxies.join(', ')}` : 'but no Proxy of it is live';
  return `at ${site} ${by} (${policies.join(', ')})${words === '' ? '' : `; ${words}`}`;
}

function sayRights({ user, enabled, directory, groups, resources, doubts }: RightsView): void {
  const from = directory === '' ? 'a local user' : `of ${directory}`;
  say`${user}, ${from}, ${enabled ? 'may sign in' : 'may not sign in'}\n\n`;
  printRows(groups, ['group', 'by'], false);
  process.stdout.write('\n');
  for (const { resource, allowed, words, policies, sites } of resources) {
    const mark = allowed ? styleText('green', '✔ may    ') : styleText('red', '✘ may not');
    const only = allowed ? policies.map((policy) => policy.only).filter((text) => text !== '') : [];
    const conditions = only.length > 0 ? `; only ${only.join('; ')}` : '';
    process.stdout.write(`${mark} ${printable(`${resource}: ${words}${conditions}`)}\n`);
    // Why it is not open at the only site is said already.
    const said = sites.length > 1 || allowed ? sites : [];
    for (const site of said) process.stdout.write(`            ${printable(siteLine(site))}\n`);
  }
  for (const doubt of doubts) warn`\n! ${doubt}\n`;
}
