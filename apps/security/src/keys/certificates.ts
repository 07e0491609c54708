import 'reflect-metadata';
import { createHash, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { RealmKey } from '@sallyport/access';
import {
  BACKDATE_MS,
  issueLeaf,
  KEY_ALGORITHM,
  newKeys,
  newSerialNumber,
  privateKeyPem,
} from '@sallyport/certificates';

type CryptoKey = webcrypto.CryptoKey;

const DAY_MS = 86_400_000;
const CA_TTL_MS = 3_650 * DAY_MS;
/** Server and Proxy certificates are short-lived and renew themselves. */
const LEAF_TTL_MS: number = 2 * DAY_MS;

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
  const publicKey = await request.publicKey.export(KEY_ALGORITHM, ['verify']);
  return { publicKey, spki: new Uint8Array(await webcrypto.subtle.exportKey('spki', publicKey)) };
}

/** Makes the key and certificate of a new CA, as the realm stores them. */
export async function createCaKey(realm: string, id: string, now: number): Promise<RealmKey> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: nameOf(realm, id),
    serialNumber: newSerialNumber(),
    keys,
    signingAlgorithm: KEY_ALGORITHM,
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
    serialNumber: newSerialNumber(),
    publicKey: own.publicKey,
    signingKey: await signingKeyOf(before),
    signingAlgorithm: KEY_ALGORITHM,
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
  return webcrypto.subtle.importKey('pkcs8', Uint8Array.from(secret), KEY_ALGORITHM, false, ['sign']);
}

/** Opens a stored CA; `trusted` are those of before that somebody may still know it by, PEM, the oldest last. */
export async function openCa(key: RealmKey, trusted: readonly string[] = []): Promise<CertificateAuthority> {
  const ca = certificateOf(key);
  const above = trusted.length > 0 ? [...otherPartsOf(key), ...trusted] : [ca.toString('pem')];
  const issuer = { certificate: ca, signingKey: await signingKeyOf(key) };
  return {
    certificate: ca.toString('pem'),
    fingerprint: fingerprintOf(trusted.at(-1) ?? ca.toString('pem')),
    async issueServer(names, now, lifeMs = LEAF_TTL_MS) {
      const keys = await newKeys();
      const { publicKey } = keys;
      const leaf = { subject: 'CN=security', publicKey, use: 'server', names, now, endsAt: now + lifeMs } as const;
      // The CA goes along, so that a Proxy that joins can recognise it by the fingerprint in its token; while an older one is
      // trusted, whoever knows that one.
      const chain = `${[await issueLeaf(issuer, leaf), ...above].join('\n')}\n`;
      return { certificate: chain, key: await privateKeyPem(keys) };
    },
    issueProxy: ({ publicKey }, name, now, lifeMs = LEAF_TTL_MS) =>
      issueLeaf(issuer, { subject: `CN=${name}`, publicKey, use: 'client', names: [], now, endsAt: now + lifeMs }),
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
