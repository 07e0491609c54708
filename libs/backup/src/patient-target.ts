import { TargetError } from './errors.ts';
import type { BackupTarget } from './target.ts';

/**
 * Opens a target of which nobody waits for longer than `silenceMs`, from its opening on.
 * @throws TargetError ERR_TARGET_SLOW; whatever `open` throws
 */
export async function openPatiently(
  { description, open }: { readonly description: string; readonly open: () => Promise<BackupTarget> },
  silenceMs: number,
): Promise<BackupTarget> {
  return patientTarget(await heardWithin(description, silenceMs, open), silenceMs);
}

/** What hangs may go on hanging; whoever asked is told. `heard` says that there was progress. */
function heardWithin<T>(description: string, silenceMs: number, work: (heard: () => void) => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const tooLong = (): void =>
    reject(new TargetError('ERR_TARGET_SLOW', `${description}: nothing was heard for ${silenceMs / 1_000} s`));
  const timer = setTimeout(tooLong, silenceMs);
  return Promise.race([work(() => void timer.refresh()), promise]).finally(() => clearTimeout(timer));
}

/**
 * The same target, of which nobody waits for longer than `silenceMs` without any progress: a share whose server is gone lets the
 * system call hang.
 */
export function patientTarget(target: BackupTarget, silenceMs: number): BackupTarget {
  const { description } = target;
  const within = <T>(work: (heard: () => void) => Promise<T>): Promise<T> => heardWithin(description, silenceMs, work);
  return {
    description,
    put: (path, content) => within((heard) => target.put(path, told(content, heard))),
    async *get(path, from) {
      const pieces = target.get(path, from)[Symbol.asyncIterator]();
      let isOwed = false;
      try {
        for (;;) {
          isOwed = true;
          const next = await within(() => pieces.next());
          isOwed = false;
          if (next.done) return;
          yield next.value;
        }
      } finally {
        // Behind a piece that does not come nothing else does: whoever has waited for it does not wait once more.
        if (isOwed) void letGo(pieces).catch(() => undefined);
        else await within(() => letGo(pieces));
      }
    },
    list: (folder) => within(() => target.list(folder)),
    remove: (path) => within(() => target.remove(path)),
    close: () => within(() => target.close()),
  };
}

async function letGo(pieces: AsyncIterator<Uint8Array>): Promise<void> {
  await pieces.return?.();
}

/** Each piece that is asked for shows that the one before has been taken; the wait for content is not the target's. */
async function* told(content: AsyncIterable<Uint8Array>, heard: () => void): AsyncIterable<Uint8Array> {
  for await (const piece of content) {
    heard();
    yield piece;
    heard();
  }
}
