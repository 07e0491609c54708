import { endProcess } from '@sallyport/settings';

/**
 * From now on a program ends, as at a terminal that is gone, when the `sallyport` that runs it is killed: what it began is undone, or taken
 * up by the next try, and none works on beside that.
 */
export function endWithSallyport(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGHUP'));
  // Who only listens for that keeps no process from its end.
  process.channel?.unref();
}

/** Ends a program that `sallyport` runs, which hears first with what status: the end itself waits for a system call that hangs at a target. */
export async function endCommand(): Promise<void> {
  await tell({ ended: Number(process.exitCode ?? 0) });
  await endProcess();
}

/** Says something to `sallyport`, when it is that which runs this program. */
export function tell(word: { readonly ended: number } | { readonly finishing: true }): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(word, undefined, undefined, () => resolve());
    else resolve();
  });
}
