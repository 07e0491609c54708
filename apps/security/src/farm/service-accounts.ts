import { statSync } from 'node:fs';
import type { Pod } from '@sallyport/access';
import { readJsonFile } from '@sallyport/settings';
import type { Log } from '@sallyport/telemetry';
import {
  createLocalJWKSet,
  decodeJwt,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  type LocalJWKSet,
} from 'jose';
import type { Config } from '../config.ts';

/** Signatures that a cluster may use: asymmetric ones only (RFC 8725, section 3.1). */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const MAX_TOKEN_CHARACTERS = 16 * 1024;
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** The longest life of a token, s: a volume of a pod brings a new one long before. */
const MAX_LIFE_SECONDS = 3_660;
/** Clocks may differ by so much, s. */
const CLOCK_TOLERANCE_SECONDS = 30;

/** A name in a cluster (RFC 1123 subdomain), and an id as it draws them (RFC 9562). */
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A pod that a cluster vouches for, and the one site that its service account may join. */
export interface VouchedPod {
  readonly pod: Pod;
  readonly site: string;
}

/** Why a token is refused: the name of the first check that fails. */
export type TokenRefusal = 'form' | 'issuer' | 'audience' | 'account' | 'signature' | 'time' | 'pod';

/** What tokens are held against. */
interface Trust {
  readonly issuer: string;
  readonly audience: string;
  /** Site by `namespace/name` of a service account. */
  readonly sites: ReadonlyMap<string, string>;
  readonly keys: KeyFile;
}

/** Service accounts of a cluster whose pods may join as Proxies. One belongs to one node. */
export class ServiceAccounts {
  readonly #trust: Trust;

  private constructor(trust: Trust) {
    this.#trust = trust;
  }

  /** Undefined where no pod may join. @throws Error when settings lack a part, or the file of the keys cannot be read */
  static open(config: Config, log: Log): ServiceAccounts | undefined {
    const { SALLYPORT_JOIN_ACCOUNTS: sites, SALLYPORT_JOIN_ISSUER: issuer, SALLYPORT_JOIN_KEYS: file } = config;
    if (sites.size === 0) return undefined;
    if (!issuer || !file)
      throw new Error(
        'SALLYPORT_JOIN_ACCOUNTS needs SALLYPORT_JOIN_ISSUER and SALLYPORT_JOIN_KEYS: who vouches for pods, and by which keys',
      );
    return new ServiceAccounts({
      issuer,
      audience: config.SALLYPORT_JOIN_AUDIENCE,
      sites,
      keys: new KeyFile(file, log),
    });
  }

  /**
   * What of a token can be told without any public-key work: undefined when it may be good, else why it is not. What a stranger
   * makes up ends here, unless they know the names.
   */
  refuse(token: string): TokenRefusal | undefined {
    return refusalOf(this.#trust, unverifiedClaims(token));
  }

  /** The pod that a token vouches for (projected token of a service account, bound to a pod), or why it is refused. */
  async verify(token: string, now: Date): Promise<VouchedPod | TokenRefusal> {
    const refusal = this.refuse(token);
    if (refusal) return refusal;
    const claims = await this.#signed(token, now);
    if (typeof claims === 'string') return claims;
    // Once more, by what was signed.
    return refusalOf(this.#trust, claims) ?? vouched(this.#trust, claims);
  }

  async #signed(token: string, currentDate: Date): Promise<JWTPayload | TokenRefusal> {
    const { issuer, audience, keys } = this.#trust;
    try {
      const { payload } = await jwtVerify(token, keys.current(), {
        ...{ issuer, audience, currentDate, algorithms: ALGORITHMS, clockTolerance: CLOCK_TOLERANCE_SECONDS },
        requiredClaims: ['exp', 'iat', 'sub'],
      });
      const { exp = 0, iat = 0 } = payload;
      return exp - iat <= MAX_LIFE_SECONDS && iat * 1_000 <= currentDate.getTime() + CLOCK_TOLERANCE_SECONDS * 1_000
        ? payload
        : 'time';
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      const late = error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed;
      return late ? 'time' : 'signature';
    }
  }
}

function unverifiedClaims(token: string): JWTPayload | undefined {
  if (token.length > MAX_TOKEN_CHARACTERS || !COMPACT.test(token)) return undefined;
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

/** The checks of claims that need no key, in this order. */
function refusalOf({ issuer, audience, sites }: Trust, claims: JWTPayload | undefined): TokenRefusal | undefined {
  if (!claims) return 'form';
  if (claims.iss !== issuer) return 'issuer';
  // For us alone: a token for several parties could be taken on by any of them.
  if (![claims.aud].flat().every((one) => one === audience) || [claims.aud].flat().length !== 1) return 'audience';
  const pod = podOf(claims);
  if (typeof pod === 'string') return pod;
  return sites.has(`${pod.namespace}/${pod.account}`) ? undefined : 'account';
}

function vouched({ sites }: Trust, claims: JWTPayload): VouchedPod | TokenRefusal {
  const pod = podOf(claims);
  if (typeof pod === 'string') return pod;
  const site = sites.get(`${pod.namespace}/${pod.account}`);
  return site === undefined ? 'account' : { pod, site };
}

/** The private claims of a bound token; `sub` must say the same as they do. */
function podOf(claims: JWTPayload): Pod | TokenRefusal {
  const bound = (claims['kubernetes.io'] ?? {}) as {
    readonly namespace?: unknown;
    readonly serviceaccount?: { readonly name?: unknown };
    readonly pod?: { readonly name?: unknown; readonly uid?: unknown };
  };
  const { namespace, serviceaccount, pod } = bound;
  const account = serviceaccount?.name;
  if (!isName(namespace) || !isName(account)) return 'account';
  if (claims.sub !== `system:serviceaccount:${namespace}:${account}`) return 'account';
  if (!isName(pod?.name) || typeof pod.uid !== 'string' || !UID.test(pod.uid)) return 'pod';
  return { namespace, account, name: pod.name, uid: pod.uid };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}

/** The keys of the cluster in a file (RFC 7517), read again when it changes. What cannot be read then is refused loudly, and the keys before stay. */
class KeyFile {
  readonly #file: string;
  readonly #log: Log;
  #mark: string;
  #keys: LocalJWKSet;

  /** @throws Error when it cannot be read */
  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
    this.#mark = markOf(file);
    this.#keys = readKeys(file);
  }

  current(): LocalJWKSet {
    try {
      const mark = markOf(this.#file);
      if (mark === this.#mark) return this.#keys;
      this.#mark = mark;
      this.#keys = readKeys(this.#file);
      this.#log.info({ file: this.#file }, 'the keys of the cluster were taken over');
    } catch (error) {
      this.#log.error({ err: error, file: this.#file }, 'the keys of the cluster cannot be read; those before stay');
    }
    return this.#keys;
  }
}

function markOf(file: string): string {
  const { mtimeNs, ino } = statSync(file, { bigint: true });
  return `${ino} ${mtimeNs}`;
}

function readKeys(file: string): LocalJWKSet {
  const set = readJsonFile(file) as JSONWebKeySet;
  const keys = Array.isArray(set.keys) ? set.keys : [];
  const isPublic = keys.every(({ kty, d, k }) => kty !== 'oct' && d === undefined && k === undefined);
  if (keys.length === 0 || !isPublic) throw new Error(`${file} is no set of public keys`);
  return createLocalJWKSet({ keys });
}
