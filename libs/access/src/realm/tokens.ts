import { concat, encodeText, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import type { AccessContext } from './context.ts';

/**
 * Bearer tokens by their prefix: one-time and credential of an operator, SCIM client, Proxy that joins, pipeline that publishes, link for a
 * first installation, and what that opened.
 */
export type TokenKind = 'sp1' | 'spo' | 'sps' | 'spj' | 'spp' | 'spi' | 'spc';

const RANDOM_BYTES = 24;

/** A new bearer token: `<kind>_<base64url(random(24) | MAC)>`. The MAC, by the realm's keys, is what `isOurToken` looks at. */
export function makeToken({ crypto, keyring, store }: AccessContext, kind: TokenKind): string {
  const random = crypto.randomBytes(RANDOM_BYTES);
  return `${kind}_${formatBase64Url(concat(random, keyring.mac(authenticated(store.realm, kind, random))))}`;
}

/**
 * True for a text that this realm once made as such a token. It says nothing of whether the token is good: it keeps made-up
 * ones away from the database, so that a stranger's guess costs one HMAC.
 */
export function isOurToken({ keyring, store }: AccessContext, kind: TokenKind, token: string): boolean {
  const bytes = token.startsWith(`${kind}_`) ? tryParse(token.slice(kind.length + 1)) : undefined;
  if (!bytes || bytes.length <= RANDOM_BYTES) return false;
  const random = bytes.subarray(0, RANDOM_BYTES);
  return keyring.verifyMark(bytes.subarray(RANDOM_BYTES), authenticated(store.realm, kind, random));
}

function authenticated(realm: string, kind: TokenKind, random: Uint8Array): Uint8Array {
  return concat(encodeText(`token/${kind}/${realm}/`), random);
}

function tryParse(text: string): Uint8Array | undefined {
  try {
    return parseBase64Url(text);
  } catch {
    return undefined;
  }
}
