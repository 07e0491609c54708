import { type EndCause, type HintCode, neverRan, type SignedCode } from '@sallyport/channel';

/** Why the SDK could not do something, beside what Security or a Proxy said. */
export type LocalCode =
  | 'NOT_ENROLLED'
  | 'ALREADY_ENROLLED'
  | 'SIGNED_OUT'
  | 'OFFLINE'
  | 'SITE_UNAVAILABLE'
  | 'CONNECTION_LOST'
  | 'BAD_RESPONSE'
  | 'BAD_REQUEST'
  | 'ABORTED'
  | 'CLOSED'
  | 'SITE_MAP_INVALID'
  | 'SIGN_IN_FAILED'
  | 'STORAGE_FAILED'
  | 'UPDATE_SIGNATURE'
  | 'UPDATE_ROLLBACK'
  | 'UPDATE_EXPIRED'
  | 'UPDATE_MIXED'
  | 'UPDATE_CHANGED'
  | 'UPDATE_OTHER_APP'
  | 'UPDATE_DOWNGRADE'
  | 'UPDATE_TOO_LARGE'
  | 'UPDATE_SLOW'
  | 'UPDATE_MALFORMED';

/** Every code that an app may meet: ours, unauthenticated hints, and authenticated codes of Security or a Proxy. */
export type DeviceErrorCode = LocalCode | HintCode | SignedCode;

/** Codes of ours after which the request certainly did not reach a backend; for those of a Proxy see SPEC.md, section 8. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  'NOT_ENROLLED',
  'SIGNED_OUT',
  'OFFLINE',
  'SITE_UNAVAILABLE',
  'BAD_REQUEST',
]);

/**
 * What the SDK throws. `mayHaveRun` says whether a request may have reached its backend: when false it is safe to send
 * it again, whatever its method.
 */
export class DeviceError extends Error {
  /** What to act on. */
  readonly code: DeviceErrorCode;
  /** True when a request may have reached its backend. */
  readonly mayHaveRun: boolean;
  /** When to try again at the earliest, in ms; 0 when nobody said. */
  readonly retryAfterMs: number;
  /** Name of the site that does not answer, with SITE_UNAVAILABLE. */
  readonly site: string | undefined;

  /** Where options leave it open, `mayHaveRun` goes by the code, `retryAfterMs` is 0. */
  constructor(
    code: DeviceErrorCode,
    message: string,
    options: ErrorOptions & { mayHaveRun?: boolean; retryAfterMs?: number; site?: string } = {},
  ) {
    super(message, options);
    this.name = 'DeviceError';
    this.code = code;
    this.mayHaveRun = options.mayHaveRun ?? !(NEVER_SENT.has(code) || neverRan(code));
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.site = options.site;
  }
}

const MESSAGES: Partial<Record<DeviceErrorCode, string>> = {
  CREDENTIALS_INVALID: 'user name or password is wrong',
  CODE_INVALID: 'the activation code is wrong, used or expired: ask for a new one',
  CONFIRMATION_NEEDED:
    'an officer must confirm that this account is yours: ask for it, then use the same enrolment link again',
  CALM_DOWN: 'too much is asked at once: wait a moment and try again',
  LOCKED: 'too many wrong tries: wait and try again',
  STEP_UP: 'a stronger sign-in is needed: a second factor, or another way at your provider',
  REVOKED: 'access was revoked',
  SESSION_EXPIRED: 'the session is over: sign in again',
  SESSION_UNKNOWN:
    'no Proxy knows this session, and Security does not say that it is over: try again later, or sign in again',
  ATTESTATION_REQUIRED: 'this app must prove what it is, and has not: its platform does not vouch for it now',
  ATTESTATION_REJECTED: 'the proof of what this app is was not taken: ask your administrator',
  APP_UPDATE_REQUIRED: 'this version of the app is too old: update it',
  CONTEXT_DENIED: 'this app or device does not fulfil the policy',
  STREAM_LIMIT: 'as much is open at once as may be, and none of it ends: close something, or try again later',
  LEASE_LOST: 'the gateway may not serve right now: it waits for its Security server',
  SITE_UNAVAILABLE: 'the site that serves this does not answer right now',
  RESOURCE_UNKNOWN: 'there is no such resource for you',
  REQUEST_REFUSED: 'the gateway refuses this request',
  FIELDS_TOO_LARGE: 'header fields or path are larger than the gateway takes them',
  BACKEND_UNREACHABLE: 'the server behind the gateway does not answer',
  BACKEND_FAILED: 'the server behind the gateway failed in the middle',
  BACKEND_TIMEOUT: 'the server behind the gateway took too long',
  RIGHTS_LOST: 'the right to this was lost on the way; the request may have run',
  REQUEST_BROKEN: 'the gateway broke the request off; it may have run',
  HANDSHAKE_FAILED: 'the server does not know this device or its keys',
  UNAVAILABLE: 'the gateway cannot reach its Security server right now',
  UNKNOWN_KID: 'the enrolment link is too old: ask for a new one',
  RETRY_LATER: 'too many sign in from this network at once: wait a little and try again',
  BUSY: 'the gateway has too much to do right now: try again in a moment',
};

/** What to tell people of why a session is over. What an operator wrote as reason stays with the operators. */
const CAUSES: Readonly<Record<EndCause, string>> = {
  expired: 'the session is over: sign in again',
  'signed-out': 'this session was signed out',
  replaced: 'this device has signed in again: a newer session goes on',
  session: 'this session was ended: sign in again, or ask your administrator',
  installation: 'this device may not be used any more: ask your administrator for a new activation code',
  user: 'your account is disabled: ask your administrator',
  app: withdrawn('this version'),
  all: 'everybody was signed out: sign in again',
  other: 'access was revoked: sign in again, or ask your administrator',
};

function withdrawn(version: string): string {
  return `${version} of the app was withdrawn: install a newer one`;
}

/** What to tell people of a code, and of why a session is over if the gateway said so. */
export function messageOf(code: DeviceErrorCode, cause?: EndCause): string {
  return (cause && CAUSES[cause]) ?? MESSAGES[code] ?? `the gateway answered ${code}`;
}

/** An error for a code that a peer sent, with the peer's own words behind ours. */
export function remoteError(
  code: DeviceErrorCode,
  {
    words = '',
    cause,
    version,
    ...options
  }: {
    mayHaveRun?: boolean;
    retryAfterMs?: number;
    words?: string | undefined;
    cause?: EndCause | undefined;
    /** Of the app that was refused. */
    version?: string | undefined;
  } = {},
): DeviceError {
  const message = cause === 'app' && version ? withdrawn(`version ${version}`) : messageOf(code, cause);
  return new DeviceError(code, words === '' ? message : `${message}: ${words.replace(/\p{Cc}/gu, ' ')}`, options);
}
