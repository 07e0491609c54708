import { formatFault, judgeRealm, type LintFault } from '@sallyport/lint';
import { apps, groups, policies, realm, resources, sites } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { counted, printJson } from '../output.ts';
import { globalsOf, withAdmin } from '../program.ts';
import { say } from '../terminal.ts';
import { judgeFiles } from './files.ts';

interface LintOptions {
  readonly realm?: boolean;
  readonly chart?: string;
}

/** Exit status when there are errors, and when there are only warnings. */
const [ERRORS, WARNINGS] = [2, 1];

/** `sallyport lint` */
export function addLintCommand(program: Command): void {
  const lint = program
    .command('lint')
    .argument(
      '[files...]',
      'environment files, values for the chart (those of one release together), files of resources',
    )
    .description(
      'what is insecure or does nothing in settings, values, the realm, its policies and resources; ends with 0, 1 (warnings) or 2 (errors)',
    )
    .option('--realm', 'the realm, too, by the admin API; alone where no file is named')
    .option('--chart <folder>', 'the chart that values are for; that of this clone unless given');
  lint.action(async (files: string[], options: LintOptions) => {
    const globals = globalsOf(lint);
    const faults = await judgeFiles(files, options.chart);
    if (options.realm || files.length === 0) faults.push(...(await withAdmin(globals, judgeLiveRealm)));
    if (globals.json) printJson(faults);
    else show(faults);
    const has = (severity: LintFault['severity']): boolean => faults.some((fault) => fault.severity === severity);
    process.exitCode = has('error') ? ERRORS : has('warning') ? WARNINGS : 0;
  });
}

async function judgeLiveRealm(admin: AdminClient): Promise<LintFault[]> {
  return judgeRealm({
    settings: await admin.call(realm.get),
    sites: await admin.all(sites.list),
    apps: await admin.all(apps.list),
    policies: await admin.all(policies.list),
    resources: await admin.all(resources.list),
    groups: (await admin.all(groups.list)).map(({ name }) => name),
  });
}

function show(faults: readonly LintFault[]): void {
  for (const fault of faults) say`${formatFault(fault)}\n`;
  const errors = faults.filter(({ severity }) => severity === 'error').length;
  if (faults.length === 0) say`✔ nothing is wrong\n`;
  else say`${counted(errors, 'error')}, ${counted(faults.length - errors, 'warning')}\n`;
}
