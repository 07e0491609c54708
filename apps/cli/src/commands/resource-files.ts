import type { ResourcesInput, ResourcesPlan, ResourceView } from '@sallyport/security-api';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.ts';
import { CliError, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { fileOf, formatResources, readResources } from '../resources/file.ts';
import { askWhether } from '../secrets.ts';
import { printable, say } from '../terminal.ts';

interface ApplyOptions {
  readonly file: string;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const PATH = '/v1/resources';

/** `sallyport resource apply|export` */
export function addFileCommands(resource: Command): void {
  resource
    .command('apply')
    .description('make resources what a file says, all of them or none; shows the plan and asks before')
    .requiredOption('-f, --file <file>', 'YAML or JSON; - for standard input')
    .option('--prune', 'remove resources that the file does not name')
    .option('--dry-run', 'only show the plan')
    .option('-y, --yes', 'do not ask')
    .action(apply);
  resource
    .command('export [names...]')
    .description('resources as a file for apply, on standard output; without passwords and keys')
    .action(exportAll);
}

async function apply(options: ApplyOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const resources = await readResources(options.file);
  const body: ResourcesInput = { resources, prune: options.prune ?? false };
  const reason = reasonOf(globals, 'resource apply');
  await withAdmin(globals, async (admin) => {
    const put = (more: object): Promise<ResourcesPlan> =>
      admin.call<ResourcesPlan>('PUT', PATH, { body: { ...body, ...more }, reason }).catch((error: CliError) => {
        throw named(error, resources);
      });
    const plan = await put({ dryRun: true });
    const { changes } = plan;
    const open = changes.filter(({ what }) => what !== 'same');
    const done = options.dryRun || open.length === 0;
    if (!globals.json) showPlan(plan);
    if (!done && !(options.yes || (await askWhether(`Change ${open.length} of them?`, '--yes or --dry-run'))))
      throw new CliError('nothing was changed');
    const result = done ? plan : await put({ basis: plan.basis });
    if (globals.json) return printJson(result.changes);
    if (!done) say`${open.length} changed, in force on every Proxy\n`;
  });
}

function showPlan({ changes }: ResourcesPlan): void {
  const open = changes.filter(({ what }) => what !== 'same');
  if (open.length > 0) printRows(open, ['what', 'name', 'settings'], false);
  say`${changes.length - open.length} of ${changes.length} are as they shall be\n`;
}

/** The server counts, people name: `resources.0.backend` is `wiki: backend`. */
function named(error: CliError, resources: ResourcesInput['resources']): Error {
  if (!(error instanceof CliError)) return error;
  const words = error.message.replace(
    /^resources\.(\d+)\.?/,
    (_, index: string) => `${resources[Number(index)]?.name ?? index}: `,
  );
  return new CliError(words, error.next, error.code);
}

async function exportAll(names: readonly string[], _options: unknown, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const views = await withAdmin(globals, (admin) => readViews(admin, names));
  if (globals.json) return printJson(fileOf(views));
  const text = formatResources(views);
  // A file gets the text as it is, a terminal nothing that it would obey.
  process.stdout.write(process.stdout.isTTY ? text.split('\n').map(printable).join('\n') : text);
}

async function readViews(admin: AdminClient, names: readonly string[]): Promise<ResourceView[]> {
  const all = await allPages<ResourceView>(admin, PATH, ({ name }) => name);
  const missing = names.find((name) => !all.some((view) => view.name === name));
  if (missing !== undefined) throw new CliError(`there is no resource ${missing}`);
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}
