import type { VerifyProof } from '@sallyport/access';
import { type CborFields, formatBase64Url, type SecurityEstablish } from '@sallyport/channel';
import { compactVerify, importJWK, type JWK } from 'jose';

/** The device's signing key in an enrolment. */
export function readSigningKey(fields: CborFields): JWK {
  return {
    kty: fields.text('kty', 8),
    crv: fields.text('crv', 16),
    x: fields.text('x', 64),
    y: fields.text('y', 64),
  } as JWK;
}

/** True when the proof is an ES256 signature over this very handshake by the installation's signing key. */
export function proofFits(establish: SecurityEstablish, jwk: JWK, proof: string, iid: string): Promise<boolean> {
  return verifyProof({
    binding: establish.binding,
    signingKey: jwk as Parameters<VerifyProof>[0]['signingKey'],
    proof,
    iid,
  });
}

/** True when the proof is an ES256 signature over a binding by the installation's signing key (SPEC.md, section 3). */
export const verifyProof: VerifyProof = async ({ binding, signingKey, proof, iid }) => {
  const jwk = signingKey as JWK;
  if (jwk.kty !== 'EC' || jwk.crv !== 'P-256') return false;
  try {
    const key = await importJWK(jwk, 'ES256');
    const { payload, protectedHeader } = await compactVerify(proof, key, { algorithms: ['ES256'] });
    if (protectedHeader.typ !== 'sallyport-proof') return false;
    const claims = JSON.parse(new TextDecoder().decode(payload)) as { b?: unknown; iid?: unknown };
    return claims.b === formatBase64Url(binding) && claims.iid === iid;
  } catch {
    return false;
  }
};
