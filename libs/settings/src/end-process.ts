import { setTimeout as sleep } from 'node:timers/promises';

/** What is under way in the file system may still end by itself for so long, ms. */
const PATIENCE_MS = 10_000;
const POLL_MS = 20;

/**
 * Ends this process with `process.exitCode`. Where a thread of it hangs in a system call, as at a share whose server is gone, it ends by
 * SIGTERM instead: `process.exit` waits for every thread, and would do so for as long as the share is gone.
 */
export async function endProcess(): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (waitsForFiles() && performance.now() < until) await sleep(POLL_MS);
  if (waitsForFiles()) endBySignal('SIGTERM');
  process.exit();
}

function waitsForFiles(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}

/** Ends this process as the signal would have without us, which waits for no thread. */
export function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
