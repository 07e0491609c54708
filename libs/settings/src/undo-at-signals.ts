import { endBySignal } from './end-process.ts';

/** Signals that end a command. */
const ENDINGS: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];

/** One Ctrl-C may come twice within so long, ms: from the terminal, and from npm. */
export const SAME_SIGNAL_MS = 1_000;

type Undo = () => Promise<unknown>;

const undos = new Set<Undo>();
let finish: (() => void) | undefined;
let toldAt = Number.NEGATIVE_INFINITY;
let isListening = false;
let isEnding = false;

/**
 * From now on a signal (SIGINT, SIGTERM, SIGHUP) ends this process only after `undo` has been waited for, as that signal; those that were named later are
 * undone first. Whoever presses Ctrl-C again breaks nothing of that off. Gives what ends it: nothing is left to be undone. For
 * commands: servers end as `runServer` says.
 */
export function undoAtSignals(undo: Undo): () => void {
  listen();
  undos.add(undo);
  return () => void undos.delete(undo);
}

/**
 * Makes something, at once, that `undo` takes away at a signal, from its first moment on: before anybody listens a signal ends the process
 * where it stands. Gives what was made, and what ends it.
 */
export function makeUntilSignals<T>(
  make: () => T,
  undo: (made: T) => Promise<unknown>,
): { readonly made: T; readonly forget: () => void } {
  listen();
  const made = make();
  return { made, forget: undoAtSignals(() => undo(made)) };
}

/** The first SIGINT or SIGTERM is only told, so that what is under way is finished; the next one, a second later, ends this process. */
export function finishAtSignal(tell: () => void): void {
  listen();
  finish = tell;
}

function listen(): void {
  if (isListening) return;
  isListening = true;
  for (const signal of ENDINGS) process.on(signal, () => hear(signal));
}

function hear(signal: NodeJS.Signals): void {
  const tell = signal === 'SIGHUP' ? undefined : finish;
  finish = undefined;
  if (tell) {
    toldAt = performance.now();
    return tell();
  }
  if (isEnding || performance.now() < toldAt + SAME_SIGNAL_MS) return;
  isEnding = true;
  void undoAll().finally(() => endBySignal(signal));
}

async function undoAll(): Promise<void> {
  for (const undo of [...undos].reverse()) await undo().catch(() => undefined);
}
