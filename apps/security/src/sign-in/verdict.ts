import type { DirectorySignIn, FreeAccount } from '@sallyport/access';
import type { SignedCode } from '@sallyport/channel';

/** Credentials that are good, and what the session keeps of how they were checked. */
export interface Vouched {
  readonly fit: true;
  readonly signIn?: DirectorySignIn;
  /** The proof of an enrolment that they are, which is good for one session. */
  readonly resumeId?: string;
  /** An account that is to be the user's; only an enrolment may bind it, once its code has proved good. */
  readonly account?: FreeAccount;
  /** What is left to do once the account is bound. */
  readonly afterwards?: () => Promise<void>;
}

/** Credentials that are not: what the device is told, and what the audit log says. */
export interface Refusal {
  readonly fit: false;
  readonly code: SignedCode;
  readonly why: string;
  /** When to try again at the earliest, ms; 0 for at once. */
  readonly retryAfterMs: number;
}

/** What came of credentials. */
export type Verdict = Vouched | Refusal;

/** A refusal. */
export function refusal(code: SignedCode, why: string, retryAfterMs = 0): Refusal {
  return { fit: false, code, why, retryAfterMs };
}
