import { type KeepPlan, type KeepRule, planKeep } from './keep.ts';
import { EXPORT_OBJECTS, listExports, objectPath, realmFolder } from './name.ts';
import type { BackupTarget } from './target.ts';

/** What is pruned, and by which rule. */
export interface PruneOrder {
  readonly realm: string;
  readonly rule: KeepRule;
  /** Epoch ms. */
  readonly now: number;
  /** Names of those whose receipt was looked at and counts for nothing. */
  readonly doubtful?: ReadonlySet<string>;
  /** Only says what would go. */
  readonly dryRun?: boolean;
}

/** What was planned, and what has really gone. */
export interface Pruned extends KeepPlan {
  readonly removed: readonly string[];
}

/**
 * Removes exports that are not kept any more. Of each the manifest goes first: from then on there is no export, and what is left of it
 * goes at the next time when this one is broken off. Before each it is looked again whether it was verified meanwhile, so that two who
 * prune at once leave a verified one. Copies of the journal stay: they are as lasting as the revocation log, and any export may need them.
 * @throws TargetError
 */
export async function pruneExports(
  target: BackupTarget,
  { realm, rule, now, doubtful = new Set(), dryRun = false }: PruneOrder,
): Promise<Pruned> {
  const found = await listExports(target, realm);
  const hasReceipt = new Set(
    found.filter(({ objects }) => objects.has(EXPORT_OBJECTS.receipt)).map(({ name }) => name),
  );
  const exports = found.map(({ name, takenAt, whole }) => {
    return { name, takenAt, whole, verified: hasReceipt.has(name) && !doubtful.has(name) };
  });
  const plan = planKeep(exports, rule, now);
  const removed: string[] = [];
  if (dryRun) return { ...plan, removed };
  for (const name of plan.remove)
    if (await removeExport(target, { realm, name, hadReceipt: hasReceipt.has(name) })) removed.push(name);
  return { ...plan, removed };
}

/** Removes one export, the manifest first; false when a receipt came meanwhile. */
async function removeExport(
  target: BackupTarget,
  { realm, name, hadReceipt }: { readonly realm: string; readonly name: string; readonly hadReceipt: boolean },
): Promise<boolean> {
  const folder = `${realmFolder(realm)}/${name}`;
  const there = (await target.list(folder)).map(({ path }) => path);
  if (!hadReceipt && there.includes(objectPath(realm, name, EXPORT_OBJECTS.receipt))) return false;
  const manifest = objectPath(realm, name, EXPORT_OBJECTS.manifest);
  await target.remove(manifest);
  for (const path of there) if (path !== manifest) await target.remove(path);
  return true;
}
