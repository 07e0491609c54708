import type { CodeView, InstallationView } from '@sallyport/security-api';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { CliError, formatTime, printJson, printRows } from '../output.ts';
import { allPages } from '../pages.ts';
import { globalsOf, reasonOf, withAdmin } from '../program.ts';
import { say } from '../terminal.ts';
import { revokeAndSay } from './sessions.ts';

/** `sallyport code …` and `sallyport installation …` */
export function addEnrolmentCommands(program: Command): void {
  const code = program.command('code').description('activation codes');
  code
    .command('new <user>')
    .description('issue a single-use code, as link and QR code')
    .option('--hours <n>', 'how long it is good', '24')
    .action(async (user: string, options: { hours: string }, command: Command) => {
      const globals = globalsOf(command);
      const ttlMs = Number(options.hours) * 3_600_000;
      if (!Number.isInteger(ttlMs)) throw new CliError('--hours is not a number');
      const body = { user, ttlMs };
      const view = await withAdmin(globals, (admin) =>
        admin.call<CodeView>('POST', '/v1/codes', { body, reason: reasonOf(globals, 'code new') }),
      );
      if (globals.json) return printJson(view);
      // No phone opens a link to this machine.
      if (!isLocal(view.link)) process.stdout.write(`${renderUnicodeCompact(view.link, { ecc: 'L' })}\n\n`);
      say`Enrolment link for ${user}, good until ${formatTime(view.expiresAt)}:\n${view.link}\n`;
    });
  const installation = program.command('installation').description('enrolled apps');
  installation
    .command('list')
    .description('all installations')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      const rows = await withAdmin(globals, (admin) =>
        allPages<InstallationView>(admin, '/v1/installations', ({ id }) => id),
      );
      printRows(rows, ['id', 'user', 'status', 'generation', 'app', 'model', 'lastSeenAt'], globals.json);
    });
  installation
    .command('revoke <id>')
    .description('end an installation with all its sessions')
    .action((id: string, _options, command: Command) => revokeAndSay(command, 'installation', id));
}

function isLocal(link: string): boolean {
  const host = URL.parse(link)?.hostname ?? '';
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);
}
