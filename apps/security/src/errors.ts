import type { AccessErrorCode, StoreErrorCode } from '@sallyport/access';
import type { DirectoryErrorCode } from '@sallyport/directory';
import type { ErrorTable } from '@sallyport/http-service';

type Known = AccessErrorCode | StoreErrorCode | DirectoryErrorCode | 'ERR_ACCESS_BUSY' | 'ERR_SECURITY_NOT_IN_FORCE';

/** Status and title of every error of the rules and the store. A store that does not answer is 503, never "not found". */
export const ERRORS: ErrorTable & Readonly<Record<Known, { status: number; title: string }>> = {
  ERR_ACCESS_NOT_FOUND: { status: 404, title: 'not found' },
  ERR_ACCESS_CONFLICT: { status: 409, title: 'in conflict with what is there' },
  ERR_ACCESS_INVALID: { status: 422, title: 'not valid' },
  ERR_ACCESS_UNWRAP: { status: 500, title: 'a stored secret does not open' },
  ERR_ACCESS_FORGED: { status: 500, title: 'a row of the database was not written by a Security server' },
  ERR_ACCESS_KEK: { status: 500, title: 'a key-encryption key is not the one that the realm knows' },
  ERR_ACCESS_AUDIT_BROKEN: { status: 500, title: 'the audit log was changed' },
  ERR_ACCESS_LOST: { status: 503, title: 'the database was restored and this revocation is lost: revoke again' },
  ERR_STORE_SCHEMA: { status: 503, title: 'the database was changed by a newer version; nothing was done' },
  ERR_STORE_FENCED: { status: 503, title: 'this database gives nothing any more; nothing was done' },
  ERR_STORE_UNAVAILABLE: { status: 503, title: 'the database does not answer; nothing was done' },
  ERR_STORE_UNKNOWN: { status: 503, title: 'the database did not confirm; repeat with the same id' },
  ERR_STORE_CONFLICT: { status: 409, title: 'taken already' },
  ERR_STORE_INVALID: { status: 422, title: 'not valid' },
  ERR_DIRECTORY_UNREACHABLE: { status: 503, title: 'the directory does not answer; nothing was done' },
  ERR_DIRECTORY_CREDENTIALS: { status: 422, title: 'the directory refuses the bind' },
  ERR_DIRECTORY_ANSWER: { status: 422, title: 'the directory does not answer as it should' },
  ERR_DIRECTORY_SETTINGS: { status: 422, title: 'the settings of the directory are not valid' },
  ERR_DIRECTORY_REFUSED: { status: 403, title: 'the sign-in was refused' },
  ERR_SECURITY_NOT_IN_FORCE: { status: 503, title: 'committed, but not in force everywhere yet; try again' },
  ERR_ACCESS_BUSY: { status: 503, title: 'too much is asked at once; nothing was done, try again' },
};
