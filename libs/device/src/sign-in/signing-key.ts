import { encodeText, formatBase64Url } from '@sallyport/channel';
import type { StoredJwk, StoredSigningKey } from '../kept/record.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Makes the signing key `HK` of an installation; not exportable where the storage can hold key objects. */
export async function createSigningKey(holdsKeyObjects: boolean): Promise<StoredSigningKey> {
  const { subtle } = globalThis.crypto;
  const pair = await subtle.generateKey(ALGORITHM, !holdsKeyObjects, ['sign', 'verify']);
  const { kty, crv, x, y } = await subtle.exportKey('jwk', pair.publicKey);
  const privateKey = holdsKeyObjects ? pair.privateKey : await subtle.exportKey('jwk', pair.privateKey);
  return { publicJwk: { kty, crv, x, y } as StoredJwk, privateKey };
}

/** The fresh proof of a handshake: a compact JWS, ES256, over `{b, iid}` (SPEC.md, section 3; RFC 7515). */
export async function signProof(key: StoredSigningKey, binding: Uint8Array, iid: string): Promise<string> {
  const header = formatBase64Url(encodeText(JSON.stringify({ alg: 'ES256', typ: 'sallyport-proof' })));
  const payload = formatBase64Url(encodeText(JSON.stringify({ b: formatBase64Url(binding), iid })));
  const input = encodeText(`${header}.${payload}`) as Uint8Array<ArrayBuffer>;
  const signature = await globalThis.crypto.subtle.sign(SIGNATURE, await privateKeyOf(key), input);
  return `${header}.${payload}.${formatBase64Url(new Uint8Array(signature))}`;
}

async function privateKeyOf({ privateKey }: StoredSigningKey): Promise<CryptoKey> {
  if (!('kty' in privateKey)) return privateKey as CryptoKey;
  return globalThis.crypto.subtle.importKey('jwk', privateKey, ALGORITHM, false, ['sign']);
}
