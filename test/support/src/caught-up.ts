import { setImmediate as turn } from 'node:timers/promises';

/** Accepting a connection, reading its first bytes and parsing them are turns of their own. */
const TURNS = 10;

/**
 * Waits until this process has read what had reached its sockets by now. On a busy machine an answer is often read before requests
 * that were sent earlier, over other sockets: whoever counts those from the answer on counts them too late.
 */
export async function caughtUp(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await turn();
}
