/** Makes a handler of events that never throws. */
export type Guard = <A extends readonly unknown[]>(handler: (...args: A) => void) => (...args: A) => void;

/**
 * Guards handlers of events: an exception that leaves one ends the process, and with it everybody else's work. Whatever a
 * guarded handler throws goes to `ended`, which ends the one thing that the event belonged to and leaves a line in the log.
 */
export function guardWith(ended: (error: unknown) => void): Guard {
  return (handler) =>
    (...args) => {
      try {
        handler(...args);
      } catch (error) {
        contained(() => ended(error));
      }
    };
}

/** Runs the clean-up after a fault, which must not throw either. */
function contained(clean: () => void): void {
  try {
    clean();
  } catch (error) {
    process.stderr.write(`cleaning up after a fault failed: ${(error as Error).stack}\n`);
  }
}
