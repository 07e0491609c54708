import { type ChildProcess, spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BackupFinding, BackupTurn } from '@sallyport/access';

/** The program that makes backups, looks at targets and prunes them. */
const PROGRAM = fileURLToPath(new URL('../commands/backup-worker.ts', import.meta.url));
/** Everything else on this machine goes first (setpriority(2)). */
const LOW_PRIORITY = 10;

/** What is to be done in one process. */
export type WorkerOrder = readonly Pick<BackupTurn, 'place' | 'work' | 'expected'>[];

/** What the process says: that it goes on, or what it found at a place that is done. */
export type BackupWord = { readonly alive: true } | { readonly place: string; readonly found: BackupFinding };

/** A process at work. */
export interface WorkerProcess {
  /** Resolves when it has ended, with how. Never rejects. */
  readonly ended: Promise<string>;
  /** Ends it at once; whatever it has half done is made up for by the next one. */
  kill(): void;
}

/** Starts the process; `hear` gets what it says. */
export type StartWorker = (order: WorkerOrder, hear: (word: BackupWord) => void) => WorkerProcess;

/**
 * Does the work in a process of its own, which the event loop and the connections of the node know nothing of. It has the settings of
 * the node, and ends when the node does, in whichever way.
 */
export const startWorker: StartWorker = (order, hear) => {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  lowerPriority(child);
  child.on('message', (word) => hear(word as BackupWord));
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(error.message));
  child.once('exit', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
  return { ended, kill: () => void child.kill('SIGKILL') };
};

function lowerPriority({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, LOW_PRIORITY);
  } catch {
    // It has ended already; what became of it is heard.
  }
}
