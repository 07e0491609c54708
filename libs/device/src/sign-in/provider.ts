import { type CryptoProvider, encodeText, formatBase64Url } from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import type { StoredProvider } from '../kept/record.ts';

/** Bytes of a PKCE verifier (RFC 7636, section 4.1: 32 bytes make 43 characters) and of a state. */
const SECRET_BYTES = 32;

/** A sign-in at an OpenID provider that has begun. Keep it until the browser comes back; it is good for once. */
export interface PendingSignIn {
  /** The realm's name of the provider. */
  readonly directory: string;
  /** Issuer of the provider (OpenID Connect Discovery, section 3). */
  readonly issuer: string;
  /** Where the browser comes back to. */
  readonly redirect: string;
  /** PKCE verifier (RFC 7636); a secret. */
  readonly verifier: string;
  /** What the answer must repeat (RFC 6749, section 10.12). */
  readonly state: string;
}

/** What the provider gave for the device to prove who its user is. */
export interface ProviderCredentials {
  /** What Security exchanges at the provider. */
  readonly oidc: {
    /** The realm's name of the provider. */
    readonly directory: string;
    /** Authorization code (RFC 6749, section 4.1.2); good once. */
    readonly code: string;
    /** PKCE verifier that belongs to it (RFC 7636). */
    readonly verifier: string;
    /** The redirect that the code was issued for. */
    readonly redirect: string;
    /** The issuer that the provider put into its answer (RFC 9207); absent when it put none. */
    readonly issuer?: string;
  };
}

/**
 * Begins a sign-in at a provider: open `url` in the system's browser (RFC 8252). The code that comes back is worth nothing
 * without the verifier in `pending`, which never leaves this device but to Security.
 */
export function beginProviderSignIn(
  crypto: CryptoProvider,
  provider: StoredProvider,
  redirect: string,
): { readonly url: string; readonly pending: PendingSignIn } {
  if (!provider.redirects.includes(redirect))
    throw new DeviceError('BAD_REQUEST', `${provider.directory} does not know this redirect: the operator allows them`);
  const verifier = formatBase64Url(crypto.randomBytes(SECRET_BYTES));
  const state = formatBase64Url(crypto.randomBytes(SECRET_BYTES));
  const url = new URL(provider.authorizationEndpoint);
  const parameters = {
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: redirect,
    scope: provider.scope,
    state,
    nonce: formatBase64Url(crypto.sha256(encodeText(`sallyport/1 oidc nonce${verifier}`))),
    code_challenge: formatBase64Url(crypto.sha256(encodeText(verifier))),
    code_challenge_method: 'S256',
    ...(provider.acr ? { acr_values: provider.acr.join(' ') } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const { directory, issuer } = provider;
  return { url: url.href, pending: { directory, issuer, redirect, verifier, state } };
}

/**
 * Reads the URL with which the browser came back.
 * @throws DeviceError SIGN_IN_FAILED when it is not the answer to this sign-in, or the provider refused
 */
export function finishProviderSignIn(pending: PendingSignIn, callback: string): ProviderCredentials {
  const { searchParams: answer } = new URL(callback);
  const { directory, verifier, redirect, issuer } = pending;
  if (answer.get('state') !== pending.state)
    throw new DeviceError('SIGN_IN_FAILED', 'this is no answer to the sign-in that began here');
  const iss = answer.get('iss');
  // Another provider's answer must never be sent to this one (RFC 9207).
  if (iss !== null && iss !== issuer) throw new DeviceError('SIGN_IN_FAILED', 'another provider has answered');
  const code = answer.get('code');
  if (code === null || code === '')
    throw new DeviceError(
      'SIGN_IN_FAILED',
      `the provider refused the sign-in: ${(answer.get('error') ?? 'no code').slice(0, 64)}`,
    );
  return { oidc: { directory, code, verifier, redirect, ...(iss === null ? {} : { issuer: iss }) } };
}
