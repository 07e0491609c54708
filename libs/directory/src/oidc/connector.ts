import { createHash } from 'node:crypto';
import type { SourceGroup } from '@sallyport/access';
import type { OidcSettings } from '@sallyport/security-api';
import { createRemoteJWKSet, type JWTVerifyGetKey, customFetch as joseFetch } from 'jose';
import * as client from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import type { Connector, Finding } from '../connector.ts';
import { DirectoryError } from '../errors.ts';
import { readGroups } from './groups.ts';
import {
  type Claims,
  checkFailed,
  checkLogoutForm,
  type TokenDemands,
  verifyIdToken,
  verifyLogoutToken,
} from './tokens.ts';

/** A provider answers within this, s, or counts as unreachable. */
const TIMEOUT_SECONDS = 8;
/** For so long after a failure nobody without a sign-in makes us ask the provider again, ms. */
const REST_MS = 2_000;
/** What a provider publishes is read again after this, ms. */
const METADATA_TTL_MS = 10 * 60_000;
/** Keys are read again for an unknown key id, at most so often, ms: a rollover is seen at once. */
const KEYS_COOLDOWN_MS = 250;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** What a device or an operator brings back from the provider. */
export interface AuthorizationCode {
  readonly code: string;
  readonly verifier: string;
  readonly redirect: string;
  /** The issuer that the provider put into its answer (RFC 9207). */
  readonly issuer?: string | undefined;
}

/** A sign-in that the provider vouches for. */
export interface OidcSignIn {
  readonly subject: string;
  readonly login: string;
  /** The mail address, when the provider says that it has verified it. */
  readonly email: string | undefined;
  readonly displayName: string;
  /** Undefined when the provider says nothing of groups. */
  readonly groups: readonly SourceGroup[] | undefined;
  /** The provider's session, by which it may log out. */
  readonly session: string | undefined;
  readonly accessToken: string;
}

/** Whom a provider logs out. */
export interface LogoutOrder {
  readonly id: string;
  readonly subject: string | undefined;
  readonly session: string | undefined;
}

/** A token for a backend that the provider gave for the user's (RFC 8693). */
export interface ExchangedToken {
  readonly token: string;
  readonly expiresInMs: number;
}

interface Discovered {
  readonly configuration: client.Configuration;
  readonly keys: JWTVerifyGetKey;
  readonly at: number;
}

/** The nonce of a sign-in (OpenID Connect Core, section 15.5.2): bound to the verifier, which only who asks has. */
function nonceOf(verifier: string): string {
  return createHash('sha256').update(`sallyport/1 oidc nonce${verifier}`).digest('base64url');
}

/** An OpenID provider: authorisation code with PKCE, discovery, published keys. */
export class OidcConnector implements Connector {
  readonly kind = 'oidc';
  readonly settings: OidcSettings;
  readonly #secret: string | undefined;
  readonly #agent: Agent;
  #discovered: Discovered | undefined;
  #discovering: Promise<Discovered> | undefined;
  /** What was wrong the last time, and until when strangers do not make us ask again. */
  #trouble: Error | undefined;
  #restsUntil = 0;

  constructor(settings: OidcSettings, secrets: Readonly<Record<string, string>>) {
    this.settings = settings;
    this.#secret = secrets['clientSecret'];
    this.#agent = new Agent({ connect: settings.ca === undefined ? {} : { ca: settings.ca }, allowH2: false });
  }

  /** Reads again what the provider publishes. @throws DirectoryError ERR_DIRECTORY_UNREACHABLE, ERR_DIRECTORY_ANSWER */
  async refresh(): Promise<void> {
    const before = this.#discovered;
    this.#discovered = undefined;
    try {
      await this.#discover();
    } catch (error) {
      // What it said last is better than nothing, for as long as it is fresh.
      this.#discovered = before;
      throw error;
    }
  }

  /** Where the browser is sent. @throws DirectoryError ERR_DIRECTORY_UNREACHABLE, ERR_DIRECTORY_ANSWER */
  async authorizationEndpoint(): Promise<string> {
    const { authorization_endpoint: endpoint } = (await this.#discover()).configuration.serverMetadata();
    return secure(endpoint, 'authorization endpoint');
  }

  /**
   * Redeems a code and checks everything that the provider says.
   * @throws DirectoryError ERR_DIRECTORY_REFUSED naming the check, ERR_DIRECTORY_UNREACHABLE
   */
  async redeem(grant: AuthorizationCode): Promise<OidcSignIn> {
    const { configuration, keys } = await this.#discover();
    const tokens = await this.#exchangeCode(configuration, grant);
    if (tokens.id_token === undefined) throw checkFailed('no id token');
    const demands = { ...this.#demands(), nonce: nonceOf(grant.verifier) };
    const claims = await verifyIdToken(tokens.id_token, keys, demands);
    const groups = await readGroups(this.settings, claims, { accessToken: tokens.access_token, fetch: this.#fetch });
    return { ...this.#person(claims), groups, accessToken: tokens.access_token };
  }

  /**
   * Refuses what cannot be a logout token of this provider for us, at the cost of parsing it.
   * @throws DirectoryError ERR_DIRECTORY_REFUSED
   */
  checkLogoutForm(token: string): void {
    checkLogoutForm(token, this.#demands());
  }

  /** Reads a logout token (OpenID Connect Back-Channel Logout 1.0). @throws DirectoryError ERR_DIRECTORY_REFUSED */
  async readLogout(token: string): Promise<LogoutOrder> {
    // Anybody can send one: while the provider is down it is not asked for each.
    if (!this.#fresh && performance.now() < this.#restsUntil) throw this.#trouble!;
    const { keys } = await this.#discover();
    const claims = await verifyLogoutToken(token, keys, this.#demands());
    const { jti, sid } = claims as { jti: string; sid?: string };
    const subject = claims[this.settings.subjectClaim ?? 'sub'];
    // A subject of another kind than the one we know accounts by would end nobody's session, in silence.
    if (sid === undefined && typeof subject !== 'string') throw checkFailed('subject');
    return { id: jti, subject: typeof subject === 'string' ? subject : undefined, session: sid };
  }

  /** True when the provider exchanges tokens (RFC 8693). */
  async exchangesTokens(): Promise<boolean> {
    const { grant_types_supported: grants = [] } = (await this.#discover()).configuration.serverMetadata();
    return grants.includes(TOKEN_EXCHANGE);
  }

  /** Exchanges the user's token for one that a backend takes. @throws DirectoryError */
  async exchange(subjectToken: string, audience: string): Promise<ExchangedToken> {
    const { configuration } = await this.#discover();
    const parameters = { subject_token: subjectToken, subject_token_type: ACCESS_TOKEN, audience };
    try {
      const answer = await client.genericGrantRequest(configuration, TOKEN_EXCHANGE, parameters);
      return { token: answer.access_token, expiresInMs: (answer.expires_in ?? 300) * 1_000 };
    } catch (error) {
      throw refusalOf(error);
    }
  }

  async test(): Promise<readonly Finding[]> {
    const check = `what ${this.settings.issuer} publishes`;
    try {
      this.#discovered = undefined;
      const { configuration } = await this.#discover();
      const metadata = configuration.serverMetadata();
      return [
        { check, ok: true, words: 'it can be read, and names itself' },
        pkceFinding(metadata),
        await this.#keysFinding(metadata),
        await this.#clientFinding(configuration),
        logoutFinding(metadata),
      ];
    } catch (error) {
      return [{ check, ok: false, words: (error as Error).message }];
    }
  }

  readonly #fetch = (url: string | URL, options: object): Promise<Response> =>
    undiciFetch(url, { ...options, dispatcher: this.#agent }) as Promise<Response>;

  #demands(): TokenDemands {
    const { issuer, clientId, tenant, acr, amr } = this.settings;
    return { issuer, clientId, tenant, acr, amr, nowSeconds: Math.floor(Date.now() / 1_000) };
  }

  #person(claims: Claims): Omit<OidcSignIn, 'groups' | 'accessToken'> {
    const text = (name: string): string | undefined => {
      const value = claims[name];
      return typeof value === 'string' && value !== '' && value.length <= 256 ? value : undefined;
    };
    const subject = text(this.settings.subjectClaim ?? 'sub');
    if (subject === undefined) throw checkFailed('subject');
    const login = text('preferred_username') ?? text('email') ?? subject;
    const email = claims['email_verified'] === true ? text('email') : undefined;
    return { subject, login, email, displayName: text('name') ?? login, session: text('sid') };
  }

  async #exchangeCode(configuration: client.Configuration, grant: AuthorizationCode) {
    const { code, verifier, redirect, issuer } = grant;
    if (!this.settings.redirects.includes(redirect) && !isLoopback(redirect)) throw checkFailed('redirect');
    const url = new URL(redirect);
    url.searchParams.set('code', code);
    if (issuer !== undefined) url.searchParams.set('iss', issuer);
    const checks = { pkceCodeVerifier: verifier, expectedNonce: nonceOf(verifier), idTokenExpected: true };
    try {
      return await client.authorizationCodeGrant(configuration, url, checks);
    } catch (error) {
      throw refusalOf(error);
    }
  }

  get #fresh(): Discovered | undefined {
    const isFresh = this.#discovered && performance.now() - this.#discovered.at < METADATA_TTL_MS;
    return isFresh ? this.#discovered : undefined;
  }

  async #discover(): Promise<Discovered> {
    if (this.#fresh) return this.#fresh;
    // Whoever asks meanwhile waits for the same answer.
    this.#discovering ??= this.#readMetadata().finally(() => {
      this.#discovering = undefined;
    });
    return this.#discovering;
  }

  async #readMetadata(): Promise<Discovered> {
    try {
      const discovered = await this.#askMetadata();
      this.#restsUntil = 0;
      return discovered;
    } catch (error) {
      this.#trouble = error as Error;
      this.#restsUntil = performance.now() + REST_MS;
      throw error;
    }
  }

  async #askMetadata(): Promise<Discovered> {
    const { issuer, clientId } = this.settings;
    const authentication = this.#secret === undefined ? client.None() : client.ClientSecretBasic(this.#secret);
    const options = { [client.customFetch]: this.#fetch as client.CustomFetch, timeout: TIMEOUT_SECONDS };
    try {
      const configuration = await client.discovery(new URL(issuer), clientId, undefined, authentication, options);
      const metadata = configuration.serverMetadata();
      if (metadata.issuer !== issuer)
        throw new DirectoryError('ERR_DIRECTORY_ANSWER', `the provider calls itself ${metadata.issuer}`);
      this.#discovered = { configuration, keys: this.#keysOf(metadata), at: performance.now() };
      return this.#discovered;
    } catch (error) {
      if (error instanceof DirectoryError) throw error;
      throw new DirectoryError('ERR_DIRECTORY_UNREACHABLE', `${issuer}: ${causeOf(error)}`, { cause: error });
    }
  }

  #keysOf({ jwks_uri: published }: client.ServerMetadata): JWTVerifyGetKey {
    const uri = secure(published, 'address of its keys');
    const options = {
      cooldownDuration: KEYS_COOLDOWN_MS,
      timeoutDuration: TIMEOUT_SECONDS * 1_000,
      [joseFetch]: this.#fetch,
    };
    return createRemoteJWKSet(new URL(uri), options as never);
  }

  async #keysFinding({ jwks_uri: uri = '' }: client.ServerMetadata): Promise<Finding> {
    const check = 'keys of the provider';
    try {
      const { keys } = (await (await this.#fetch(uri, {})).json()) as { keys: unknown[] };
      return { check, ok: keys.length > 0, words: `${keys.length} published` };
    } catch (error) {
      return { check, ok: false, words: `${uri} cannot be read: ${causeOf(error)}` };
    }
  }

  /** A code that nobody issued: a provider that knows the client says that the code is wrong, not the client. */
  async #clientFinding(configuration: client.Configuration): Promise<Finding> {
    const check = 'client id and secret';
    const url = new URL(this.settings.redirects[0]!);
    url.searchParams.set('code', 'sallyport-test');
    url.searchParams.set('iss', this.settings.issuer);
    try {
      await client.authorizationCodeGrant(configuration, url, { pkceCodeVerifier: 'x'.repeat(43) });
      return { check, ok: false, words: 'the provider accepts a code that it never issued' };
    } catch (error) {
      const { error: code, status } = error as { error?: string; status?: number };
      if (status === 401 || code === 'invalid_client')
        return { check, ok: false, words: 'the provider does not know them: check both' };
      if (code === 'invalid_grant') return { check, ok: true, words: 'the provider knows them' };
      return {
        check,
        ok: false,
        words: code === undefined ? causeOf(error) : `the provider answers ${code}: check both`,
      };
    }
  }
}

/** What a provider publishes must be encrypted, whoever reads it. @throws DirectoryError ERR_DIRECTORY_ANSWER */
function secure(url: string | undefined, what: string): string {
  if (url?.startsWith('https://')) return url;
  throw new DirectoryError('ERR_DIRECTORY_ANSWER', `the provider publishes no ${what}, or one without TLS`);
}

/** An operator's command listens on a port that nobody knows before (RFC 8252, section 7.3). */
function isLoopback(redirect: string): boolean {
  return /^http:\/\/127\.0\.0\.1:\d{1,5}\/$/.test(redirect);
}

function pkceFinding({ code_challenge_methods_supported: methods = [] }: client.ServerMetadata): Finding {
  const ok = methods.includes('S256');
  const words = ok ? 'offered' : 'not announced: the provider may still do it, but cannot be relied on';
  return { check: 'PKCE with S256', ok, words };
}

function logoutFinding(metadata: client.ServerMetadata): Finding {
  const ok = metadata['backchannel_logout_supported'] === true;
  const words = ok ? 'offered' : 'not offered: who signs out there stays signed in here until the session ends';
  return { check: 'back-channel logout', ok: true, words };
}

const CLAIM_REASONS: Readonly<Record<string, string>> = {
  iss: 'issuer',
  aud: 'audience',
  azp: 'audience',
  nonce: 'nonce',
  exp: 'expired',
  iat: 'issued',
};

/** What the client library found wrong, by the names that our own checks have. */
function refusalOf(error: unknown): DirectoryError {
  if (error instanceof DirectoryError) return error;
  const { code, cause, error: answered } = error as { code?: string; cause?: unknown; error?: string };
  if (answered !== undefined)
    return checkFailed(answered === 'invalid_grant' ? 'code' : `provider says ${answered}`, error);
  const { claim } = (cause ?? {}) as { claim?: string };
  if (claim !== undefined) return checkFailed(CLAIM_REASONS[claim] ?? `claim ${claim}`, error);
  if (code?.startsWith('OAUTH_JWT_TIMESTAMP')) return checkFailed('expired', error);
  const words = `${(error as Error).message} ${(cause as Error | undefined)?.message ?? ''}`;
  if (/"alg"/.test(words)) return checkFailed('alg', error);
  if (/"iss"|issuer/i.test(words)) return checkFailed('issuer', error);
  if (code?.startsWith('OAUTH_') && code !== 'OAUTH_TIMEOUT') return checkFailed('form', error);
  return new DirectoryError('ERR_DIRECTORY_UNREACHABLE', `the provider does not answer: ${causeOf(error)}`, {
    cause: error,
  });
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message} (${causeOf(cause)})` : message;
}
