import 'reflect-metadata';
import {
  createHash,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  type webcrypto,
  X509Certificate,
} from 'node:crypto';
import {
  AttestationApplicationId,
  AttestationPackageInfo,
  AuthorizationList,
  id_ce_keyDescription,
  KeyDescription,
  RootOfTrust,
  SecurityLevel,
  VerifiedBootState,
} from '@peculiar/asn1-android';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { BasicConstraintsExtension, Extension, X509CertificateGenerator } from '@peculiar/x509';
import { encodeCbor, encodeText } from '@sallyport/channel';
import { CompactEncrypt, CompactSign } from 'jose';

const { subtle } = globalThis.crypto;
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const YEAR_MS = 31_536_000_000;

/** A key, its certificate and who signs with it. */
export interface Authority {
  readonly keys: webcrypto.CryptoKeyPair;
  readonly certificate: X509Certificate;
}

/** What a certificate of a test differs by. */
export interface Issued {
  readonly name: string;
  readonly ca?: boolean;
  readonly extensions?: readonly Extension[];
  readonly notAfter?: number;
  readonly serialNumber?: string;
  /** A key of another's. */
  readonly publicKey?: webcrypto.CryptoKey;
}

let serial = 1;

/** A certificate by an authority, or by itself. */
export async function issue(issuer: Authority | undefined, issued: Issued): Promise<Authority> {
  const keys = (await subtle.generateKey(EC, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const { name, ca = true, extensions = [], notAfter = Date.now() + YEAR_MS, serialNumber } = issued;
  serial += 1;
  const made = await X509CertificateGenerator.create({
    serialNumber: serialNumber ?? serial.toString(16).padStart(6, '0'),
    subject: name,
    issuer: issuer ? nameOf(issuer.certificate) : name,
    notBefore: new Date(Date.now() - YEAR_MS),
    notAfter: new Date(notAfter),
    signingAlgorithm: EC,
    publicKey: issued.publicKey ?? keys.publicKey,
    signingKey: issuer?.keys.privateKey ?? keys.privateKey,
    extensions: [...(ca ? [new BasicConstraintsExtension(true, undefined, true)] : []), ...extensions],
  });
  return { keys, certificate: new X509Certificate(Buffer.from(made.rawData)) };
}

/** One line, as @peculiar/x509 takes it. */
function nameOf({ subject }: X509Certificate): string {
  return subject.split('\n').join(', ');
}

/** What an Android device says of an app and itself. */
export interface AndroidSays {
  readonly challenge: Uint8Array;
  readonly app?: string;
  readonly signer?: Uint8Array;
  readonly level?: SecurityLevel;
  readonly boot?: VerifiedBootState;
  readonly locked?: boolean;
  readonly patch?: number;
}

/** The extension that describes an attested key. */
export function keyDescription(says: AndroidSays): Extension {
  const { challenge, app = 'com.example.app', signer = new Uint8Array(32).fill(7) } = says;
  const { level = SecurityLevel.trustedEnvironment, boot = VerifiedBootState.verified, locked = true } = says;
  const id = new AttestationApplicationId({
    packageInfos: [new AttestationPackageInfo({ packageName: new OctetString(encodeText(app)), version: 42 })],
    signatureDigests: [new OctetString(signer)],
  });
  const description = new KeyDescription({
    attestationVersion: 200,
    attestationSecurityLevel: level,
    keymasterVersion: 200,
    keymasterSecurityLevel: level,
    attestationChallenge: new OctetString(challenge),
    uniqueId: new OctetString(new Uint8Array(0)),
    softwareEnforced: new AuthorizationList({
      creationDateTime: 1_700_000_000_000,
      attestationApplicationId: new OctetString(AsnConvert.serialize(id)),
    }),
    teeEnforced: new AuthorizationList({
      rootOfTrust: new RootOfTrust({
        verifiedBootKey: new OctetString(new Uint8Array(32)),
        deviceLocked: locked,
        verifiedBootState: boot,
        verifiedBootHash: new OctetString(new Uint8Array(32)),
      }),
      osVersion: 150_000,
      osPatchLevel: says.patch ?? 202_610,
    }),
  });
  return new Extension(id_ce_keyDescription, false, AsnConvert.serialize(description));
}

/** The extension that describes an attested key as CBOR (EAT); empty. */
export function cborDescription(): Extension {
  return new Extension('1.3.6.1.4.1.11129.2.1.25', false, Uint8Array.of(0xa0));
}

/** An Android maker: its root, and the authority in a device's chip. */
export async function androidMaker(intermediate = 'CN=Chip'): Promise<{ root: Authority; chip: Authority }> {
  const root = await issue(undefined, { name: 'CN=Root of Android' });
  return { root, chip: await issue(root, { name: intermediate }) };
}

/** The statement of a chain, the device's own certificate first. */
export function chainStatement(...chain: readonly Authority[]): Uint8Array {
  return encodeCbor({ chain: chain.map(({ certificate }) => new Uint8Array(certificate.raw)) });
}

/** A key of the chip for an app. */
export async function attestedKey(chip: Authority, says: AndroidSays): Promise<Authority> {
  return issue(chip, { name: 'CN=Android Keystore Key', ca: false, extensions: [keyDescription(says)] });
}

/** Apple, as far as App Attest goes. */
export async function apple(): Promise<{ root: Authority; intermediate: Authority }> {
  const root = await issue(undefined, { name: 'CN=Root of App Attest' });
  return { root, intermediate: await issue(root, { name: 'CN=App Attest CA 1' }) };
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

/** What an iOS device attests. */
export interface AppleSays {
  readonly hash: Uint8Array;
  readonly app?: string;
  readonly environment?: 'appattest\0\0\0\0\0\0\0' | 'appattestdevelop';
  readonly counter?: number;
  readonly ends?: number;
}

/** A key in an iOS device, and what it attests and asserts. */
export interface AppleDevice {
  readonly keyId: Buffer;
  /** The statement with which the key begins. */
  attestation(says: AppleSays): Promise<Uint8Array>;
  /** A later statement. */
  assertion(says: AppleSays): Uint8Array;
}

/** A new one, whose certificates an authority of Apple signs. */
export async function appleDevice(intermediate: Authority): Promise<AppleDevice> {
  const device = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = device.publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
  const keyId = sha256(point);
  const dataOf = ({ app = 'ABCDE12345.com.example.app', counter = 0 }: AppleSays): Buffer => {
    const head = Buffer.alloc(37);
    sha256(encodeText(app)).copy(head);
    head.writeUInt32BE(counter, 33);
    return head;
  };
  return {
    keyId,
    async attestation(says: AppleSays): Promise<Uint8Array> {
      const credential = Buffer.concat([
        encodeText(says.environment ?? 'appattest\0\0\0\0\0\0\0'),
        Buffer.from([0, 32]),
        keyId,
      ]);
      const authData = Buffer.concat([dataOf(says), credential]);
      const nonce = sha256(authData, says.hash);
      const value = Buffer.concat([Buffer.from([0x30, 0x24, 0xa1, 0x22, 0x04, 0x20]), nonce]);
      const own = await certificateFor(device.publicKey, intermediate, value, says.ends);
      const x5c = [own, intermediate.certificate].map(({ raw }) => new Uint8Array(raw));
      const attestation = encodeCbor({
        fmt: 'apple-appattest',
        attStmt: { x5c, receipt: new Uint8Array(8) },
        authData: new Uint8Array(authData),
      });
      return encodeCbor({ key_id: new Uint8Array(keyId), attestation });
    },
    assertion(says: AppleSays): Uint8Array {
      const authenticatorData = dataOf(says);
      const signature = sign('sha256', sha256(authenticatorData, says.hash), device.privateKey);
      const assertion = encodeCbor({
        signature: new Uint8Array(signature),
        authenticatorData: new Uint8Array(authenticatorData),
      });
      return encodeCbor({ key_id: new Uint8Array(keyId), assertion });
    },
  };
}

async function certificateFor(
  publicKey: KeyObject,
  issuer: Authority,
  nonce: Buffer,
  ends = Date.now() + YEAR_MS,
): Promise<X509Certificate> {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const made = await X509CertificateGenerator.create({
    serialNumber: '0a0b',
    subject: 'CN=key',
    issuer: nameOf(issuer.certificate),
    notBefore: new Date(Date.now() - YEAR_MS),
    notAfter: new Date(ends),
    signingAlgorithm: EC,
    publicKey: await subtle.importKey('spki', spki as Uint8Array<ArrayBuffer>, EC, true, ['verify']),
    signingKey: issuer.keys.privateKey,
    extensions: [new Extension('1.2.840.113635.100.8.2', false, new Uint8Array(nonce))],
  });
  return new X509Certificate(Buffer.from(made.rawData));
}

/** Keys of an app in the Play Console, and Google, which has the other halves. */
export function playConsole(): {
  readonly keys: { readonly decryption: KeyObject; readonly verification: KeyObject };
  readonly statement: (verdict: object, key?: KeyObject) => Promise<Uint8Array>;
} {
  const decryption = createSecretKey(Buffer.alloc(32, 9));
  const { publicKey: verification, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  /** The statement with a verdict. */
  const statement = async (verdict: object, key: KeyObject = privateKey): Promise<Uint8Array> => {
    const signed = await new CompactSign(encodeText(JSON.stringify(verdict)))
      .setProtectedHeader({ alg: 'ES256' })
      .sign(key);
    const token = await new CompactEncrypt(encodeText(signed))
      .setProtectedHeader({ alg: 'A256KW', enc: 'A256GCM' })
      .encrypt(decryption);
    return encodeCbor({ token });
  };
  return { keys: { decryption, verification }, statement };
}
