import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { nameConstraints } from './name-constraints.ts';
import type { PermittedNames } from './permitted-names.ts';

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;

cryptoProvider.set(webcrypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Whoever loses a laptop does not trust it for ever. */
const CA_TTL_MS = 365 * DAY_MS;
/** How long a certificate of one host is good, ms. */
export const HOST_CERTIFICATE_TTL_MS: number = 2 * DAY_MS;
/** Certificates start a little in the past, for clocks that are behind. */
const BACKDATE_MS = 3_600_000;

/** A CA of this machine as it is stored: in one file of mode 0600, so that its parts always fit. */
export interface StoredCa {
  /** Random, in its name: what stores of certificates know it by. */
  readonly id: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM of its private key; it never leaves this file and this process. */
  readonly key: string;
  readonly permitted: PermittedNames;
  /** Epoch ms. */
  readonly endsAt: number;
}

/** What shows who a server is: PEM of certificate and private key. */
export interface ServerProof {
  readonly cert: string;
  readonly key: string;
  /** Epoch ms. */
  readonly endsAt: number;
}

/** How a CA is called in lists of certificates. */
export function nameOfCa(id: string): string {
  return `Sallyport on this machine ${id}`;
}

/** Makes a CA that can speak for the permitted names and for nothing else. */
export async function createCa(permitted: PermittedNames, now: number): Promise<StoredCa> {
  const keys = await newKeys();
  const id = randomBytes(4).toString('hex');
  const endsAt = now + CA_TTL_MS;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [nameOfCa(id)] }, { O: [`Sallyport, ${hostname().slice(0, 48)}`] }],
    serialNumber: serialNumber(),
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(endsAt),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      // Not for mail, code or clients, whatever a store may trust it with.
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      nameConstraints(permitted),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { id, certificate: certificate.toString('pem'), key: await pemOf(keys.privateKey), permitted, endsAt };
}

/** A CA that can be asked for certificates of hosts. All of one process have the same key, which is never stored. */
export class LocalCa {
  readonly stored: StoredCa;
  readonly #certificate: X509Certificate;
  readonly #signingKey: CryptoKey;
  readonly #leafKeys: CryptoKeyPair;
  readonly #leafKey: string;

  private constructor(stored: StoredCa, signingKey: CryptoKey, leafKeys: CryptoKeyPair, leafKey: string) {
    this.stored = stored;
    this.#certificate = new X509Certificate(stored.certificate);
    this.#signingKey = signingKey;
    this.#leafKeys = leafKeys;
    this.#leafKey = leafKey;
  }

  static async open(stored: StoredCa): Promise<LocalCa> {
    const pkcs8 = PemConverter.decodeFirst(stored.key);
    const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    const leafKeys = await newKeys();
    return new LocalCa(stored, signingKey, leafKeys, await pemOf(leafKeys.privateKey));
  }

  /** A certificate for one host, a name or an address, that ends within two days. */
  async issue(host: string, now: number): Promise<ServerProof> {
    const { publicKey } = this.#leafKeys;
    const endsAt = Math.min(now + HOST_CERTIFICATE_TTL_MS, this.stored.endsAt);
    const leaf = await X509CertificateGenerator.create({
      subject: [{ O: ['Sallyport'] }],
      issuer: this.#certificate.subjectName,
      serialNumber: serialNumber(),
      publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(endsAt),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        await SubjectKeyIdentifierExtension.create(publicKey),
        new SubjectAlternativeNameExtension([{ type: isIP(host) ? 'ip' : 'dns', value: host }]),
      ],
    });
    return { cert: leaf.toString('pem'), key: this.#leafKey, endsAt };
  }
}

async function newKeys(): Promise<CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as CryptoKeyPair;
}

async function pemOf(key: CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** Positive, random, 16 bytes (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}
