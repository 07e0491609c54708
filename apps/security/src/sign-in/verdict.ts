import type { DirectorySignIn, FreeAccount } from '@sallyport/access';
import { type AppContext, type EndCause, formatHex, type SignedCode } from '@sallyport/channel';
import { isRefusedVersion } from '@sallyport/lease';
import type { ContextRule } from '@sallyport/security-api';

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
  /** What was revoked, where the device may know that this is why. */
  readonly cause?: EndCause;
}

/** What came of credentials. */
export type Verdict = Vouched | Refusal;

/** A refusal. */
export function refusal(code: SignedCode, why: string, retryAfterMs = 0): Refusal {
  return { fit: false, code, why, retryAfterMs };
}

/** A refusal because something was revoked. */
export function revoked(why: string, cause: EndCause | undefined): Refusal {
  return { ...refusal('REVOKED', why), ...(cause ? { cause } : {}) };
}

/** Why an app context is refused, for the officer: the device learns the code only. */
export function whyDenied(rule: ContextRule, { id, version, os }: AppContext, denied: SignedCode): string {
  const of = rule.apps?.find((app) => app.id === id);
  const app = `${id} ${version}`;
  if (isRevokedVersion(rule, { id, version })) return `the version ${app} is revoked`;
  if (denied === 'APP_UPDATE_REQUIRED') return `the app ${app} is below ${of?.minVersion}`;
  if (rule.apps && !of) return `the app ${app} is not registered, not this device's, or not for this user`;
  return `the app context of ${app}${os === '' ? '' : ` on ${os}`} is refused: ${denied}`;
}

/** True for an app in a version that a rule refuses because it is revoked. */
export function isRevokedVersion({ apps }: ContextRule, { id, version }: Pick<AppContext, 'id' | 'version'>): boolean {
  return apps?.some((app) => app.id === id && isRefusedVersion(app, version)) ?? false;
}

/**
 * True where an update of the app may be why its context is refused: it may say facts of the device that it said otherwise before, or none.
 * False where somebody has said that this app, version or user is out, and for what another one signed, which is no release.
 */
export function mayBeVersion(rule: ContextRule, app: AppContext, denied: SignedCode): boolean {
  if (denied !== 'CONTEXT_DENIED' || isRevokedVersion(rule, app)) return false;
  const signer = formatHex(app.signer);
  const fits = ({ id, signers }: NonNullable<ContextRule['apps']>[number]): boolean =>
    id === app.id && (!signers || signer === '' || signers.includes(signer));
  return rule.apps?.some(fits) ?? true;
}
