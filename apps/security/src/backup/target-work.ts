import type { BackupFinding } from '@sallyport/access';
import {
  type BackupTarget,
  type KeepRule,
  lookAtTarget,
  type ManifestKeys,
  pruneExports,
  putExport,
  type Recipient,
  type SealedExport,
  worthOf,
} from '@sallyport/backup';

/** What is done at one target. */
export interface TargetTask {
  readonly realm: string;
  readonly open: () => Promise<BackupTarget>;
  /** Makes the export, or waits for the one that others wait for as well; undefined: it is only looked at. */
  readonly seal: (() => Promise<SealedExport>) | undefined;
  /** Name of the newest export that was made here before. */
  readonly expected: string | undefined;
  readonly keys: ManifestKeys;
  readonly recipients: readonly Recipient[];
  readonly rule: KeepRule;
  /** Epoch ms. */
  readonly wallMs: () => number;
  /** Hears that it goes on. */
  readonly alive: () => void;
}

type Trouble = NonNullable<BackupFinding['trouble']>;

/**
 * Puts an export at a target, looks what is there, and prunes. Each step is tried even if one before has failed, because a target
 * that is full needs pruning most; the first trouble is told. Never rejects.
 */
export async function workAtTarget(task: TargetTask): Promise<BackupFinding> {
  let target: BackupTarget;
  try {
    target = await task.open();
  } catch (error) {
    return { trouble: troubleOf(error) };
  }
  const found = await workAtOpened(target, task);
  // Whether it takes leave or not: everything that counts is durable.
  target.close().catch(() => undefined);
  return found;
}

async function workAtOpened(target: BackupTarget, task: TargetTask): Promise<BackupFinding> {
  const troubles: Trouble[] = [];
  const trying = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      troubles.push(troubleOf(error));
      return undefined;
    }
  };
  const { seal, realm, keys, recipients, rule, wallMs } = task;
  const exported = seal && (await trying(() => putSealed(target, seal, task)));
  const expected = exported?.name ?? task.expected;
  const seen = await trying(() => lookAtTarget(target, { realm, keys, recipients, expected }));
  if (seen?.fault) troubles.push(troubleOf(seen.fault));
  const order = { realm, rule, now: wallMs(), worth: (name: string) => worthOf(target, name, task) };
  const pruned = seal && seen && (await trying(() => pruneExports(target, order)));
  const [trouble] = troubles;
  return {
    ...(exported ? { exported } : {}),
    ...(seen
      ? { verified: seen.verified[0] ?? null, exports: seen.exports.length - (pruned?.removed.length ?? 0) }
      : {}),
    ...(pruned ? { future: pruned.future.length } : {}),
    ...(trouble ? { trouble } : {}),
  };
}

async function putSealed(
  target: BackupTarget,
  seal: () => Promise<SealedExport>,
  { alive }: TargetTask,
): Promise<NonNullable<BackupFinding['exported']>> {
  const begun = performance.now();
  const sealed = await seal();
  await putExport(target, sealed, alive);
  const { name, takenAt, data } = sealed.manifest;
  const tookMs = Math.round(performance.now() - begun);
  return { name, takenAt: Date.parse(takenAt), bytes: data.bytes, tookMs };
}

/** What is wrong, for people: errors of ours name no secret; of others only the kind is told. */
export function troubleOf(error: unknown): Trouble {
  const { code, message } = error as { readonly code?: unknown; readonly message: string };
  if (typeof code === 'string' && code.startsWith('ERR_')) return { code, words: message };
  return {
    code: 'ERR_BACKUP_BROKEN_OFF',
    words: `something went wrong on our side (${String(code ?? (error as Error).name)})`,
  };
}
