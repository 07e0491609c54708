import type { UserRow } from '@sallyport/access';
import {
  type CborFields,
  type CborInput,
  formatBase64Url,
  type PublicKey,
  type SecurityEstablish,
  type SignedCode,
} from '@sallyport/channel';
import { compactVerify, importJWK, type JWK } from 'jose';

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

/** A refusal as the device reads it. */
export function refused(code: SignedCode, retryAfterMs = 0): LoginAnswer {
  return { status: 'refused', code, retry_after: retryAfterMs };
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

/** The device's signing key in an enrolment. */
export function readSigningKey(fields: CborFields): JWK {
  return {
    kty: fields.text('kty', 8),
    crv: fields.text('crv', 16),
    x: fields.text('x', 64),
    y: fields.text('y', 64),
  } as JWK;
}

/** True when the proof is an ES256 signature over this very handshake by the installation's signing key. */
export async function proofFits(establish: SecurityEstablish, jwk: JWK, proof: string, iid: string): Promise<boolean> {
  if (jwk.kty !== 'EC' || jwk.crv !== 'P-256') return false;
  try {
    const key = await importJWK(jwk, 'ES256');
    const { payload, protectedHeader } = await compactVerify(proof, key, { algorithms: ['ES256'] });
    if (protectedHeader.typ !== 'sallyport-proof') return false;
    const claims = JSON.parse(new TextDecoder().decode(payload)) as { b?: unknown; iid?: unknown };
    return claims.b === formatBase64Url(establish.binding) && claims.iid === iid;
  } catch {
    return false;
  }
}
