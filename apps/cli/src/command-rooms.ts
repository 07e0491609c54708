import type { Command } from 'commander';

type AddCommands = (program: Command) => void;

/** Commands of one room, by their first words. */
interface CommandRoom {
  readonly words: readonly string[];
  /** Reads the room, and all that it imports. */
  readonly open: () => Promise<AddCommands>;
}

/** All rooms, in the order of the help. */
export const COMMAND_ROOMS: readonly CommandRoom[] = [
  { words: ['up'], open: async () => (await import('./up/command.ts')).addUpCommand },
  { words: ['cluster'], open: async () => (await import('./cluster/command.ts')).addClusterCommand },
  { words: ['user', 'group'], open: async () => (await import('./commands/users.ts')).addUserCommands },
  { words: ['resource'], open: async () => (await import('./commands/resources.ts')).addResourceCommands },
  { words: ['policy'], open: async () => (await import('./commands/policies.ts')).addPolicyCommands },
  { words: ['app'], open: async () => (await import('./commands/apps.ts')).addAppCommands },
  { words: ['directory'], open: async () => (await import('./directory/commands.ts')).addDirectoryCommands },
  { words: ['code', 'installation'], open: async () => (await import('./commands/enrolment.ts')).addEnrolmentCommands },
  {
    words: ['session', 'revoke', 'audit'],
    open: async () => (await import('./commands/sessions.ts')).addSessionCommands,
  },
  { words: ['status', 'node'], open: async () => (await import('./commands/status.ts')).addStatusCommands },
  { words: ['login', 'operator'], open: async () => (await import('./commands/operators.ts')).addOperatorCommands },
  { words: ['proxy'], open: async () => (await import('./commands/proxies.ts')).addProxyCommands },
  { words: ['site'], open: async () => (await import('./commands/sites.ts')).addSiteCommands },
  { words: ['realm'], open: async () => (await import('./commands/realm.ts')).addRealmCommands },
  { words: ['kek'], open: async () => (await import('./commands/keks.ts')).addKekCommands },
  { words: ['certificate'], open: async () => (await import('./commands/certificates.ts')).addCertificateCommands },
  { words: ['backup'], open: async () => (await import('./commands/backup.ts')).addBackupCommands },
  { words: ['escrow'], open: async () => (await import('./commands/escrow.ts')).addEscrowCommands },
  { words: ['device'], open: async () => (await import('./device/commands.ts')).addDeviceCommands },
  { words: ['backup'], open: async () => (await import('./backup/continuous/command.ts')).addContinuousCommands },
  { words: ['standby'], open: async () => (await import('./standby/command.ts')).addStandbyCommands },
  { words: ['doctor'], open: async () => (await import('./doctor/command.ts')).addDoctorCommand },
  { words: ['lint'], open: async () => (await import('./lint/command.ts')).addLintCommand },
];

/**
 * Adds the commands that somebody may mean by these words: reading all of them takes a second. Whoever names none, as for the help,
 * gets all.
 */
export async function addCommandsFor(program: Command, words: readonly string[]): Promise<void> {
  const named = COMMAND_ROOMS.filter((room) => room.words.some((word) => words.includes(word)));
  const added = await Promise.all((named.length === 0 ? COMMAND_ROOMS : named).map(({ open }) => open()));
  for (const add of added) add(program);
}
