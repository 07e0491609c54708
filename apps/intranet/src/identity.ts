import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from 'jose';

/** How a backend verifies who the gateway says the user is. */
export interface IdentityOptions {
  /** `https://security:8443/v1/jwks` */
  readonly jwksUrl: string;
  /** File with the PEM of the gateway's CA. */
  readonly caFile: string;
  readonly issuer: string;
  /** The authorities of this resource: an assertion for another backend is refused. */
  readonly audience: readonly string[];
}

/** What an assertion says. */
export interface Identity {
  readonly name: string;
  readonly groups: readonly string[];
}

function fetchJwks({ jwksUrl, caFile }: IdentityOptions): Promise<JSONWebKeySet> {
  return new Promise((resolve, reject) => {
    const request = get(jwksUrl, { ca: readFileSync(caFile), timeout: 5_000 }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(text) as JSONWebKeySet);
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error('Security does not answer')));
    request.on('error', reject);
  });
}

/** Verifies the header `sallyport-assertion`; undefined when it is missing or not good. This is all a backend has to do. */
export function identityVerifier(options: IdentityOptions): (assertion: unknown) => Promise<Identity | undefined> {
  let keys: Promise<JSONWebKeySet> | undefined;
  const verified = async (assertion: string): Promise<Identity> => {
    keys ??= fetchJwks(options);
    const { payload } = await jwtVerify(assertion, createLocalJWKSet(await keys), {
      algorithms: ['ES256'],
      typ: 'sallyport-assertion+jwt',
      issuer: options.issuer,
      audience: [...options.audience],
    });
    return { name: payload['name'] as string, groups: payload['groups'] as string[] };
  };
  return async (assertion) => {
    if (typeof assertion !== 'string') return undefined;
    const known = keys;
    try {
      return await verified(assertion).catch((error: unknown) => {
        // Signed with a key that the gateway began to use since: its keys are read again, once.
        if (!(error instanceof errors.JWKSNoMatchingKey) || known === undefined) throw error;
        if (keys === known) keys = undefined;
        return verified(assertion);
      });
    } catch {
      keys = undefined;
      return undefined;
    }
  };
}
