import type { CodeView } from '@sallyport/security-api';
import { codes, installations } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { addOperatorCommand, type Given, table } from '../operator-command.ts';
import { CliError, formatTime } from '../output.ts';
import { say } from '../terminal.ts';
import { addRevokeCommand } from './sessions.ts';

/** Options of `code new`. */
interface CodeOptions {
  readonly hours: string;
  readonly pinSite?: string;
  readonly pinOrigin?: string;
}

/** `sallyport code …` and `sallyport installation …` */
export function addEnrolmentCommands(program: Command): void {
  const code = program.command('code').description('activation codes');
  addOperatorCommand(code, {
    name: 'new <user>',
    about: 'issue a single-use code, as link and QR code',
    options: [
      ['--hours <n>', 'how long it is good', '24'],
      ['--pin-site <name>', 'the device goes by the Proxies of this site only'],
      ['--pin-origin <url>', 'the device goes by this Proxy only, wss://host[:port]'],
    ],
    run: async (admin, { options, reason }: Given<CodeOptions>, user: string) => {
      const ttlMs = Number(options.hours) * 3_600_000;
      if (!Number.isInteger(ttlMs)) throw new CliError('--hours is not a number');
      const { pinSite, pinOrigin } = options;
      const pin = { ...(pinSite === undefined ? {} : { pinSite }), ...(pinOrigin === undefined ? {} : { pinOrigin }) };
      return admin.call(codes.issue, { body: { user, ttlMs, ...pin }, reason });
    },
    show: sayCode,
  });
  const installation = program.command('installation').description('enrolled apps');
  addOperatorCommand(installation, {
    name: 'list',
    about: 'all installations',
    run: (admin) => admin.all(installations.list),
    show: table(['id', 'user', 'status', 'generation', 'app', 'model', 'evidence', 'evidenceAt', 'lastSeenAt']),
  });
  addRevokeCommand(installation, {
    name: 'revoke <id>',
    about: 'end an installation with all its sessions',
    kind: 'installation',
  });
}

function sayCode({ user, link, expiresAt }: CodeView): void {
  // No phone opens a link to this machine.
  if (!isLocal(link)) process.stdout.write(`${renderUnicodeCompact(link, { ecc: 'L' })}\n\n`);
  say`Enrolment link for ${user}, good until ${formatTime(expiresAt)}:\n${link}\n`;
}

function isLocal(link: string): boolean {
  const host = URL.parse(link)?.hostname ?? '';
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);
}
