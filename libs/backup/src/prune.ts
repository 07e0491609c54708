import { BackupError } from './errors.ts';
import { type KeepPlan, type KeepRule, type KeptExport, planKeep, standIns } from './keep.ts';
import type { ExportWorth } from './look.ts';
import { EXPORT_OBJECTS, listExports, objectPath, realmFolder } from './name.ts';
import type { BackupTarget } from './target.ts';

/** What is pruned, and by which rule. */
export interface PruneOrder {
  readonly realm: string;
  readonly rule: KeepRule;
  /** Epoch ms. */
  readonly now: number;
  /** Looks at what others make way for (`worthOf`). What is worth nothing counts for nothing, and is nobody's to remove. */
  readonly worth: (name: string) => Promise<ExportWorth>;
  /** Only says what would go. */
  readonly dryRun?: boolean;
}

/** What was planned, and what has really gone. */
export interface Pruned extends KeepPlan {
  readonly removed: readonly string[];
}

/** Looked at in one turn, at most. */
const MAX_LOOKS = 1_000;

/**
 * Removes exports that are not kept any more. Nothing goes for what only seems to be an export or verified: whoever can write to the
 * target, and not remove, would have good ones removed by what he puts there. Of each the manifest goes first: from then on there is no export, and what is left of it
 * goes at the next time when this one is broken off. Before each it is looked again whether it was verified meanwhile, so that two who
 * prune at once leave a verified one. Copies of the journal stay: they are as lasting as the revocation log, and any export may need them.
 * @throws TargetError; BackupError ERR_BACKUP_MANIFEST when too much there is not what it seems, and nothing is removed
 */
export async function pruneExports(
  target: BackupTarget,
  { realm, rule, now, worth, dryRun = false }: PruneOrder,
): Promise<Pruned> {
  const found = await listExports(target, realm);
  const hasReceipt = new Set(
    found.filter(({ objects }) => objects.has(EXPORT_OBJECTS.receipt)).map(({ name }) => name),
  );
  const exports = found.map(({ name, takenAt, whole }) => {
    return { name, takenAt, whole, verified: hasReceipt.has(name) };
  });
  const plan = await provenPlan(exports, { rule, now, worth });
  const removed: string[] = [];
  if (dryRun) return { ...plan, removed };
  for (const name of plan.remove)
    if (await removeExport(target, { realm, name, hadReceipt: hasReceipt.has(name) })) removed.push(name);
  return { ...plan, removed };
}

/** A plan in which nothing goes for what was not looked at. */
async function provenPlan(
  exports: readonly KeptExport[],
  { rule, now, worth }: Pick<PruneOrder, 'rule' | 'now' | 'worth'>,
): Promise<KeepPlan> {
  const worths = new Map<string, ExportWorth>();
  for (;;) {
    const seen = exports.filter(({ name }) => worths.get(name) !== 'nothing');
    const proven = seen.map((one) => ({
      ...one,
      verified: (worths.get(one.name) ?? 'verified') === 'verified' && one.verified,
    }));
    const plan = planKeep(proven, rule, now);
    const unseen = [...standIns(proven, rule, plan)].filter((name) => !worths.has(name));
    if (unseen.length === 0) return plan;
    if (worths.size + unseen.length > MAX_LOOKS)
      throw new BackupError('ERR_BACKUP_MANIFEST', 'too much there is not what it seems: nothing is removed');
    for (const name of unseen) worths.set(name, await worth(name));
  }
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
