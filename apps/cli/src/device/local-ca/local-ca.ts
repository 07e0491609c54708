import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { hostname } from 'node:os';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {
  BACKDATE_MS,
  type Issuer,
  issueLeaf,
  KEY_ALGORITHM,
  newKeys,
  newSerialNumber,
  privateKeyPem,
} from '@sallyport/certificates';
import { nameConstraints } from './name-constraints.ts';
import type { PermittedNames } from './permitted-names.ts';

type CryptoKeyPair = webcrypto.CryptoKeyPair;

const DAY_MS = 86_400_000;
/** Whoever loses a laptop does not trust it for ever. */
const CA_TTL_MS = 365 * DAY_MS;
/** How long a certificate of one host is good, ms. */
export const HOST_CERTIFICATE_TTL_MS: number = 2 * DAY_MS;

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
    serialNumber: newSerialNumber(),
    keys,
    signingAlgorithm: KEY_ALGORITHM,
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
  return { id, certificate: certificate.toString('pem'), key: await privateKeyPem(keys), permitted, endsAt };
}

/** A CA that can be asked for certificates of hosts. All of one process have the same key, which is never stored. */
export class LocalCa {
  readonly stored: StoredCa;
  readonly #issuer: Issuer;
  readonly #leafKeys: CryptoKeyPair;
  readonly #leafKey: string;

  private constructor(stored: StoredCa, issuer: Issuer, leafKeys: CryptoKeyPair, leafKey: string) {
    this.stored = stored;
    this.#issuer = issuer;
    this.#leafKeys = leafKeys;
    this.#leafKey = leafKey;
  }

  static async open(stored: StoredCa): Promise<LocalCa> {
    const pkcs8 = PemConverter.decodeFirst(stored.key);
    const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, false, ['sign']);
    const leafKeys = await newKeys();
    const issuer = { certificate: new X509Certificate(stored.certificate), signingKey };
    return new LocalCa(stored, issuer, leafKeys, await privateKeyPem(leafKeys));
  }

  /** A certificate for one host, a name or an address, that ends within two days. */
  async issue(host: string, now: number): Promise<ServerProof> {
    const { publicKey } = this.#leafKeys;
    const endsAt = Math.min(now + HOST_CERTIFICATE_TTL_MS, this.stored.endsAt);
    const leaf = { subject: 'O=Sallyport', publicKey, use: 'server', names: [host], now, endsAt } as const;
    return { cert: await issueLeaf(this.#issuer, leaf), key: this.#leafKey, endsAt };
  }
}
