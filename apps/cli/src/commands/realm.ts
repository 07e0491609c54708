import { realm } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand } from '../operator-command.ts';
import { CliError, printJson } from '../output.ts';
import { say } from '../terminal.ts';
import { addRealmLifeCommands } from './realm-life.ts';

/** `sallyport realm …` */
export function addRealmCommands(program: Command): void {
  const settings = program.command('realm').description('settings of the realm');
  addOperatorCommand(settings, {
    name: 'get',
    about: 'all settings',
    run: (admin) => admin.call(realm.get),
    show: printJson,
  });
  addOperatorCommand(settings, {
    name: 'set <name> <json>',
    about: 'change one setting',
    run: (admin, { reason }, name: string, json: string) =>
      admin.call(realm.change, { body: { [name]: parseJsonOrText(json) }, reason }),
    show: printJson,
  });
  addOperatorCommand(settings, {
    name: 'replace-handshake-keys',
    about: 'take all handshake keys of Security out of use but a new one, because they may be in wrong hands',
    reason: ['replacing the keys of Security', 'a backup was stolen'],
    run: (admin, { reason }) => admin.call(realm.rekey, { reason }),
    show: ({ kid, revoked }) =>
      say`✔ key ${String(kid)} is the only one now; devices learn of it by themselves, links with ${revoked.join(', ')} are refused\n`,
  });
  addRealmLifeCommands(settings);
}

function parseJsonOrText(text: string): unknown {
  if (text === '') throw new CliError('the value is empty');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
