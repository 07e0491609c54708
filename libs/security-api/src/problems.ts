/** What is known of a code that an answer may carry (RFC 9457). */
export interface Problem {
  /** The status that an answer with it has, unless it is said otherwise where it is given. */
  readonly status: number;
  /** Other statuses that it may have. */
  readonly also?: readonly number[];
  /** In words, where the answer has none of its own. */
  readonly title: string;
}

/**
 * Every code that Security's HTTP APIs answer with, and the only place that knows their statuses; `docs/errors.md` says what to do.
 * A store that does not answer is 503, never "not found".
 */
export const PROBLEMS = {
  ERR_HTTP_INVALID: { status: 400, also: [413, 414, 415], title: 'the request is not as the API describes it' },
  ERR_HTTP_NOT_FOUND: { status: 404, title: 'there is nothing here' },
  ERR_HTTP_FORBIDDEN: { status: 403, title: 'a certificate of a known Proxy is needed' },
  ERR_HTTP_INTERNAL: { status: 500, title: 'something went wrong on our side' },
  ERR_SECURITY_OPERATOR: { status: 401, also: [403], title: 'an operator credential is needed' },
  ERR_SECURITY_REASON: { status: 400, title: 'the header sallyport-reason says why' },
  ERR_SECURITY_REQUEST: { status: 400, title: 'the header sallyport-request is no id' },
  ERR_SECURITY_TEXT: { status: 400, title: 'a text has control characters, or is nested too deeply' },
  ERR_SECURITY_TOKEN: { status: 403, title: 'the one-time token is unknown, used or expired' },
  ERR_SECURITY_RESOURCE: { status: 404, also: [400], title: 'there is no such resource' },
  ERR_SECURITY_NO_SITE: { status: 409, title: 'no site has an origin yet' },
  ERR_SECURITY_NO_SYNC: { status: 422, title: 'the directory brings its accounts by itself' },
  ERR_SECURITY_SLOW: { status: 429, title: 'too much of this address was refused' },
  ERR_SECURITY_JOIN: { status: 403, title: 'no Proxy of this name and key may have a certificate' },
  ERR_SECURITY_CSR: { status: 422, title: 'the certificate request is not valid' },
  ERR_SECURITY_PACKAGES: { status: 503, title: 'the store of packages does not answer; nothing was done' },
  ERR_SECURITY_NOT_IN_FORCE: { status: 503, title: 'committed, but not in force everywhere yet; try again' },
  ERR_ACCESS_NOT_FOUND: { status: 404, title: 'not found' },
  ERR_ACCESS_CONFLICT: { status: 409, title: 'in conflict with what is there' },
  ERR_ACCESS_INVALID: { status: 422, title: 'not valid' },
  ERR_ACCESS_UNWRAP: { status: 500, title: 'a stored secret does not open' },
  ERR_ACCESS_FORGED: { status: 500, title: 'a row of the database was not written by a Security server' },
  ERR_ACCESS_KEK: { status: 500, title: 'a key-encryption key is not the one that the realm knows' },
  ERR_ACCESS_AUDIT_BROKEN: { status: 500, title: 'the audit log was changed' },
  ERR_ACCESS_LOST: { status: 503, title: 'the database was restored and this revocation is lost: revoke again' },
  ERR_ACCESS_BUSY: { status: 503, title: 'too much is asked at once; nothing was done, try again' },
  ERR_ESCROW_RECEIPT: { status: 422, title: 'the receipt counts for nothing' },
  ERR_STORE_SCHEMA: { status: 503, title: 'the database was changed by a newer version; nothing was done' },
  ERR_STORE_FENCED: { status: 503, title: 'this database gives nothing any more; nothing was done' },
  ERR_STORE_UNAVAILABLE: { status: 503, title: 'the database does not answer; nothing was done' },
  ERR_STORE_UNKNOWN: { status: 503, title: 'the database did not confirm; repeat with the same id' },
  ERR_STORE_CONFLICT: { status: 409, title: 'taken already' },
  ERR_STORE_INVALID: { status: 422, title: 'not valid' },
  ERR_DIRECTORY_UNREACHABLE: { status: 503, title: 'the directory does not answer; nothing was done' },
  ERR_DIRECTORY_CREDENTIALS: { status: 422, also: [503], title: 'the directory refuses the bind' },
  ERR_DIRECTORY_ANSWER: { status: 422, also: [503], title: 'the directory does not answer as it should' },
  ERR_DIRECTORY_SETTINGS: { status: 422, also: [503], title: 'the settings of the directory are not valid' },
  ERR_DIRECTORY_REFUSED: { status: 403, also: [400], title: 'the sign-in was refused' },
} as const satisfies Readonly<Record<`ERR_${string}`, Problem>>;

/** A code that an answer of Security may carry. */
export type ProblemCode = keyof typeof PROBLEMS;

/** The statuses that a code may have. */
export type ProblemStatus<Code extends ProblemCode> = Code extends ProblemCode
  ? (typeof PROBLEMS)[Code] extends { readonly status: infer Status; readonly also: readonly (infer Also)[] }
    ? Status | Also
    : (typeof PROBLEMS)[Code]['status']
  : never;

/** What is known of a code; undefined for one that is none of ours. */
export function findProblem(code: string | undefined): Problem | undefined {
  return code !== undefined && Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode] : undefined;
}
