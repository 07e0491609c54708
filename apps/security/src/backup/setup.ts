import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { diskOfFolder, openTarget, type TargetPlace } from '@sallyport/backup';
import type { Config } from '../config.ts';
import type { BackupSetup } from './status.ts';

/** A share that does not answer within that is on no disk of ours, ms. */
const LOOK_MS = 2_000;

/** How backups are set up here, and what is doubtful about it. */
export async function backupSetup(config: Config): Promise<BackupSetup> {
  const places = config.SALLYPORT_BACKUP_TARGETS;
  const external = config.SALLYPORT_DATABASE_HOSTS.length > 0;
  return {
    places: places.map(({ description }) => description),
    everyMs: config.SALLYPORT_BACKUP_EVERY_MS,
    keep: config.SALLYPORT_BACKUP_KEEP,
    doubts: external ? [] : await sameDisk(places, config.SALLYPORT_DATA),
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
async function sameDisk(places: readonly TargetPlace[], data: string): Promise<string[]> {
  const { dev } = await stat(data);
  const disks = await Promise.all(places.map(({ folder }) => (folder === undefined ? undefined : diskSoon(folder))));
  return places
    .filter((_, i) => disks[i] === dev)
    .map(({ description }) => `backups in ${description} are on the disk of the database, and are lost with it`);
}

/** A start waits for no share. */
function diskSoon(folder: string): Promise<number | undefined> {
  return Promise.race([diskOfFolder(folder).catch(() => undefined), sleep(LOOK_MS, undefined, { ref: false })]);
}
