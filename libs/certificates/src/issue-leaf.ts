import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);

/** Keys of our own CAs, and of all that they vouch for. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Certificates start a little in the past, for clocks that are behind, ms. */
export const BACKDATE_MS = 3_600_000;

/** The CA that issues. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly signingKey: webcrypto.CryptoKey;
}

/** What a certificate says of a server, or of a client. */
interface Leaf {
  /** A distinguished name (RFC 4514). */
  readonly subject: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly use: 'server' | 'client';
  /** DNS names and addresses; none for a client. */
  readonly names: readonly string[];
  /** Epoch ms; it starts before, by half of its life at most. */
  readonly now: number;
  /** Epoch ms. */
  readonly endsAt: number;
}

/** Issues a certificate, PEM, that strict verifiers take (RFC 5280, section 4.2). It issues none itself. */
export async function issueLeaf(issuer: Issuer, leaf: Leaf): Promise<string> {
  const { subject, publicKey, now, endsAt } = leaf;
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: issuer.certificate.subjectName,
    serialNumber: newSerialNumber(),
    publicKey,
    signingKey: issuer.signingKey,
    signingAlgorithm: KEY_ALGORITHM,
    notBefore: new Date(now - Math.min(BACKDATE_MS, (endsAt - now) / 2)),
    notAfter: new Date(endsAt),
    extensions: await extensionsOf(issuer, leaf),
  });
  return certificate.toString('pem');
}

async function extensionsOf({ certificate }: Issuer, { publicKey, use, names }: Leaf): Promise<Extension[]> {
  const usage = use === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth;
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([usage]),
    // Strict verifiers demand both (RFC 5280, sections 4.2.1.1 and 4.2.1.2).
    await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
    await SubjectKeyIdentifierExtension.create(publicKey),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names.map(alternativeName))] : []),
  ];
}

function alternativeName(name: string): { type: 'ip' | 'dns'; value: string } {
  return { type: isIP(name) ? 'ip' : 'dns', value: name };
}

/** Makes keys for a CA, or for what it vouches for. */
export async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

/** A private key, PKCS #8 in PEM. */
export async function privateKeyPem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');
}

/** Positive, random, 16 bytes, hex (RFC 5280, section 4.1.2.2). */
export function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}
