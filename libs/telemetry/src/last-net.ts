import type { Log } from './log.ts';

/** How long ending in order may take after a fault that nobody caught, ms. */
const END_MS = 15_000;

/**
 * The last net, under the guards of all handlers: what nobody caught leaves a line, and the server ends in order with exit
 * status 1, because nobody knows in what state it is. `stop` ends it and then the process.
 */
export function spreadLastNet(log: Log, stop: () => Promise<void> | void): void {
  const caught = (error: unknown, origin: string): void => {
    log.fatal({ err: error, origin }, 'a fault was caught by nobody: the server ends');
    if (process.exitCode === 1) return;
    process.exitCode = 1;
    setTimeout(() => process.exit(1), END_MS).unref();
    void Promise.resolve()
      .then(stop)
      .catch(() => process.exit(1));
  };
  process.on('uncaughtException', caught);
}
