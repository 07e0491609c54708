import type { Command } from 'commander';
import { addBackupExportCommands } from './backup-exports.ts';
import { addDrillCommand, addRestoreCommand } from './backup-restore.ts';
import { addBackupScheduleCommands } from './backup-schedule.ts';

/** `sallyport backup …` */
export function addBackupCommands(program: Command): void {
  const backup = program.command('backup').description('backups, and what they are restored from');
  addBackupScheduleCommands(program);
  addRestoreCommand(backup);
  addDrillCommand(backup);
  addBackupExportCommands(backup);
}
