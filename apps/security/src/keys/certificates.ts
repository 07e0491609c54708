import 'reflect-metadata';
import { createHash, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { RealmKey } from '@sallyport/access';

type CryptoKey = webcrypto.CryptoKey;

cryptoProvider.set(webcrypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const CA_TTL_MS = 3_650 * DAY_MS;
/** Server and Proxy certificates are short-lived and renew themselves. */
const LEAF_TTL_MS: number = 2 * DAY_MS;
/** Certificates start a little in the past, for clocks that are behind; those of short life by half of it at most. */
const BACKDATE_MS = 3_600_000;

/** Certificate and key of a listener, PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** The internal CA of a realm. */
export interface CertificateAuthority {
  /** PEM of its certificate. */
  readonly certificate: string;
  /** SHA-256 of the DER of the oldest one that is trusted, hex: what a join token pins, and listeners show in any case. */
  readonly fingerprint: string;
  /** `lifeMs`: how long it is good, two days unless said otherwise. */
  issueServer(names: readonly string[], now: number, lifeMs?: number): Promise<ServerCertificate>;
  issueProxy(request: CertificateRequest, name: string, now: number, lifeMs?: number): Promise<string>;
}

/** A request for a certificate that has proved its key. */
export interface CertificateRequest {
  readonly publicKey: CryptoKey;
  /** The public key, SPKI in DER. */
  readonly spki: Uint8Array;
}

/** Reads a request in PEM. @throws Error for one that cannot be read, TypeError for one that does not prove its key. */
export async function readCertificateRequest(csr: string): Promise<CertificateRequest> {
  const request = new Pkcs10CertificateRequest(csr);
  if (!(await request.verify())) throw new TypeError('the certificate request does not prove its key');
  const publicKey = await request.publicKey.export(ALGORITHM, ['verify']);
  return { publicKey, spki: new Uint8Array(await webcrypto.subtle.exportKey('spki', publicKey)) };
}

/** Makes the key and certificate of a new CA, as the realm stores them. */
export async function createCaKey(realm: string, id: string, now: number): Promise<RealmKey> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: nameOf(realm, id),
    serialNumber: serialNumber(),
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + CA_TTL_MS),
    extensions: [
      // One CA below: the next one, which this one vouches for while whoever trusts it learns of that.
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const secret = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    id,
    purpose: 'ca',
    publicPart: certificate.toString('pem'),
    secret,
    createdAt: now,
    expiresAt: now + CA_TTL_MS,
  };
}

/** One name for each: whoever looks for an issuer by its name finds the right one. */
function nameOf(realm: string, id: string): string {
  const [, number] = /-(\d+)$/.exec(id) ?? [];
  return `CN=Sallyport ${realm} CA${number === undefined ? '' : ` ${number}`}`;
}

/**
 * The next CA of a realm, for which the one in use vouches: who trusts that one trusts what the next one issues, until it has heard
 * of it.
 */
export async function createNextCaKey(
  before: RealmKey,
  of: { realm: string; id: string; now: number },
): Promise<RealmKey> {
  const { realm, id, now } = of;
  const next = await createCaKey(realm, id, now);
  const [issuer, own] = [certificateOf(before), certificateOf(next)];
  const crossed = await X509CertificateGenerator.create({
    subject: own.subject,
    issuer: issuer.subject,
    serialNumber: serialNumber(),
    publicKey: own.publicKey,
    signingKey: await signingKeyOf(before),
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: issuer.notAfter,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await SubjectKeyIdentifierExtension.create(own.publicKey),
    ],
  });
  return { ...next, publicPart: `${own.toString('pem')}\n${crossed.toString('pem')}\n` } as RealmKey;
}

/** The certificate by which a CA is trusted: the one that it signed itself. */
function certificateOf({ publicPart }: Pick<RealmKey, 'publicPart'>): X509Certificate {
  return new X509Certificate(PemConverter.decodeFirst(publicPart as string));
}

/** The same in PEM. */
export function authorityOf(key: Pick<RealmKey, 'publicPart'>): string {
  return certificateOf(key).toString('pem');
}

async function signingKeyOf({ secret }: Pick<RealmKey, 'secret'>): Promise<CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', Uint8Array.from(secret), ALGORITHM, false, ['sign']);
}

/** Opens a stored CA; `trusted` are those of before that somebody may still know it by, PEM, the oldest last. */
export async function openCa(key: RealmKey, trusted: readonly string[] = []): Promise<CertificateAuthority> {
  const ca = certificateOf(key);
  const above = trusted.length > 0 ? [...otherPartsOf(key), ...trusted] : [ca.toString('pem')];
  const signingKey = await signingKeyOf(key);
  const issue = async (subject: string, publicKey: CryptoKey, usage: Leaf): Promise<string> => {
    const leaf = await X509CertificateGenerator.create({
      subject,
      issuer: ca.subject,
      serialNumber: serialNumber(),
      publicKey,
      signingKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(usage.now - Math.min(BACKDATE_MS, usage.lifeMs / 2)),
      notAfter: new Date(usage.now + usage.lifeMs),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage.purpose]),
        // Strict verifiers demand both (RFC 5280, sections 4.2.1.1 and 4.2.1.2).
        await AuthorityKeyIdentifierExtension.create(ca.publicKey),
        await SubjectKeyIdentifierExtension.create(publicKey),
        ...(usage.names.length > 0 ? [new SubjectAlternativeNameExtension(usage.names.map(alternativeName))] : []),
      ],
    });
    return leaf.toString('pem');
  };
  return {
    certificate: ca.toString('pem'),
    fingerprint: fingerprintOf(trusted.at(-1) ?? ca.toString('pem')),
    async issueServer(names, now, lifeMs = LEAF_TTL_MS) {
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const usage = { names, now, lifeMs, purpose: ExtendedKeyUsage.serverAuth };
      const certificate = await issue('CN=security', keys.publicKey, usage);
      const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
      // The CA goes along, so that a Proxy that joins can recognise it by the fingerprint in its token; while an older one is
      // trusted, whoever knows that one.
      const chain = `${[certificate, ...above].join('\n')}\n`;
      return { certificate: chain, key: PemConverter.encode(pkcs8, 'PRIVATE KEY') };
    },
    issueProxy: ({ publicKey }, name, now, lifeMs = LEAF_TTL_MS) =>
      issue(`CN=${name}`, publicKey, { names: [], now, lifeMs, purpose: ExtendedKeyUsage.clientAuth }),
  };
}

/** What the CA before signed of it. */
function otherPartsOf({ publicPart }: Pick<RealmKey, 'publicPart'>): string[] {
  return PemConverter.decodeWithHeaders(publicPart as string)
    .slice(1)
    .map(({ rawData }) => new X509Certificate(rawData).toString('pem'));
}

/** What tells one set of trusted CAs from another, with the one that issues: SHA-256 of them as they are handed out, hex. */
export function markOfAuthorities(authorities: readonly string[]): string {
  return createHash('sha256').update(authorities.join('\n')).digest('hex');
}

function fingerprintOf(pem: string): string {
  return createHash('sha256')
    .update(new Uint8Array(new X509Certificate(pem).rawData))
    .digest('hex');
}

interface Leaf {
  readonly names: readonly string[];
  readonly now: number;
  readonly lifeMs: number;
  readonly purpose: ExtendedKeyUsage;
}

/** Positive, random, 16 bytes (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function alternativeName(name: string): { type: 'ip' | 'dns'; value: string } {
  return { type: /^[0-9.]+$|:/.test(name) ? 'ip' : 'dns', value: name };
}
