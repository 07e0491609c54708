import { BackupError, TargetError } from './errors.ts';
import { type ManifestKeys, readManifest, readObject } from './export.ts';
import type { Recipient } from './identity.ts';
import { EXPORT_OBJECTS, type ExportFolder, listExports, objectPath } from './name.ts';
import { checkReceipt } from './receipt.ts';
import type { BackupTarget } from './target.ts';

/** What a target is looked at with. */
export interface TargetLook {
  readonly realm: string;
  /** Keys of the realm: another's export counts for nothing. */
  readonly keys: ManifestKeys;
  /** Whose receipts count. */
  readonly recipients: readonly Recipient[];
  /** Name of the newest export that was made here before: a target that has lost it is named. */
  readonly expected?: string | undefined;
}

/** What is at a target. Times are epoch ms. */
export interface TargetFindings {
  /** Whole ones, the oldest first. */
  readonly exports: readonly ExportFolder[];
  /** Those with a good receipt: the newest two, no others are looked at. Newest first. */
  readonly verified: readonly { readonly name: string; readonly takenAt: number; readonly verifiedAt: number }[];
  /** Names of those whose manifest or receipt is not good. */
  readonly doubtful: ReadonlySet<string>;
  /** The first thing that is wrong with what is there. */
  readonly fault: BackupError | TargetError | undefined;
}

/** Verified ones that are looked for: two stay whatever their age (`planKeep`). */
const VERIFIED_WANTED = 2;
/** Receipts that are looked at: whoever plants bad ones makes nobody read forever. */
const MAX_LOOKS = 50;

/**
 * Looks at what is there without reading any data: manifests by their MAC, receipts by their signature, from the newest on.
 * @throws TargetError when the target does not answer
 */
export async function lookAtTarget(target: BackupTarget, look: TargetLook): Promise<TargetFindings> {
  const exports = (await listExports(target, look.realm)).filter(({ whole }) => whole);
  const verified: { name: string; takenAt: number; verifiedAt: number }[] = [];
  const doubtful = new Set<string>();
  let fault: TargetFindings['fault'] = await lostFault(target, exports, look);
  const candidates = exports.filter(({ objects }) => objects.has(EXPORT_OBJECTS.receipt)).reverse();
  for (const { name } of candidates.slice(0, MAX_LOOKS)) {
    if (verified.length === VERIFIED_WANTED) break;
    try {
      verified.push(await readVerified(target, name, look));
    } catch (error) {
      fault ??= faultOf(target, name, error);
      doubtful.add(name);
    }
  }
  return { exports, verified, doubtful, fault };
}

async function readVerified(
  target: BackupTarget,
  name: string,
  { realm, keys, recipients }: TargetLook,
): Promise<TargetFindings['verified'][number]> {
  const { manifest, text } = await readManifest(target, { realm, name, keys });
  const receipt = await readObject(target, objectPath(realm, name, EXPORT_OBJECTS.receipt));
  const { verifiedAt } = checkReceipt(receipt, { manifest: text, recipients });
  return { name, takenAt: Date.parse(manifest.takenAt), verifiedAt: Date.parse(verifiedAt) };
}

/** What an export is worth: a manifest of the realm and a receipt that counts, a manifest, or neither. */
export type ExportWorth = 'verified' | 'whole' | 'nothing';

/** Looks at manifest and receipt of one export. @throws TargetError when the target does not answer */
export async function worthOf(
  target: BackupTarget,
  name: string,
  look: Pick<TargetLook, 'realm' | 'keys' | 'recipients'>,
): Promise<ExportWorth> {
  if (!(await isGenuine(target, { ...look, name }))) return 'nothing';
  try {
    await readVerified(target, name, look);
    return 'verified';
  } catch (error) {
    faultOf(target, name, error);
    return 'whole';
  }
}

/** Some trouble is the target's as a whole; what it lists and does not have is a lie, unless somebody removes it just now. */
function faultOf(target: BackupTarget, name: string, error: unknown): BackupError | TargetError | undefined {
  if (error instanceof BackupError) return error;
  if (!(error instanceof TargetError) || error.code !== 'ERR_TARGET_MISSING') throw error;
  return new TargetError('ERR_TARGET_DAMAGED', `${target.description} lists ${name} and does not have it`, {
    cause: error,
  });
}

/** What was made last is there until a newer one of the realm is, whatever names others put there; nobody prunes the newest. */
async function lostFault(
  target: BackupTarget,
  exports: readonly ExportFolder[],
  { realm, keys, expected }: TargetLook,
): Promise<TargetError | undefined> {
  if (expected === undefined || exports.some(({ name }) => name === expected)) return undefined;
  const newer = exports.filter(({ name }) => name > expected).reverse();
  for (const { name } of newer.slice(0, MAX_LOOKS))
    if (await isGenuine(target, { realm, name, keys })) return undefined;
  return new TargetError('ERR_TARGET_DAMAGED', `${target.description} has lost ${expected}, which it had taken`);
}

async function isGenuine(target: BackupTarget, which: Parameters<typeof readManifest>[1]): Promise<boolean> {
  try {
    await readManifest(target, which);
    return true;
  } catch (error) {
    faultOf(target, which.name, error);
    return false;
  }
}
