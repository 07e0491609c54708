import { randomBytes } from 'node:crypto';
import type { BackupTarget } from './target.ts';

/** Names of the objects of one export, in the order in which they are written; without a manifest there is no export. */
export const EXPORT_OBJECTS = {
  readme: 'README.txt',
  data: 'data.age',
  manifest: 'manifest.json',
  receipt: 'receipt.json',
} as const;

const NAME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{8}$/;

/** A new name for an export taken at this time (epoch ms), like `20261126T141500Z-9f2c01ab`: sorted by name is sorted by time. */
export function newExportName(takenAt: number): string {
  const time = new Date(takenAt).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return `${time}Z-${randomBytes(4).toString('hex')}`;
}

/** When an export of this name was taken, epoch ms to the second; undefined when it is no such name. */
export function timeOfName(name: string): number | undefined {
  const [, year, month, day, hour, minute, second] = NAME.exec(name) ?? [];
  const time = year ? Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** The folder of a realm at a target: its name, where bytes other than letters, digits and `-` are `_` and two hex digits. */
export function realmFolder(realm: string): string {
  const escaped = (byte: number): string => `_${byte.toString(16).padStart(2, '0')}`;
  return Array.from(Buffer.from(realm), (byte) =>
    /[A-Za-z0-9-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : escaped(byte),
  ).join('');
}

/** The path of an object of an export. */
export function objectPath(
  realm: string,
  name: string,
  object: (typeof EXPORT_OBJECTS)[keyof typeof EXPORT_OBJECTS],
): string {
  return `${realmFolder(realm)}/${name}/${object}`;
}

/** One folder of an export at a target, and what is in it. */
export interface ExportFolder {
  readonly name: string;
  /** When it was taken, by its name, epoch ms. */
  readonly takenAt: number;
  /** Names and bytes of its objects. */
  readonly objects: ReadonlyMap<string, number>;
  /** It has a manifest. One without is being written, or was left or pruned half: it counts for nothing. */
  readonly whole: boolean;
}

/** Exports of a realm at a target, the oldest first, also those that are not whole. Nothing of them is read. */
export async function listExports(target: BackupTarget, realm: string): Promise<readonly ExportFolder[]> {
  const folder = realmFolder(realm);
  const objects = new Map<string, Map<string, number>>();
  for (const { path, bytes } of await target.list(folder)) {
    const [name = '', object = '', ...deeper] = path.slice(folder.length + 1).split('/');
    if (timeOfName(name) === undefined || deeper.length > 0) continue;
    objects.set(name, (objects.get(name) ?? new Map()).set(object, bytes));
  }
  return [...objects.keys()].sort().map((name) => {
    const own = objects.get(name)!;
    return { name, takenAt: timeOfName(name)!, objects: own, whole: own.has(EXPORT_OBJECTS.manifest) };
  });
}
