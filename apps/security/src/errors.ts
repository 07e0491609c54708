import type { AccessErrorCode, StoreErrorCode } from '@sallyport/access';
import type { ErrorTable } from '@sallyport/http-service';

type Known = AccessErrorCode | StoreErrorCode | 'ERR_SECURITY_BUSY';

/** Status and title of every error of the rules and the store. A store that does not answer is 503, never "not found". */
export const ERRORS: ErrorTable & Readonly<Record<Known, { status: number; title: string }>> = {
  ERR_ACCESS_NOT_FOUND: { status: 404, title: 'not found' },
  ERR_ACCESS_CONFLICT: { status: 409, title: 'in conflict with what is there' },
  ERR_ACCESS_INVALID: { status: 422, title: 'not valid' },
  ERR_ACCESS_UNWRAP: { status: 500, title: 'a stored secret does not open' },
  ERR_ACCESS_AUDIT_BROKEN: { status: 500, title: 'the audit log was changed' },
  ERR_STORE_UNAVAILABLE: { status: 503, title: 'the database does not answer; nothing was done' },
  ERR_STORE_UNKNOWN: { status: 503, title: 'the database did not confirm; repeat with the same id' },
  ERR_STORE_CONFLICT: { status: 409, title: 'taken already' },
  ERR_SECURITY_BUSY: { status: 503, title: 'busy; try again' },
};
