/** Unauthenticated hints (SPEC.md, section 8): a device may back off on one, never delete state. */
export const HINT_CODES = {
  BAD_MESSAGE: 1,
  VERSION: 2,
  SUITE: 3,
  UNKNOWN_KID: 4,
  RETRY_LATER: 5,
  HANDSHAKE_FAILED: 6,
  HANDSHAKE_EXPIRED: 7,
  SESSION_UNKNOWN: 8,
  CHAN_REPLAY: 9,
  DENIED: 10,
  BUSY: 11,
  UNAVAILABLE: 12,
} as const;
/** Name of an unauthenticated hint. */
export type HintCode = keyof typeof HINT_CODES;

/** Codes that only a peer who holds the keys can send: HS4, NOTICE, GOAWAY and RESET (SPEC.md, section 8). */
export const SIGNED_CODES = {
  CREDENTIALS_INVALID: 32,
  STEP_UP: 33,
  LOCKED: 34,
  ATTESTATION_REQUIRED: 35,
  ATTESTATION_REJECTED: 36,
  APP_UPDATE_REQUIRED: 37,
  CONTEXT_DENIED: 38,
  REVOKED: 39,
  REENROLL_REQUIRED: 40,
  SESSION_EXPIRED: 41,
  LEASE_LOST: 42,
  CALM_DOWN: 43,
  NOT_PROCESSED: 44,
  DRAINING: 45,
  CODE_INVALID: 46,
  CONFIRMATION_NEEDED: 47,
  CANCELLED: 64,
  REQUEST_REFUSED: 65,
  RESOURCE_UNKNOWN: 66,
  BACKEND_UNREACHABLE: 67,
  BACKEND_FAILED: 68,
  BACKEND_TIMEOUT: 69,
  STREAM_LIMIT: 70,
  RIGHTS_LOST: 71,
  REQUEST_BROKEN: 72,
  FIELDS_TOO_LARGE: 73,
} as const;
/** Name of an authenticated code. */
export type SignedCode = keyof typeof SIGNED_CODES;

/**
 * Codes which say of a stream that certainly no backend saw anything of it, each with what is said instead as soon as a
 * backend may have read a byte (SPEC.md, section 8). Every other code leaves that open.
 */
const NEVER_RAN: Readonly<Partial<Record<SignedCode, SignedCode>>> = {
  ATTESTATION_REQUIRED: 'RIGHTS_LOST',
  ATTESTATION_REJECTED: 'RIGHTS_LOST',
  APP_UPDATE_REQUIRED: 'RIGHTS_LOST',
  CONTEXT_DENIED: 'RIGHTS_LOST',
  RESOURCE_UNKNOWN: 'RIGHTS_LOST',
  REQUEST_REFUSED: 'REQUEST_BROKEN',
  FIELDS_TOO_LARGE: 'REQUEST_BROKEN',
  NOT_PROCESSED: 'REQUEST_BROKEN',
  DRAINING: 'REQUEST_BROKEN',
  STREAM_LIMIT: 'REQUEST_BROKEN',
  CALM_DOWN: 'BACKEND_FAILED',
  BACKEND_UNREACHABLE: 'BACKEND_FAILED',
};

/** True for a code of a stream's end after which certainly nothing of it reached a backend. */
export function neverRan(code: string): boolean {
  return Object.hasOwn(NEVER_RAN, code);
}

/** The code to end a stream with when a backend may have read a byte of it: one that leaves open whether it ran. */
export function codeUnderWay(code: SignedCode): SignedCode {
  return NEVER_RAN[code] ?? code;
}

function byNumber<Name extends string>(table: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries(table).map(([name, number]) => [number as number, name as Name]));
}

const HINTS = byNumber<HintCode>(HINT_CODES);
const SIGNED = byNumber<SignedCode>(SIGNED_CODES);

/** Name of a hint, undefined for a number that this version does not know. */
export function findHintCode(number: number): HintCode | undefined {
  return HINTS.get(number);
}

/** Name of an authenticated code, undefined for a number that this version does not know. */
export function findSignedCode(number: number): SignedCode | undefined {
  return SIGNED.get(number);
}

/** True for a text that names an authenticated code. */
export function isSignedCode(text: string): text is SignedCode {
  return Object.hasOwn(SIGNED_CODES, text);
}
