import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { processBegun, readJsonFile, replacePrivateFile, withFileLock } from '@sallyport/settings';

/** A restore that is under way on this machine, or was killed. */
export interface Restoring {
  /** Name of the export. */
  readonly name: string;
  /** Which one it is, as `loadRealm` marks it. */
  readonly mark: string;
  /** Where what was here before is put, as `folder PATH` or `schema NAME`; absent when nothing was. */
  readonly aside?: string | undefined;
  /**
   * Where what was here before restores of other exports, which were begun earlier and never finished, is: theirs is in `aside`.
   * `nothing` when there was nothing; absent when this one was the first.
   */
  readonly first?: string | undefined;
  readonly pid: number;
  /** When that process began, as the system counts: another one may get its number. */
  readonly begun: string;
}

type Folder = { readonly SALLYPORT_DATA: string };

function fileOf({ SALLYPORT_DATA: data }: Folder): string {
  return join(data, 'security', 'restoring.json');
}

/** The restore that this folder is for until it is finished. */
export function readRestoring(folder: Folder): Restoring | undefined {
  const file = fileOf(folder);
  return existsSync(file) ? (readJsonFile(file) as Restoring) : undefined;
}

/** True while the process of a restore lives. */
export function isRestoring({ pid, begun }: Restoring): boolean {
  return pid !== process.pid && processBegun(pid) === begun;
}

/**
 * From now on no server starts on this folder, until the restore is finished.
 * @throws Error while another process restores here
 */
export function beginRestoring(
  folder: Folder,
  { name, mark, aside, first }: Pick<Restoring, 'name' | 'mark' | 'aside' | 'first'>,
): void {
  const { pid } = process;
  const restoring: Restoring = { name, mark, aside, first, pid, begun: processBegun(pid) ?? '' };
  withFileLock(fileOf(folder), () => {
    assertAlone(folder);
    replacePrivateFile(fileOf(folder), `${JSON.stringify(restoring)}\n`);
  });
}

/** @throws Error while another process restores here */
export function assertAlone(folder: Folder): void {
  const other = readRestoring(folder);
  if (other && isRestoring(other))
    throw new Error(`export ${other.name} is being restored here by process ${other.pid}`);
}

/** Where what was here is, once nothing is left of any restore; undefined when nothing was. */
export function placeOfBefore({ aside, first }: Pick<Restoring, 'aside' | 'first'>): string | undefined {
  return first === 'nothing' ? undefined : (first ?? aside);
}

/** The restore is finished. */
export function endRestoring(folder: Folder): void {
  rmSync(fileOf(folder), { force: true });
}

/** @throws Error on a folder that is half restored */
export function assertWhole(folder: Folder): void {
  const restoring = readRestoring(folder);
  if (!restoring) return;
  const { name } = restoring;
  if (isRestoring(restoring)) throw new Error(`export ${name} is being restored here: wait until that is done`);
  throw new Error(
    `the restore of export ${name} was not finished, and nothing half restored serves: run "sallyport backup restore ${name}" again (it goes on where it was), or, ${wayBack(folder, restoring)}`,
  );
}

/** How to do without the restore; nobody is told to remove what was here before. */
function wayBack(folder: Folder, restoring: Restoring): string {
  const aside = placeOfBefore(restoring);
  const file = fileOf(folder);
  if (aside === undefined) return `to begin with an empty realm, remove ${file} and the database beside it`;
  const path = /^folder (.*)$/s.exec(aside)?.[1];
  if (path === undefined)
    return `to go back, remove ${file}: what was here before is in ${aside}, or still in its place if there is no such schema`;
  if (existsSync(path))
    return `to go back, put ${aside}, which is what was here before, in the place of the database, and remove ${file}`;
  return `to go back, remove ${file}: the database beside it is still that of before`;
}
