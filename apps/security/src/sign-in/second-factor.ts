import { type AccessContext, type UserRow, useFactor } from '@sallyport/access';
import { Secret, TOTP } from 'otpauth';

/** TOTP as every authenticator app knows it (RFC 6238): six digits, 30 s, SHA-1. */
const SHAPE = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
/** Steps before and after now that are accepted: clocks of phones are off. */
const WINDOW_STEPS = 1;

function totpOf(secret: Uint8Array, label?: { issuer: string; label: string }): TOTP {
  const bytes = Uint8Array.from(secret);
  return new TOTP({ ...SHAPE, ...label, secret: new Secret({ buffer: bytes.buffer }) });
}

/** What an authenticator app reads from a QR code, and the secret for typing. */
export function totpUri(realm: string, user: string, secret: Uint8Array): { uri: string; secret: string } {
  const totp = totpOf(secret, { issuer: `Sallyport ${realm}`, label: user });
  return { uri: totp.toString(), secret: totp.secret.base32 };
}

/** Checks a one-time code at a time, epoch ms. A step of the clock is good once. */
export function checkCode(
  access: AccessContext,
  user: UserRow,
  { code, at: timestamp }: { readonly code: string; readonly at: number },
): Promise<boolean> {
  return useFactor(access, user.id, (secret) => {
    const delta = totpOf(secret).validate({ token: code, timestamp, window: WINDOW_STEPS });
    return delta === null ? undefined : Math.floor(timestamp / 1_000 / SHAPE.period) + delta;
  });
}
