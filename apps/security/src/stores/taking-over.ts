import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';

/** A takeover with a new epoch, from before the standby is a primary until that epoch has begun. */
export interface TakingOver {
  /** The epoch that the database has until then: as a primary it looks like one that nobody needs to take over. */
  readonly epoch: string;
}

type Folder = { readonly SALLYPORT_DATA: string };

function fileOf({ SALLYPORT_DATA: data }: Folder): string {
  return join(data, 'security', 'taking-over.json');
}

/** The takeover that was begun here and is not finished. */
export function readTakingOver(folder: Folder): TakingOver | undefined {
  const file = fileOf(folder);
  return existsSync(file) ? (readJsonFile(file) as TakingOver) : undefined;
}

/** From now on no server starts on this folder, until the takeover is finished. */
export function beginTakingOver(folder: Folder, { epoch }: TakingOver): void {
  replacePrivateFile(fileOf(folder), `${JSON.stringify({ epoch })}\n`);
}

/** The takeover is finished. */
export function endTakingOver(folder: Folder): void {
  rmSync(fileOf(folder), { force: true });
}

/** @throws Error on a folder whose site has half taken over */
export function assertTakenOver(folder: Folder): void {
  if (readTakingOver(folder))
    throw new Error(
      'the takeover by this site was not finished: run "sallyport standby takeover" again (it goes on where it was)',
    );
}
