import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
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
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** A certificate with its chain, and its key, PEM. */
export interface IssuedPair {
  readonly certificate: string;
  readonly key: string;
}

/** What somebody else's CA issues. */
export interface IssueOrder {
  readonly names: readonly string[];
  readonly use?: 'server' | 'client';
  /** Epoch ms; absent: an hour ago, and a year from now. */
  readonly from?: number;
  readonly until?: number;
}

type Keys = webcrypto.CryptoKeyPair;

async function newKeys(): Promise<Keys> {
  return (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as Keys;
}

async function pemOf({ privateKey }: Keys): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');
}

function serialNumber(): string {
  return `7${randomBytes(16).toString('hex').slice(1)}`;
}

/** Somebody else's CA. Two of one name are two CAs. */
export class TestAuthority {
  readonly #certificate: X509Certificate;
  readonly #keys: Keys;
  /** Certificates between this CA and the root, PEM. */
  readonly #above: string;

  private constructor(certificate: X509Certificate, keys: Keys, above: string) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.#above = above;
  }

  /** `until` in epoch ms; absent: in ten years. */
  static async create(name: string, above?: TestAuthority, until?: number): Promise<TestAuthority> {
    const keys = await newKeys();
    const signing = above ? above.#keys : keys;
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: above ? above.#certificate.subject : `CN=${name}`,
      serialNumber: serialNumber(),
      publicKey: keys.publicKey,
      signingKey: signing.privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(until ?? Date.now() + 3_650 * DAY_MS),
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await AuthorityKeyIdentifierExtension.create(signing.publicKey),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new TestAuthority(certificate, keys, above ? certificate.toString('pem') : '');
  }

  /** PEM of the CA. */
  get certificate(): string {
    return `${this.#certificate.toString('pem')}\n`;
  }

  async issue(order: IssueOrder): Promise<IssuedPair> {
    const keys = await newKeys();
    return { certificate: await this.#leaf(keys.publicKey, order), key: await pemOf(keys) };
  }

  /** A certificate for whoever asks with a request (PKCS #10), PEM or DER, with its chain, PEM. @throws Error for one that is not signed by its key */
  async certify(request: string | Uint8Array<ArrayBuffer>, order: IssueOrder): Promise<string> {
    const asked = new Pkcs10CertificateRequest(request);
    if (!(await asked.verify())) throw new Error('the request is not signed by its key');
    return this.#leaf(await asked.publicKey.export(ALGORITHM, ['verify']), order);
  }

  async #leaf(publicKey: webcrypto.CryptoKey, { names, use = 'server', from, until }: IssueOrder): Promise<string> {
    const leaf = await X509CertificateGenerator.create({
      subject: `CN=${names[0]}`,
      issuer: this.#certificate.subject,
      serialNumber: serialNumber(),
      publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(from ?? Date.now() - 3_600_000),
      notAfter: new Date(until ?? Date.now() + 365 * DAY_MS),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([use === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth]),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        await SubjectKeyIdentifierExtension.create(publicKey),
        new SubjectAlternativeNameExtension(
          names.map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
        ),
      ],
    });
    return `${leaf.toString('pem')}\n${this.#above}`;
  }
}
