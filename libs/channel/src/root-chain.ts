import { ed25519 } from '@noble/curves/ed25519.js';
import { decodeText, encodeText, equalBytes, formatBase64Url, parseBase64Url } from './bytes.ts';
import type { CryptoProvider } from './crypto.ts';

/** The public part of a root key. */
export interface RootJwk {
  /** `OKP`. */
  readonly kty: string;
  /** `Ed25519`. */
  readonly crv: string;
  /** The key, base64url. */
  readonly x: string;
}

/** `typ` of a statement by which a root key names the next one. */
export const NEXT_ROOT_TYPE = 'sallyport-next-root+jwt';
/** Statements that are followed at most: those of a root key each year for a generation. */
export const MAX_ROOT_STATEMENTS = 32;

/** What a root key is known by (RFC 7638), 32 bytes. */
export function rootThumbprint({ sha256 }: Pick<CryptoProvider, 'sha256'>, { crv, kty, x }: RootJwk): Uint8Array {
  return sha256(encodeText(JSON.stringify({ crv, kty, x })));
}

/**
 * Follows the statements by which root keys named their successors (SPEC.md, section 2), from a thumbprint that is known to the newest
 * that it leads to. Statements of other keys are passed over. @throws Error for a text that is none, or a signature that does not fit
 */
export function followRoots(
  crypto: Pick<CryptoProvider, 'sha256'>,
  known: Uint8Array,
  { realm, statements }: { readonly realm: string; readonly statements: readonly string[] },
): Uint8Array {
  if (statements.length > MAX_ROOT_STATEMENTS) throw new TypeError('too many root keys');
  let root = known;
  for (const statement of statements) {
    const [header = '', payload = '', signature = '', ...rest] = statement.split('.');
    const { alg, typ, jwk } = JSON.parse(decodeText(parseBase64Url(header)));
    if (!equalBytes(rootThumbprint(crypto, jwk), root)) continue;
    const right = rest.length === 0 && alg === 'EdDSA' && typ === NEXT_ROOT_TYPE && jwk.crv === 'Ed25519';
    const signed = encodeText(`${header}.${payload}`);
    if (!right || !ed25519.verify(parseBase64Url(signature), signed, parseBase64Url(jwk.x)))
      throw new TypeError('a root key did not name the next one');
    const next = JSON.parse(decodeText(parseBase64Url(payload)));
    if (next.realm !== realm) throw new TypeError('a root key of another realm');
    root = parseBase64Url(next.root);
  }
  return root;
}

/** What a root key signs to name the next one. */
export function nextRootPayload(realm: string, thumbprint: Uint8Array): string {
  return JSON.stringify({ realm, root: formatBase64Url(thumbprint) });
}
