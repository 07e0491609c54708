import type { ResourcesInput, ResourcesPlan, ResourceView } from '@sallyport/security-api';
import { resources } from '@sallyport/security-api/admin';
import { type AdminClient, AdminError } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required } from '../operator-command.ts';
import { CliError, printRows } from '../output.ts';
import { fileOf, formatResources, readResourceFile } from '../resources/file.ts';
import { askWhether } from '../secrets.ts';
import { printable, say } from '../terminal.ts';

interface ApplyOptions {
  readonly file: string;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `sallyport resource apply|export` */
export function addFileCommands(resource: Command): void {
  addOperatorCommand(resource, {
    name: 'apply',
    about: 'make resources what a file says, all of them or none; shows the plan and asks before',
    options: [
      required('-f, --file <file>', 'YAML or JSON; - for standard input'),
      ['--prune', 'remove resources that the file does not name'],
      ['--dry-run', 'only show the plan'],
      ['-y, --yes', 'do not ask'],
    ],
    run: apply,
    show: () => undefined,
  });
  addOperatorCommand(resource, {
    name: 'export [names...]',
    about: 'resources as a file for apply, on standard output; without passwords and keys',
    run: async (admin, { globals }, ...names: string[]) => {
      const views = await readViews(admin, names);
      return globals.json ? fileOf(views) : formatResources(views);
    },
    // A file gets the text as it is, a terminal nothing that it would obey.
    show: (text) =>
      void process.stdout.write(
        process.stdout.isTTY ? String(text).split('\n').map(printable).join('\n') : String(text),
      ),
  });
}

/** Shows the plan before it asks, and gives what was changed. */
async function apply(
  admin: AdminClient,
  { options, reason, globals }: Given<ApplyOptions>,
): Promise<ResourcesPlan['changes']> {
  const named = await readResourceFile(options.file);
  const put = (more: Partial<ResourcesInput>): Promise<ResourcesPlan> => {
    const body = { resources: named, prune: options.prune ?? false, ...more };
    return admin.call(resources.apply, { body, reason }).catch((error: Error) => {
      throw withName(error, named);
    });
  };
  const plan = await put({ dryRun: true });
  const open = plan.changes.filter(({ what }) => what !== 'same');
  const done = options.dryRun || open.length === 0;
  if (!globals.json) showPlan(plan);
  if (!done && !(options.yes || (await askWhether(`Change ${open.length} of them?`, '--yes or --dry-run'))))
    throw new CliError('nothing was changed');
  const result = done ? plan : await put({ basis: plan.basis });
  if (!done && !globals.json) say`${open.length} changed, in force on every Proxy\n`;
  return result.changes;
}

function showPlan({ changes }: ResourcesPlan): void {
  const open = changes.filter(({ what }) => what !== 'same');
  if (open.length > 0) printRows(open, ['what', 'name', 'settings'], false);
  say`${changes.length - open.length} of ${changes.length} are as they shall be\n`;
}

/** The server counts, people name: `resources.0.backend` is `wiki: backend`. */
function withName(error: Error, named: ResourcesInput['resources']): Error {
  if (!(error instanceof AdminError)) return error;
  const words = error.message.replace(
    /^resources\.(\d+)\.?/,
    (_, index: string) => `${named[Number(index)]?.name ?? index}: `,
  );
  return new AdminError(error.code, words, { cause: error, ...(error.status && { status: error.status }) });
}

async function readViews(admin: AdminClient, names: readonly string[]): Promise<ResourceView[]> {
  const all = await admin.all(resources.list);
  const missing = names.find((name) => !all.some((view) => view.name === name));
  if (missing !== undefined) throw new CliError(`there is no resource ${missing}`);
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}
