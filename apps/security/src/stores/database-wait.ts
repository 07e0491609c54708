import { StartWait } from '@sallyport/http-service';
import { isOutage } from '@sallyport/store-sql';
import type { Log } from '@sallyport/telemetry';

const AWAY: readonly unknown[] = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_UNKNOWN', 'ERR_JOURNAL_UNAVAILABLE'];

/** A start that meets a database which does not answer waits for it, as a server that is up does, and says so. */
export function waitForDatabase(log: Log): StartWait {
  return new StartWait(log, {
    isAway,
    words: {
      over: 'the database answers: the start goes on',
      waiting: 'the start waits for a database that does not answer',
    },
  });
}

function isAway(error: unknown): error is Error {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return AWAY.includes(code) && isOutage(cause);
}
