import { constants, createHash, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { PackageError } from '../errors.ts';
import { Fields } from './fields.ts';
import type { Zip } from './zip.ts';

const V2 = 0x7109871a;
const V3 = 0xf05368c0;
const V31 = 0x1b93ad61;
/** Of two kinds of keys together, for later systems. */
const V32 = 0x70e1c89f;
/** The first system that looks for a signature of scheme v3.1. */
const V31_LEVEL = 33;
const MAGIC = 'APK Sig Block 42';
const FOOTER_BYTES = 24;
const MAX_BLOCK_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const MAX_ITEMS = 16;
/** "This package has a signature of a later scheme, too": who takes that one away leaves this behind. */
const STRIPPING_PROTECTION = 0xbeeff00d;
const PROOF_OF_ROTATION = 0x3ba06f8c;
/** In scheme v3: "from this level on another key signs, by scheme v3.1". */
const ROTATION_LEVEL = 0x559f8b02;
/** In scheme v3.1: for a system that is not released yet. */
const FOR_DEVELOPMENT = 0xc2a6b3ba;
/** "This package has a signature of scheme v3.2, too." */
const HYBRID_LEVEL = 0xbf940529;

interface Algorithm {
  readonly digest: 'sha256' | 'sha512';
  readonly padding?: 'pss' | 'pkcs1';
}

/** Signatures that are known (source.android.com, APK Signature Scheme v2, "Signature algorithm IDs"); DSA is not taken. */
const ALGORITHMS: ReadonlyMap<number, Algorithm> = new Map([
  [0x0101, { digest: 'sha256', padding: 'pss' }],
  [0x0102, { digest: 'sha512', padding: 'pss' }],
  [0x0103, { digest: 'sha256', padding: 'pkcs1' }],
  [0x0104, { digest: 'sha512', padding: 'pkcs1' }],
  [0x0201, { digest: 'sha256' }],
  [0x0202, { digest: 'sha512' }],
]);

/**
 * Verifies the signatures of an APK of schemes v2, v3 and v3.1, over every byte of it, and gives the SHA-256 of the certificates of who
 * signed it, hex: one, or where its key was rotated the newest first, then those that older systems see. Schemes that disagree are refused
 * unless the newer key was handed on by the older one. What a system might believe that is not verified here (v3.2) is refused, too.
 * @throws PackageError ERR_PACKAGE_SIGNATURE, ERR_PACKAGE_FORMAT
 */
export async function verifyApk(zip: Zip): Promise<readonly string[]> {
  const { blockAt, schemes } = await readBlock(zip);
  if (schemes.has(V32)) throw refused('signatures of scheme v3.2 are not taken');
  const [v2, v3, v31] = [schemes.get(V2), schemes.get(V3), schemes.get(V31)];
  if (!v2 && !v3) throw refused('it has no signature of scheme v2 or v3');
  const older = v2 && readSigner(v2, 2);
  const newer = v3 && readSigner(v3, 3);
  if (older?.attributes.get(STRIPPING_PROTECTION) && !newer) throw refused('a signature of scheme v3 was taken away');
  const newest = v31 && readSigner(v31, 3.1);
  checkLevels(newer, newest);
  const signers = [newest, newer, older].filter((signer) => signer !== undefined);
  await checkDigests(zip, blockAt, signers);
  if (newer && older && newer.fingerprint !== older.fingerprint) checkRotation(older, newer);
  if (newest && newer) checkRotationAgain({ first: older ?? newer, newer, newest });
  return [...new Set(signers.map(({ fingerprint }) => fingerprint))];
}

function refused(why: string): PackageError {
  return new PackageError('ERR_PACKAGE_SIGNATURE', `the signature does not hold: ${why}`);
}

/** The signing block lies right in front of the directory. */
async function readBlock({ source, directoryAt }: Zip): Promise<{ blockAt: number; schemes: Map<number, Buffer> }> {
  if (directoryAt < FOOTER_BYTES + 8) throw refused('it is not signed');
  const footer = await source.read(directoryAt - FOOTER_BYTES, FOOTER_BYTES);
  if (footer.subarray(8).toString('latin1') !== MAGIC) throw refused('it has no signature of scheme v2 or v3');
  const size = new Fields(footer, 'ERR_PACKAGE_SIGNATURE').u64();
  if (size > MAX_BLOCK_BYTES || size < FOOTER_BYTES || size + 8 > directoryAt)
    throw refused('its block has no fit size');
  const blockAt = directoryAt - size - 8;
  const block = new Fields(await source.read(blockAt, size + 8 - FOOTER_BYTES), 'ERR_PACKAGE_SIGNATURE');
  if (block.u64() !== size) throw refused('its block has two sizes');
  const schemes = new Map<number, Buffer>();
  while (!block.isOver) {
    const pair = new Fields(block.take(block.u64()), 'ERR_PACKAGE_SIGNATURE');
    const id = pair.u32();
    if (schemes.has(id)) throw refused('one scheme is there twice');
    schemes.set(id, pair.rest());
  }
  return { blockAt, schemes };
}

/** A signer whose signature over its own statement holds; the digests are still to be held against the package. */
interface ApkSigner {
  readonly digests: ReadonlyMap<number, Buffer>;
  readonly key: KeyObject;
  readonly fingerprint: string;
  readonly attributes: ReadonlyMap<number, Buffer>;
  /** API levels that it is for, the lowest and the highest; none in scheme v2. */
  readonly systems: readonly number[];
}

function readSigner(scheme: Buffer, version: 2 | 3 | 3.1): ApkSigner {
  const whole = new Fields(scheme, 'ERR_PACKAGE_SIGNATURE');
  const signers = whole.parts(MAX_ITEMS);
  if (!whole.isOver) throw refused('there is something behind its signers');
  if (signers.length !== 1) throw refused(`it has ${signers.length} signers of one scheme, not one`);
  const signer = signers[0]!;
  const signed = signer.prefixed();
  const systems = version === 2 ? [] : [signer.u32(), signer.u32()];
  const signatures = signer.parts(MAX_ITEMS).map((part) => [part.u32(), part.prefixed()] as const);
  const key = signer.prefixed();
  const statement = readStatement(signed, version);
  if (String(statement.systems) !== String(systems)) throw refused('it is signed for other systems than it says');
  if (!key.equals(statement.key.export({ type: 'spki', format: 'der' })))
    throw refused('the key is not that of its certificate');
  if (String(signatures.map(([id]) => id)) !== String([...statement.digests.keys()]))
    throw refused('signatures and digests are not of the same kinds');
  const known = signatures.filter(([id]) => ALGORITHMS.has(id));
  if (known.length === 0) throw refused('it is signed in no way that is known');
  for (const [id, signature] of known)
    if (!isSigned(signed, { algorithm: ALGORITHMS.get(id)!, key: keyFrom(key), signature }))
      throw refused(`a signature of scheme v${version} is wrong`);
  return statement;
}

function keyFrom(der: Buffer): KeyObject {
  try {
    return createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    throw refused('its key cannot be read');
  }
}

function isSigned(
  bytes: Buffer,
  by: { readonly algorithm: Algorithm; readonly key: KeyObject; readonly signature: Buffer },
): boolean {
  const { digest, padding } = by.algorithm;
  if (by.key.asymmetricKeyType !== (padding ? 'rsa' : 'ec')) return false;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const rsa = padding === 'pss' ? pss : { padding: constants.RSA_PKCS1_PADDING };
  return verify(digest, bytes, padding ? { key: by.key, ...rsa } : by.key, by.signature);
}

function readStatement(signed: Buffer, version: 2 | 3 | 3.1): ApkSigner {
  const fields = new Fields(signed, 'ERR_PACKAGE_SIGNATURE');
  const digests = fields.parts(MAX_ITEMS).map((part) => [part.u32(), part.prefixed()] as const);
  const certificates = fields.part();
  const der = certificates.prefixed();
  const systems = version === 2 ? [] : [fields.u32(), fields.u32()];
  const attributes = fields.parts(MAX_ITEMS).map((part) => [part.u32(), part.rest()] as const);
  const key = certifiedKey(der);
  const fingerprint = createHash('sha256').update(der).digest('hex');
  return { digests: new Map(digests), key, fingerprint, attributes: new Map(attributes), systems };
}

function certifiedKey(der: Buffer): KeyObject {
  try {
    return new X509Certificate(der).publicKey;
  } catch {
    throw refused('its certificate cannot be read');
  }
}

/**
 * Schemes v3 and v3.1 name each other: neither was taken away or added, and both mean the same systems (source.android.com, APK Signature
 * Scheme v3.1).
 */
function checkLevels(newer: ApkSigner | undefined, newest: ApkSigner | undefined): void {
  if (newer?.attributes.has(HYBRID_LEVEL) || newest?.attributes.has(HYBRID_LEVEL))
    throw refused('a signature of scheme v3.2 was taken away');
  const said = newer?.attributes.get(ROTATION_LEVEL);
  if (!newest) {
    if (said) throw refused('a signature of scheme v3.1 was taken away');
    return;
  }
  if (!newer) throw refused('it has a signature of scheme v3.1 without one of v3');
  if (newest.attributes.has(FOR_DEVELOPMENT)) throw refused('it is signed for a system that is not released');
  const [level = 0] = newest.systems;
  if (level < V31_LEVEL)
    throw refused(`its signature of scheme v3.1 is for API level ${level}, which does not know it`);
  if (said?.length !== 4 || said.readUInt32LE() !== level)
    throw refused('schemes v3 and v3.1 do not agree from which system on the newer key signs');
}

/** Holds what signers say of the package against the package: all of it but the signing block, in chunks of 1 MiB. */
async function checkDigests(zip: Zip, blockAt: number, signers: readonly ApkSigner[]): Promise<void> {
  const wanted = new Set(
    signers.flatMap(({ digests }) => [...digests.keys()].flatMap((id) => ALGORITHMS.get(id)?.digest ?? [])),
  );
  const found = new Map<string, Buffer>();
  for (const digest of wanted) found.set(digest, await contentDigest(zip, blockAt, digest));
  for (const { digests } of signers)
    for (const [id, said] of digests) {
      const algorithm = ALGORITHMS.get(id);
      if (algorithm && !found.get(algorithm.digest)!.equals(said)) throw refused('the package was changed after it');
    }
}

async function contentDigest({ source, directoryAt, endAt }: Zip, blockAt: number, digest: string): Promise<Buffer> {
  const end = await source.read(endAt, source.size - endAt);
  // The signer saw the directory where the block begins.
  end.writeUInt32LE(blockAt, 16);
  const sections = [
    { from: 0, to: blockAt, read: (at: number, length: number) => source.read(at, length) },
    { from: directoryAt, to: endAt, read: (at: number, length: number) => source.read(at, length) },
    { from: 0, to: end.length, read: async (at: number, length: number) => end.subarray(at, at + length) },
  ];
  const chunks: Buffer[] = [];
  for (const { from, to, read } of sections)
    for (let at = from; at < to; at += CHUNK_BYTES) {
      const bytes = await read(at, Math.min(CHUNK_BYTES, to - at));
      chunks.push(hashOf(digest, 0xa5, bytes.length, bytes));
    }
  return hashOf(digest, 0x5a, chunks.length, Buffer.concat(chunks));
}

function hashOf(digest: string, kind: number, count: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head[0] = kind;
  head.writeUInt32LE(count, 1);
  return createHash(digest).update(head).update(bytes).digest();
}

/** The key of the older scheme was handed on to that of the newer one. */
function checkRotation(older: ApkSigner, newer: ApkSigner): void {
  const chain = rotationOf(newer, 'schemes v2 and v3 name different signers');
  if (chain[0] !== older.fingerprint) throw refused('its proof of rotation is of other signers');
}

/** The key of scheme v3.1 was handed on from the first one, by way of that of scheme v3. */
function checkRotationAgain({ first, newer, newest }: Readonly<Record<'first' | 'newer' | 'newest', ApkSigner>>): void {
  const chain = rotationOf(newest, 'its signature of scheme v3.1 has no proof that the key was handed on');
  const before = newer.attributes.has(PROOF_OF_ROTATION) ? rotationOf(newer, '') : [first.fingerprint];
  if (before.length >= chain.length || before.some((one, i) => one !== chain[i]) || before.at(-1) !== newer.fingerprint)
    throw refused('its proofs of rotation do not fit each other');
}

/** Certificates by which a key was handed on to a signer, each vouched for by the one before: SHA-256, hex, from the first to this one. */
function rotationOf(signer: ApkSigner, without: string): readonly string[] {
  const proof = signer.attributes.get(PROOF_OF_ROTATION);
  if (!proof) throw refused(without);
  const fields = new Fields(proof, 'ERR_PACKAGE_SIGNATURE');
  if (fields.u32() !== 1) throw refused('its proof of rotation is of an unknown version');
  const nodes: Fields[] = [];
  while (!fields.isOver && nodes.length <= MAX_ITEMS) nodes.push(fields.part());
  let before: { readonly key: KeyObject; readonly algorithm: number } | undefined;
  const chain: string[] = [];
  for (const node of nodes) {
    const signed = node.prefixed();
    node.u32(); // What the older key may still be used for is between the app and the system.
    const algorithm = node.u32();
    const signature = node.prefixed();
    const statement = new Fields(signed, 'ERR_PACKAGE_SIGNATURE');
    const der = statement.prefixed();
    if (before && statement.u32() !== before.algorithm) throw refused('its proof of rotation is wrong');
    const by = before && ALGORITHMS.get(before.algorithm);
    if (before && !(by && isSigned(signed, { algorithm: by, key: before.key, signature })))
      throw refused('its proof of rotation is wrong');
    before = { key: certifiedKey(der), algorithm };
    chain.push(createHash('sha256').update(der).digest('hex'));
  }
  if (chain.at(-1) !== signer.fingerprint) throw refused('its proof of rotation is of other signers');
  return chain;
}
