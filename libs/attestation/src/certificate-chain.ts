import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { X509Certificate as ParsedCertificate } from '@peculiar/x509';
import { expectEvidence } from './connector.ts';

/** More certificates than any platform sends. */
const MAX_CERTIFICATES = 10;

const MAX_RSA_BITS = 4_096;

/** Certificates that the operator trusts for one connector. */
export type TrustedRoots = readonly X509Certificate[];

/** Where a chain is to end, and when it is looked at. */
export interface ChainTrust {
  readonly roots: TrustedRoots;
  /** Epoch ms. */
  readonly now: number;
  /** Certificates of the device's own making, and those of factories, run by clocks that nobody sets: their dates say nothing. */
  readonly ignoreEnds?: boolean;
  /** Devices were built whose authorities do not say that they are some: whoever takes them must know the end of a chain in another way. */
  readonly anyAuthority?: boolean;
}

/** Reads certificates of a statement, DER, the device's own first. @throws EvidenceRefused */
export function parseChain(ders: readonly Uint8Array[]): readonly X509Certificate[] {
  expectEvidence(ders.length >= 1 && ders.length <= MAX_CERTIFICATES, 'malformed');
  const chain = ders.map((der) => new X509Certificate(der));
  expectEvidence(chain.every(isQuickToVerify), 'malformed');
  return chain;
}

/** Keys as platforms have them: a look at a signature by an RSA key of any size and exponent can take as long as its maker likes. */
function isQuickToVerify({ publicKey }: X509Certificate): boolean {
  const { asymmetricKeyType: kind, asymmetricKeyDetails: key = {} } = publicKey;
  if (kind === 'ec') return key.namedCurve !== undefined;
  return kind === 'rsa' && key.modulusLength! <= MAX_RSA_BITS && key.publicExponent! < 2n ** 32n;
}

/**
 * Follows a chain from the device's certificate to a trusted root (RFC 5280, section 6.1: names, signatures, CA, dates). Roots are known by
 * their keys, because platforms renew the certificate of a root and keep the key; a root that is in the chain itself is not looked at
 * further. Gives the certificates below the root, the device's own first.
 * @throws EvidenceRefused root-unknown, chain-broken, certificate-expired
 */
export function verifyChain(
  chain: readonly X509Certificate[],
  { roots, now, ignoreEnds = false, anyAuthority = false }: ChainTrust,
): readonly X509Certificate[] {
  const sent = chain.at(-1)!;
  const below = chain.length > 1 && roots.some((root) => sameKey(root, sent)) ? chain.slice(0, -1) : chain;
  const last = below.at(-1)!;
  const root = roots.find((one) => one.subject === last.issuer && last.verify(one.publicKey));
  expectEvidence(root !== undefined, 'root-unknown');
  // From the root down: what somebody made up below a certificate that is none of theirs is not looked at further.
  for (let i = below.length - 1; i >= 0; i--) {
    const [certificate, issuer] = [below[i]!, below[i + 1]];
    if (issuer) checkIssued(certificate, issuer, anyAuthority);
    // The dates of the device's own certificate are of its own clock.
    if (i > 0 || below.length === 1) checkDates(certificate, now, ignoreEnds);
  }
  return below;
}

function sameKey(a: X509Certificate, b: X509Certificate): boolean {
  return spkiOf(a).equals(spkiOf(b));
}

/** Value of an extension, DER; undefined where the certificate has none of this id. */
export function extensionOf(certificate: X509Certificate, id: string): Uint8Array | undefined {
  const found = new ParsedCertificate(certificate.raw as Uint8Array<ArrayBuffer>).getExtension(id);
  return found ? new Uint8Array(found.value) : undefined;
}

/** SubjectPublicKeyInfo of a certificate, DER. */
export function spkiOf(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: 'spki', format: 'der' });
}

function checkIssued(certificate: X509Certificate, issuer: X509Certificate, anyAuthority: boolean): void {
  expectEvidence((anyAuthority || issuer.ca) && certificate.issuer === issuer.subject, 'chain-broken');
  expectEvidence(certificate.verify(issuer.publicKey), 'chain-broken');
}

function checkDates({ validFromDate, validToDate }: X509Certificate, now: number, ignoreEnds: boolean): void {
  const begun = validFromDate.getTime() <= now;
  expectEvidence(begun && (ignoreEnds || now <= validToDate.getTime()), 'certificate-expired');
}
