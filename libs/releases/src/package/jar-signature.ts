import { createHash, timingSafeEqual, verify, X509Certificate } from 'node:crypto';
import { ContentInfo, id_signedData, SignedData, type SignerInfo } from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { PackageError } from '../errors.ts';
import { checkParts, digestOfPart, readPart, type Zip, type ZipEntry } from './zip.ts';

const MANIFEST = 'META-INF/MANIFEST.MF';
/** Parts about signatures, which the manifest does not name (JAR File Specification, "Signature Validation"). */
const ABOUT_SIGNATURES = /^META-INF\/(MANIFEST\.MF|[^/]+\.(SF|RSA|EC))$/;
const SIGNATURE_FILE = /^META-INF\/[^/]+\.SF$/;
const BLOCK_KINDS = ['RSA', 'EC'];
const MAX_SIGNERS = 8;
/** What the parts of a package may unpack to together: all of it is read. */
const MAX_CONTENT_BYTES = 8 * 1024 ** 3;

/** Digests as a manifest names them, the strongest first; one of SHA-1 counts for nothing. */
const DIGESTS: readonly (readonly [name: string, algorithm: string])[] = [
  ['SHA-512', 'sha512'],
  ['SHA-384', 'sha384'],
  ['SHA-256', 'sha256'],
];
const DIGEST_OIDS: ReadonlyMap<string, string> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);
/** Keys that sign: RSA with the padding of PKCS #1, and ECDSA. */
const SIGNATURE_OIDS = [
  ...['1.2.840.113549.1.1.1', '1.2.840.113549.1.1.11', '1.2.840.113549.1.1.12', '1.2.840.113549.1.1.13'],
  ...['1.2.840.10045.2.1', '1.2.840.10045.4.3.2', '1.2.840.10045.4.3.3', '1.2.840.10045.4.3.4'],
];
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';

/**
 * Verifies the signatures of a JAR file (JAR File Specification, "Signed JAR File"; RFC 5652) over every part of it, and gives the SHA-256 of
 * the certificates of who signed it, hex. Whose certificates they are is not asked here, nor until when they are good: the app names them.
 * @throws PackageError
 */
export async function verifyJar(zip: Zip): Promise<readonly string[]> {
  await checkParts(zip);
  const manifestPart = zip.entries.get(MANIFEST);
  const names = [...zip.entries.keys()].filter((name) => SIGNATURE_FILE.test(name));
  if (!manifestPart || names.length === 0) throw refused('nobody has signed it');
  if (names.length > MAX_SIGNERS) throw refused(`more than ${MAX_SIGNERS} have signed it`);
  const manifest = await readPart(zip, manifestPart);
  const signers = new Set<string>();
  for (const name of names) signers.add(await verifySigner(zip, name, manifest));
  await checkContent(zip, sectionsOf(manifest));
  return [...signers];
}

function refused(why: string, cause?: unknown): PackageError {
  const message = `the signature does not hold: ${why}`;
  return new PackageError('ERR_PACKAGE_SIGNATURE', message, cause === undefined ? {} : { cause });
}

/** One signer: a block signs a file of signatures, and that the manifest as a whole. Gives whose certificate it is. */
async function verifySigner(zip: Zip, name: string, manifest: Buffer): Promise<string> {
  const base = name.slice(0, -'SF'.length);
  const [block, ...others] = BLOCK_KINDS.flatMap((kind) => zip.entries.get(`${base}${kind}`) ?? []);
  if (!block || others.length > 0) throw refused('a file of signatures has not one block of RSA or EC');
  const file = await readPart(zip, zip.entries.get(name)!);
  const [main] = sectionsOf(file);
  if (!main || !hasDigest(main, '-Digest-Manifest', (algorithm) => digest(algorithm, manifest)))
    throw refused('the manifest is not as it was signed');
  return signerOf(await readPart(zip, block), file);
}

function digest(algorithm: string, bytes: Uint8Array): Buffer {
  return createHash(algorithm).update(bytes).digest();
}

/** True where the strongest digest that a section names is this one. */
function hasDigest(section: Section, suffix: string, digestBy: (algorithm: string) => Buffer): boolean {
  const found = DIGESTS.find(([name]) => section.has(`${name}${suffix}`.toLowerCase()));
  if (!found) return false;
  const [name, algorithm] = found;
  return isSame(Buffer.from(section.get(`${name}${suffix}`.toLowerCase())!, 'base64'), digestBy(algorithm));
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Fields of a section by their names in lower case. */
type Section = ReadonlyMap<string, string>;

/** Sections of a manifest; the first is about all. A line that begins with a blank goes on with the one before it. */
function sectionsOf(bytes: Buffer): Section[] {
  const text = bytes.toString('utf8').replace(/\r\n?/g, '\n').replace(/\n /g, '');
  return text
    .split(/\n{2,}/)
    .filter((section) => section.trim() !== '')
    .map(sectionOf);
}

function sectionOf(text: string): Section {
  const fields = new Map<string, string>();
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, name, value] = /^([A-Za-z0-9_-]{1,70}): (.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw refused('a line of the manifest cannot be read');
    if (fields.has(name.toLowerCase())) throw refused('the manifest says something twice');
    fields.set(name.toLowerCase(), value);
  }
  return fields;
}

/** Every part is named by the manifest, once, and is as it says. */
async function checkContent(zip: Zip, [, ...sections]: readonly Section[]): Promise<void> {
  const named = new Map(sections.map((section) => [section.get('name') ?? '', section]));
  if (named.size !== sections.length) throw refused('the manifest names a part twice');
  const parts = [...zip.entries.values()].filter(({ name }) => !name.endsWith('/') && !ABOUT_SIGNATURES.test(name));
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes > MAX_CONTENT_BYTES)
    throw new PackageError('ERR_PACKAGE_LARGE', `its parts unpack to more than ${MAX_CONTENT_BYTES} bytes`);
  if (parts.length !== named.size) throw refused('the manifest does not name just what is there');
  for (const part of parts) await checkPart(zip, part, named.get(part.name));
}

async function checkPart(zip: Zip, part: ZipEntry, section: Section | undefined): Promise<void> {
  const found = section && DIGESTS.find(([name]) => section.has(`${name}-digest`.toLowerCase()));
  if (!found) throw refused('a part has no digest');
  const own = await digestOfPart(zip, part, found[1]);
  if (!hasDigest(section, '-Digest', () => own)) throw refused('a part is not as it was signed');
}

function signerOf(block: Buffer, file: Buffer): string {
  const { signer, certificates } = messageOf(block);
  const serial = signer.sid.issuerAndSerialNumber?.serialNumber;
  const own = certificates.filter((one) => serial && isSameSerial(one.serialNumber, Buffer.from(serial)));
  if (own.length !== 1) throw refused('its block names no certificate of who signed');
  const algorithm = DIGEST_OIDS.get(signer.digestAlgorithm.algorithm);
  if (!algorithm || !SIGNATURE_OIDS.includes(signer.signatureAlgorithm.algorithm))
    throw refused('it is signed in a way that is not taken');
  const signed = signedBytes(signer, digest(algorithm, file)) ?? file;
  const holds = verify(algorithm, signed, own[0]!.publicKey, Buffer.from(signer.signature.buffer));
  if (!holds) throw refused('the file of signatures is not as it was signed');
  return own[0]!.fingerprint256.replaceAll(':', '').toLowerCase();
}

function isSameSerial(hex: string, serial: Buffer): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/^0+/, '');
  return plain(hex) === plain(serial.toString('hex'));
}

interface Message {
  readonly signer: SignerInfo;
  readonly certificates: readonly X509Certificate[];
}

function messageOf(block: Buffer): Message {
  try {
    const info = AsnConvert.parse(block, ContentInfo);
    if (info.contentType !== id_signedData) throw refused('its block is no signed message');
    const { signerInfos, certificates, encapContentInfo } = AsnConvert.parse(info.content, SignedData);
    const [signer, ...others] = signerInfos;
    if (!signer || others.length > 0 || encapContentInfo.eContent) throw refused('its block has not one signer');
    const found = (certificates ?? []).flatMap(({ certificate }) => certificate ?? []);
    return { signer, certificates: found.map((one) => new X509Certificate(Buffer.from(AsnConvert.serialize(one)))) };
  } catch (cause) {
    if (cause instanceof PackageError) throw cause;
    throw refused('its block cannot be read', cause);
  }
}

/** What was signed in place of the file, where attributes were: they hold its digest (RFC 5652, 5.4). */
function signedBytes(signer: SignerInfo, expected: Buffer): Buffer | undefined {
  if (!signer.signedAttrs) return undefined;
  const [own, ...others] = signer.signedAttrs.filter(({ attrType }) => attrType === MESSAGE_DIGEST);
  const [value] = own?.attrValues ?? [];
  if (!value || others.length > 0) throw refused('its block has not one digest');
  if (!isSame(Buffer.from(AsnConvert.parse(value, OctetString).buffer), expected))
    throw refused('the file of signatures is not as it was signed');
  // Signed as a SET OF, where the message has them under a tag of its own.
  const content = Buffer.concat(signer.signedAttrs.map((one) => Buffer.from(AsnConvert.serialize(one))));
  return Buffer.concat([Buffer.of(0x31), lengthOf(content), content]);
}

/** A length as DER writes it (X.690, 8.1.3). */
function lengthOf({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const written = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.of(0x80 | written.length), written]);
}
