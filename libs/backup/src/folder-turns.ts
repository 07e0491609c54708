import { TargetError } from './errors.ts';

/**
 * Folders at which this process works at one time, with one system call each. At a share whose server is gone such a call hangs in one of
 * the four threads that Node has for files, names and keys; a server that asked again and again would soon stand still.
 */
const FOLDERS_AT_ONCE = 2;

interface Turn {
  readonly folder: string;
  readonly begin: () => void;
}

const busy = new Set<string>();
const waiting: Turn[] = [];

/**
 * Works at a folder when nothing else of this process does.
 * @throws TargetError ERR_TARGET_SLOW when its turn did not come within `waitMs`; whatever `work` throws
 */
export async function inFolderTurn<T>(
  { folder, waitMs }: { readonly folder: string; readonly waitMs: number },
  work: () => Promise<T>,
): Promise<T> {
  await turnAt(folder, waitMs);
  try {
    return await work();
  } finally {
    busy.delete(folder);
    beginTurns();
  }
}

function turnAt(folder: string, waitMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const turn = { folder, begin: resolve };
  const giveUp = (): void => {
    waiting.splice(waiting.indexOf(turn), 1);
    reject(new TargetError('ERR_TARGET_SLOW', `folder ${folder}: ${reasonOf(folder)} for ${waitMs / 1_000} s`));
  };
  waiting.push(turn);
  const timer = setTimeout(giveUp, waitMs);
  beginTurns();
  return promise.finally(() => clearTimeout(timer));
}

function reasonOf(folder: string): string {
  return busy.has(folder)
    ? 'it has not answered what it was asked before'
    : `${[...busy].join(' and ')} did not answer`;
}

function beginTurns(): void {
  for (const turn of [...waiting]) {
    if (busy.size >= FOLDERS_AT_ONCE) return;
    if (busy.has(turn.folder)) continue;
    busy.add(turn.folder);
    waiting.splice(waiting.indexOf(turn), 1);
    turn.begin();
  }
}
