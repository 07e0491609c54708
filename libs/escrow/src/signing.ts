import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign, verify } from 'node:crypto';

/** Bytes in front of the seed of an Ed25519 private key (RFC 8410, section 7), and in front of a public one (section 4). */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** What proofs stand for. */
export type ProofLabel = 'sallyport/1 escrow share' | 'sallyport/1 escrow drill';

/** The Ed25519 key that whoever has a secret can sign with, derived from it (HKDF, RFC 5869): it tells nothing of the secret. */
function proofKey(secret: Uint8Array, label: ProofLabel): KeyObject {
  const seed = Buffer.from(hkdfSync('sha256', secret, new Uint8Array(), label, 32));
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_HEAD, seed]), format: 'der', type: 'pkcs8' });
  seed.fill(0);
  return key;
}

/** Its public half, 32 bytes in base64url. */
export function proofKeyOf(secret: Uint8Array, label: ProofLabel): string {
  const der = createPublicKey(proofKey(secret, label)).export({ format: 'der', type: 'spki' });
  return der.subarray(PUBLIC_HEAD.length).toString('base64url');
}

/** Proves that one has a secret, by a signature over a text; base64url. */
export function prove(secret: Uint8Array, label: ProofLabel, text: string): string {
  return sign(null, Buffer.from(`${label}\n${text}`), proofKey(secret, label)).toString('base64url');
}

/** True for a signature of whoever has the secret behind a public key. */
export function isProof(
  publicKey: string,
  label: ProofLabel,
  { text, signature }: { readonly text: string; readonly signature: string },
): boolean {
  try {
    const der = Buffer.concat([PUBLIC_HEAD, Buffer.from(publicKey, 'base64url')]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    return verify(null, Buffer.from(`${label}\n${text}`), key, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}
