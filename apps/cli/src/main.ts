import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { assertVerifying } from '@sallyport/settings';
import { Command, Help } from 'commander';
import { addContinuousCommands } from './backup/continuous/command.ts';
import { addClusterCommand } from './cluster/command.ts';
import { addAppCommands } from './commands/apps.ts';
import { addBackupCommands } from './commands/backup.ts';
import { addCertificateCommands } from './commands/certificates.ts';
import { addEnrolmentCommands } from './commands/enrolment.ts';
import { addEscrowCommands } from './commands/escrow.ts';
import { addKekCommands } from './commands/keks.ts';
import { addOperatorCommands } from './commands/operators.ts';
import { addPolicyCommands } from './commands/policies.ts';
import { addProxyCommands } from './commands/proxies.ts';
import { addRealmCommands } from './commands/realm.ts';
import { addResourceCommands } from './commands/resources.ts';
import { addSessionCommands } from './commands/sessions.ts';
import { addSiteCommands } from './commands/sites.ts';
import { addStatusCommands } from './commands/status.ts';
import { addUserCommands } from './commands/users.ts';
import { addDeviceCommands } from './device/commands.ts';
import { addDirectoryCommands } from './directory/commands.ts';
import { addDoctorCommand } from './doctor/command.ts';
import { explanationOf } from './explain.ts';
import { addLintCommand } from './lint/command.ts';
import { addStandbyCommands } from './standby/command.ts';
import { printable, warn } from './terminal.ts';
import { addUpCommand } from './up/command.ts';

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
addUpCommand(program);
addClusterCommand(program);
addUserCommands(program);
addResourceCommands(program);
addPolicyCommands(program);
addAppCommands(program);
addDirectoryCommands(program);
addEnrolmentCommands(program);
addSessionCommands(program);
addStatusCommands(program);
addOperatorCommands(program);
addProxyCommands(program);
addSiteCommands(program);
addRealmCommands(program);
addKekCommands(program);
addCertificateCommands(program);
addBackupCommands(program);
addEscrowCommands(program);
addDeviceCommands(program);
addContinuousCommands(program);
addStandbyCommands(program);
addDoctorCommand(program);
addLintCommand(program);

// Who reads only the beginning, like `head`, has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

function explain(error: unknown): void {
  const { words, next, log = [] } = explanationOf(error);
  process.stderr.write(`${styleText('red', 'error')} ${printable(words)}\n`);
  for (const line of log) warn`    ${line}\n`;
  if (next !== undefined) warn`  next: ${next}\n`;
  if (program.opts()['debug'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

await program.parseAsync().catch((error: unknown) => {
  explain(error);
  process.exitCode = 1;
});
