import { existsSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import {
  type BackupIdentity,
  type BackupTarget,
  checkReceipt,
  EXPORT_OBJECTS,
  type FoundManifest,
  listExports,
  type ManifestKeys,
  objectPath,
  readManifest,
  readObject,
  timeOfName,
} from '@sallyport/backup';

/** Which export is meant. */
export interface ExportChoice {
  readonly realm: string;
  /** Its name, the path of its folder, or `newest`: the newest that was verified. */
  readonly which: string;
  /** Only one that was taken before this, epoch ms. */
  readonly before: number | undefined;
  readonly keys: ManifestKeys;
  readonly identity: BackupIdentity;
}

/** The chosen one. */
export interface ChosenExport {
  readonly found: FoundManifest;
  /** Somebody has restored it into a scratch database, and signed for it with this identity. */
  readonly verified: boolean;
  /** Newer ones that were passed over, and why. */
  readonly passedOver: readonly string[];
}

/** What is asked for, and where it is: a folder of an export says both. */
export function exportPlaceOf(
  which: string,
  target: string | undefined,
): { readonly which: string; readonly target: string } {
  const folder = resolve(which);
  if (
    target === undefined &&
    existsSync(resolve(folder, EXPORT_OBJECTS.manifest)) &&
    timeOfName(basename(folder)) !== undefined
  )
    return { which: basename(folder), target: dirname(dirname(folder)) };
  if (target === undefined && existsSync(folder) && statSync(folder).isDirectory())
    return { which: 'newest', target: folder };
  if (target === undefined)
    throw new Error('where is the export? --target FOLDER, sftp://… or s3://…, or the path of its folder');
  return { which, target };
}

/**
 * Finds the export that is meant; its manifest fits the keys of the realm.
 * @throws BackupError, TargetError, Error when there is none
 */
export async function chooseExport(target: BackupTarget, choice: ExportChoice): Promise<ChosenExport> {
  const { realm, which, before, keys, identity } = choice;
  if (which !== 'newest') {
    const found = await readManifest(target, { realm, name: which, keys });
    return { found, verified: await isVerified(target, found, identity), passedOver: [] };
  }
  const exports = (await listExports(target, realm)).filter(({ whole }) => whole);
  const fitting = exports.filter(({ takenAt }) => before === undefined || takenAt <= before);
  const newest = fitting.at(-1)?.name;
  const passedOver: string[] = [];
  let fault: unknown;
  for (const { name } of fitting.reverse()) {
    try {
      const found = await readManifest(target, { realm, name, keys });
      if (await isVerified(target, found, identity)) return { found, verified: true, passedOver };
      passedOver.push(`${name}: nobody has verified it`);
    } catch (error) {
      throwIfSilent(error);
      fault ??= error;
      passedOver.push(`${name}: ${(error as Error).message}`);
    }
  }
  if (fault !== undefined) throw fault;
  throw new Error(
    newest === undefined
      ? `${target.description} has no export of realm ${realm}${before === undefined ? '' : ' that is that old'}`
      : `no export there was verified with this identity; the newest is ${newest}: name it to restore it all the same`,
  );
}

async function isVerified(
  target: BackupTarget,
  { manifest, text }: FoundManifest,
  identity: BackupIdentity,
): Promise<boolean> {
  try {
    const receipt = await readObject(target, objectPath(manifest.realm, manifest.name, EXPORT_OBJECTS.receipt));
    checkReceipt(receipt, { manifest: text, recipients: [identity.recipient] });
    return true;
  } catch (error) {
    throwIfSilent(error);
    return false;
  }
}

/** A target that does not answer says nothing about an export: nobody restores an older one for that. */
function throwIfSilent(error: unknown): void {
  const { code = '' } = error as { readonly code?: string };
  if (code.startsWith('ERR_TARGET_') && code !== 'ERR_TARGET_MISSING') throw error;
}
