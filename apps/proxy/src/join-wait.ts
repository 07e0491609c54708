import { StartWait } from '@sallyport/http-service';
import type { SecurityClientError } from '@sallyport/security-client';
import type { Log } from '@sallyport/telemetry';

/**
 * A Proxy that meets no Security at its join waits for it, as one that has joined does, and says so. Its key must be the same at each
 * try, for an answer may be lost; time does not mend a token that is refused.
 */
export function waitToJoin(log: Log): StartWait {
  return new StartWait(log, {
    isAway: isUnanswered,
    words: {
      over: 'Security answers: this Proxy has joined',
      waiting: 'Security does not answer yet: this Proxy waits to join',
    },
  });
}

function isUnanswered(error: unknown): error is SecurityClientError {
  return (error as { code?: unknown }).code === 'ERR_SECURITY_UNREACHABLE';
}
