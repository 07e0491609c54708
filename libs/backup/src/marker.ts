import { randomUUID } from 'node:crypto';
import { TargetError } from './errors.ts';
import type { BackupTarget, TargetObject } from './target.ts';

/** The object by which a target is known; below it nothing of a realm lies. */
const MARKER = 'sallyport-target';
const MAX_BYTES = 200;

/**
 * Marks a target, once, as a place for exports: an empty mount point, another share or another bucket under the same name has no mark.
 * False when it has one already.
 */
export async function markTarget(target: BackupTarget): Promise<boolean> {
  try {
    await target.put(MARKER, [Buffer.from(`Sallyport keeps backups here. ${randomUUID()}\n`)].values() as never);
    return true;
  } catch (error) {
    if ((error as TargetError).code === 'ERR_TARGET_EXISTS') return false;
    throw error;
  }
}

/**
 * The same target, which is there only as long as it has its mark: a share that is not mounted is an empty folder else, into which
 * exports go that nobody finds, and in which nothing is listed. The mark is looked at before and after each write.
 */
export function markedTarget(target: BackupTarget): BackupTarget {
  const look = async (): Promise<void> => {
    try {
      for await (const bytes of target.get(MARKER)) if (bytes.length <= MAX_BYTES) return;
    } catch (cause) {
      if ((cause as TargetError).code !== 'ERR_TARGET_MISSING') throw cause;
    }
    const words = `${target.description} has no mark: is the share mounted? A new target is marked once by "sallyport backup target init"`;
    throw new TargetError('ERR_TARGET_GONE', words);
  };
  return {
    description: target.description,
    async put(path, content) {
      await look();
      await target.put(path, content);
      await look();
    },
    async *get(path, from) {
      try {
        yield* target.get(path, from);
      } catch (error) {
        if ((error as TargetError).code === 'ERR_TARGET_MISSING') await look();
        throw error;
      }
    },
    async list(folder) {
      await look();
      const found = await target.list(folder);
      await look();
      return found.filter(({ path }: TargetObject) => path !== MARKER);
    },
    async remove(path) {
      await look();
      await target.remove(path);
    },
    close: () => target.close(),
  };
}
