import { base64url, compactVerify, decodeProtectedHeader, errors, type JWTVerifyGetKey } from 'jose';
import { DirectoryError } from '../errors.ts';

/** Signatures that a provider may use: asymmetric ones only (RFC 8725, section 3.1). */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const MAX_TOKEN_CHARACTERS = 64 * 1024;
/** Clocks of two companies may differ by so much, s. */
const CLOCK_TOLERANCE_SECONDS = 60;
/** A token that was issued earlier is not for a sign-in of now, s. */
const MAX_AGE_SECONDS = 600;
const LOGOUT_TYPES: readonly string[] = ['JWT', 'LOGOUT+JWT'];
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** Claims of a token, whatever they are. */
export type Claims = Readonly<Record<string, unknown>>;

/** What a token of a provider must say. */
export interface TokenDemands {
  readonly issuer: string;
  readonly clientId: string;
  readonly nowSeconds: number;
  readonly nonce?: string;
  readonly tenant?: string | undefined;
  readonly acr?: readonly string[] | undefined;
  readonly amr?: readonly string[] | undefined;
}

/** A named check of claims: true when it holds. The names are what the audit log shows. */
type Check = readonly [name: string, holds: (claims: Claims, demands: TokenDemands) => boolean];

const ISSUED_BY_AND_FOR: readonly Check[] = [
  ['issuer', ({ iss }, { issuer }) => iss === issuer],
  ['audience', ({ aud, azp }, { clientId }) => isFor(clientId, aud, azp)],
  ['issued', ({ iat }, { nowSeconds }) => isTime(iat) && iat <= nowSeconds + CLOCK_TOLERANCE_SECONDS],
  ['age', ({ iat }, { nowSeconds }) => isTime(iat) && iat > nowSeconds - MAX_AGE_SECONDS - CLOCK_TOLERANCE_SECONDS],
  [
    'not before',
    ({ nbf }, { nowSeconds }) => nbf === undefined || (isTime(nbf) && nbf <= nowSeconds + CLOCK_TOLERANCE_SECONDS),
  ],
];

/** OpenID Connect Core 1.0, section 3.1.3.7, and what the operator demands besides; in this order. */
const ID_TOKEN: readonly Check[] = [
  ...ISSUED_BY_AND_FOR,
  ['expired', ({ exp }, { nowSeconds }) => isTime(exp) && exp > nowSeconds - CLOCK_TOLERANCE_SECONDS],
  ['subject', ({ sub }) => isText(sub)],
  ['nonce', ({ nonce }, demands) => isText(nonce) && nonce === demands.nonce],
  ['tenant', ({ tid }, { tenant }) => tenant === undefined || tid === tenant],
  ['acr', ({ acr }, demands) => demands.acr === undefined || (isText(acr) && demands.acr.includes(acr))],
  ['amr', ({ amr }, demands) => (demands.amr ?? []).every((method) => Array.isArray(amr) && amr.includes(method))],
];

/** OpenID Connect Back-Channel Logout 1.0, section 2.6; in this order. */
const LOGOUT_TOKEN: readonly Check[] = [
  ...ISSUED_BY_AND_FOR,
  [
    'expired',
    ({ exp }, { nowSeconds }) => exp === undefined || (isTime(exp) && exp > nowSeconds - CLOCK_TOLERANCE_SECONDS),
  ],
  ['event', ({ events }) => isObject(events) && isObject(events[LOGOUT_EVENT])],
  ['nonce', ({ nonce }) => nonce === undefined],
  ['subject', ({ sub, sid }) => isText(sub) || isText(sid)],
  ['id', ({ jti }) => isText(jti)],
];

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 512;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A token for several parties must say that it was given to us. */
function isFor(clientId: string, aud: unknown, azp: unknown): boolean {
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(clientId)) return false;
  return audiences.length === 1 ? azp === undefined || azp === clientId : azp === clientId;
}

/**
 * Verifies an ID token: form, algorithm, type, signature by the provider's published keys, then each claim.
 * @throws DirectoryError ERR_DIRECTORY_REFUSED with the name of the first check that fails as `reason`
 */
export function verifyIdToken(token: string, keys: JWTVerifyGetKey, demands: TokenDemands): Promise<Claims> {
  return verify(token, keys, { demands, checks: ID_TOKEN, types: ['JWT'] });
}

/**
 * Refuses what cannot be a logout token of this provider for us by its form and by what it says of itself, before anything
 * is asked or computed for it. @throws DirectoryError ERR_DIRECTORY_REFUSED with the name of the first check that fails
 */
export function checkLogoutForm(token: string, demands: TokenDemands): void {
  checkHeader(token, LOGOUT_TYPES);
  checkClaims(parseClaims(unverifiedPayload(token)), { demands, checks: ISSUED_BY_AND_FOR });
}

/** Verifies a logout token. @throws DirectoryError ERR_DIRECTORY_REFUSED like `verifyIdToken` */
export function verifyLogoutToken(token: string, keys: JWTVerifyGetKey, demands: TokenDemands): Promise<Claims> {
  return verify(token, keys, { demands, checks: LOGOUT_TOKEN, types: LOGOUT_TYPES });
}

async function verify(
  token: string,
  keys: JWTVerifyGetKey,
  by: { demands: TokenDemands; checks: readonly Check[]; types: readonly string[] },
): Promise<Claims> {
  checkHeader(token, by.types);
  const claims = parseClaims(await signedPayload(token, keys));
  checkClaims(claims, by);
  return claims;
}

function checkClaims(
  claims: Claims,
  { demands, checks }: { readonly demands: TokenDemands; readonly checks: readonly Check[] },
): void {
  for (const [name, holds] of checks) if (!holds(claims, demands)) throw checkFailed(name);
}

/** What a token says, whoever wrote it. */
function unverifiedPayload(token: string): Uint8Array {
  try {
    return base64url.decode(token.split('.')[1]!);
  } catch (cause) {
    throw checkFailed('form', cause);
  }
}

function checkHeader(token: string, types: readonly string[]): void {
  if (token.length > MAX_TOKEN_CHARACTERS || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token))
    throw checkFailed('form');
  const { alg, typ, crit } = headerOf(token);
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) throw checkFailed('alg');
  if (crit !== undefined) throw checkFailed('crit');
  if (typ !== undefined && !types.includes(String(typ).toUpperCase())) throw checkFailed('typ');
}

function headerOf(token: string): Readonly<Record<string, unknown>> {
  try {
    return decodeProtectedHeader(token);
  } catch (cause) {
    throw checkFailed('form', cause);
  }
}

async function signedPayload(token: string, keys: JWTVerifyGetKey): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(token, keys as never, { algorithms: ALGORITHMS });
    return payload;
  } catch (cause) {
    if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys)
      throw checkFailed('key', cause);
    const ours =
      cause instanceof errors.JOSEError && !(cause instanceof errors.JWKSTimeout) && cause.code !== 'ERR_JOSE_GENERIC';
    if (ours || cause instanceof TypeError) throw checkFailed('signature', cause);
    throw new DirectoryError('ERR_DIRECTORY_UNREACHABLE', 'the keys of the provider cannot be read', { cause });
  }
}

function parseClaims(payload: Uint8Array): Claims {
  try {
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    if (isObject(claims)) return claims;
  } catch (cause) {
    throw checkFailed('form', cause);
  }
  throw checkFailed('form');
}

/** A refusal that names the check. */
export function checkFailed(reason: string, cause?: unknown): DirectoryError {
  return new DirectoryError('ERR_DIRECTORY_REFUSED', `the sign-in was refused: ${reason}`, { cause, reason });
}
