import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replacePrivateFile } from '@sallyport/settings';

/** A restore that is under way on this machine, or was killed. */
export interface Restoring {
  /** Name of the export. */
  readonly name: string;
  /** Which one it is, as `loadRealm` marks it. */
  readonly mark: string;
  /** Where what was here before is put, as `folder PATH` or `schema NAME`; absent when nothing was. */
  readonly aside?: string | undefined;
  readonly pid: number;
  /** When that process began, as the system counts: another one may get its number. */
  readonly begun: string;
}

type Folder = { readonly SALLYPORT_DATA: string };

function fileOf({ SALLYPORT_DATA: data }: Folder): string {
  return join(data, 'security', 'restoring.json');
}

/** Field 22 of `/proc/<pid>/stat` (proc(5)); undefined when there is no such process, or one that has ended (state Z or X). */
function begunOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 'ZXx'.includes(state) ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

/** The restore that this folder is for until it is finished. */
export function readRestoring(folder: Folder): Restoring | undefined {
  const file = fileOf(folder);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Restoring) : undefined;
}

/** True while the process of a restore lives. */
export function isRestoring({ pid, begun }: Restoring): boolean {
  return pid !== process.pid && begunOf(pid) === begun;
}

/** From now on no server starts on this folder, until the restore is finished. */
export function beginRestoring(
  folder: Folder,
  { name, mark, aside }: Pick<Restoring, 'name' | 'mark' | 'aside'>,
): void {
  const restoring: Restoring = { name, mark, aside, pid: process.pid, begun: begunOf(process.pid) ?? '' };
  replacePrivateFile(fileOf(folder), `${JSON.stringify(restoring)}\n`);
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
function wayBack(folder: Folder, { aside }: Restoring): string {
  const file = fileOf(folder);
  if (aside === undefined) return `to begin with an empty realm, remove ${file} and the database beside it`;
  const path = /^folder (.*)$/s.exec(aside)?.[1];
  if (path === undefined)
    return `to go back, remove ${file}: what was here before is in ${aside}, or still in its place if there is no such schema`;
  if (existsSync(path))
    return `to go back, put ${aside}, which is what was here before, in the place of the database, and remove ${file}`;
  return `to go back, remove ${file}: the database beside it is still that of before`;
}
