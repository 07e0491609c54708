import type { AccessContext, UpdateFileRow, UserRow } from '@sallyport/access';
import {
  type CborFields,
  type CborInput,
  type EndCause,
  encodeText,
  type PublicKey,
  type SecurityEstablish,
  type SignedCode,
} from '@sallyport/channel';

/** One handshake that has come to HS3. */
export interface LoginAttempt {
  readonly establish: SecurityEstablish;
  readonly deviceStatic: PublicKey;
  /** Address of the device as the Proxy saw it. */
  readonly address: string;
}

/** What HS4 or STEP_REPLY says. */
export type LoginAnswer = Readonly<Record<string, CborInput>>;

/** An answer, and what the next message of the device does when there is one more round. */
export interface LoginStep {
  readonly answer: LoginAnswer;
  readonly next?: (fields: CborFields) => Promise<LoginStep>;
}

/** A refusal as the device reads it, with what was revoked where that is why. */
export function refused(code: SignedCode, retryAfterMs = 0, cause?: EndCause): LoginAnswer {
  return { status: 'refused', code, retry_after: retryAfterMs, ...(cause ? { cause } : {}) };
}

/** Longest name in an answer, UTF-16 code units (SPEC.md, section 3). */
const MAX_NAME = 128;

/** Whom an answer is for: shown to whoever holds the device. Directories name people as they like; an answer has lines. */
export function nameOf({ name, displayName }: UserRow): { readonly user: string; readonly display_name: string } {
  const line = (text: string): string =>
    text
      .replace(/\p{Cc}+/gu, ' ')
      .slice(0, MAX_NAME)
      .toWellFormed();
  return { user: line(name), display_name: line(displayName) };
}

/** What a device verifies updates by: the newest root, of which it pins the first that it hears of. */
export function updateRootOf(
  { crypto }: AccessContext,
  root: UpdateFileRow | undefined,
): { readonly update_root?: CborInput } {
  if (!root) return {};
  return { update_root: { version: root.version, sha256: crypto.sha256(encodeText(root.content)) } };
}
