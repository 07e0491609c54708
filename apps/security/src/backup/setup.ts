import { statSync } from 'node:fs';
import { openTarget, type TargetPlace } from '@sallyport/backup';
import type { Config } from '../config.ts';
import type { BackupSetup } from './status.ts';

/** How backups are set up here, and what is doubtful about it. */
export function backupSetup(config: Config): BackupSetup {
  const places = config.SALLYPORT_BACKUP_TARGETS;
  const external = config.SALLYPORT_DATABASE_HOSTS.length > 0;
  return {
    places: places.map(({ description }) => description),
    everyMs: config.SALLYPORT_BACKUP_EVERY_MS,
    keep: config.SALLYPORT_BACKUP_KEEP,
    doubts: external ? [] : sameDisk(places, config.SALLYPORT_DATA),
    external,
  };
}

/** The targets of the settings, to be opened whenever one is needed: only where each has its mark. */
export function backupTargetsOf(
  config: Config,
): readonly { readonly description: string; readonly open: () => ReturnType<typeof openTarget> }[] {
  return config.SALLYPORT_BACKUP_TARGETS.map((place) => ({
    description: place.description,
    open: () => openTarget(place),
  }));
}

/** A folder on the disk of the database goes with it. */
function sameDisk(places: readonly TargetPlace[], data: string): string[] {
  const disk = diskOf(data);
  return places
    .filter(({ folder }) => folder !== undefined && disk !== undefined && diskOf(folder) === disk)
    .map(({ description }) => `backups in ${description} are on the disk of the database, and are lost with it`);
}

function diskOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.dev;
}
