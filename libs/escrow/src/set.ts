import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { createKeyring, type KekSet } from '@sallyport/access';
import { formatBase64Url, formatHex, parseBase64Url } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { Encrypter } from 'age-encryption';
import { combine, split } from 'shamir-secret-sharing';
import { EscrowError } from './errors.ts';
import type { Officer } from './officer.ts';
import { proofKeyOf, prove } from './signing.ts';

/** What is kept in an escrow. */
export interface EscrowContent {
  readonly keks: KekSet;
  /** The realm's root key, a private JWK as text: what devices trust Security by. */
  readonly rootKey: string;
}

/** One officer of a set, as everybody may know. */
export interface SetOfficer extends Officer {
  /** SHA-256 over set, name and share, hex: tells a share that was altered, and nothing of it. */
  readonly commitment: string;
  /** Public key of proofs that the share opens. */
  readonly proofKey: string;
}

/** A key-encryption key of a set, by number and by what tells it from others. */
export interface SetKek {
  readonly id: number;
  readonly check: string;
}

/** A set of shares in plain words; nothing of it is secret. */
export interface SetDescription {
  readonly format: 1;
  readonly set: string;
  readonly realm: string;
  /** Epoch ms. */
  readonly createdAt: number;
  readonly threshold: number;
  readonly officers: readonly SetOfficer[];
  /** Keys in it: those in use and those that are retired. */
  readonly keks: readonly SetKek[];
  readonly current: number;
  /** Thumbprint of the root key (RFC 7638), base64url. */
  readonly rootKey: string;
  /** Public key of proofs that enough shares were put together. */
  readonly drillKey: string;
  /** SHA-256 of the encrypted content, hex. */
  readonly content: string;
}

/** A new set: its description, and the file of each officer in their order. */
export interface EscrowSet {
  readonly description: SetDescription;
  readonly files: readonly Uint8Array[];
}

/** What an officer's file holds once it is opened. */
export interface ShareFile {
  readonly name: string;
  /** base64url. */
  readonly share: string;
  /** The content, encrypted with the key that the shares make: `nonce (12) | ciphertext | tag (16)`, base64url. */
  readonly content: string;
  readonly description: SetDescription;
}

/** What a set is made of. */
export interface SetOrder {
  readonly realm: string;
  readonly content: EscrowContent;
  /** Thumbprint of the root key, base64url. */
  readonly rootKey: string;
  readonly officers: readonly Officer[];
  readonly threshold: number;
  /** Epoch ms. */
  readonly createdAt: number;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAX_OFFICERS = 32;

/** SHA-256, hex. */
function hashOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Binds a share to its place, so that it counts there only. */
export function commitmentOf(set: string, name: string, share: Uint8Array): string {
  return hashOf(`sallyport/1 escrow share\n${set}\n${name}\n`, share);
}

/** The check values of keys, as the realm knows them, in the order of their numbers. */
export function checksOf({ keys, retired, current }: KekSet): SetKek[] {
  const keyring = createKeyring(nodeCrypto(), keys, current, retired);
  const ids = [...keyring.ids, ...keyring.retired].sort((a, b) => a - b);
  return ids.map((id) => ({ id, check: formatHex(keyring.checkValue(id)!) }));
}

/**
 * Splits keys among officers, so that any `threshold` of them give it back and fewer learn nothing (Shamir): the shares make a key
 * drawn for this set, which encrypts the content. Each share is encrypted to its officer (age).
 * @throws EscrowError ERR_ESCROW_OFFICER for a name or key that occurs twice, ERR_ESCROW_FEW for a threshold that makes no sense
 */
export async function makeSet(order: SetOrder): Promise<EscrowSet> {
  const { realm, officers, threshold, createdAt, content } = order;
  checkOrder(order);
  const set = randomBytes(8).toString('hex');
  const key = randomBytes(KEY_BYTES);
  const sealed = sealContent(key, set, content);
  const shares = await split(new Uint8Array(key), officers.length, threshold);
  const description: SetDescription = {
    ...{ format: 1, set, realm, createdAt, threshold },
    officers: officers.map((officer, i) => ({
      ...officer,
      commitment: commitmentOf(set, officer.name, shares[i]!),
      proofKey: proofKeyOf(shares[i]!, 'sallyport/1 escrow share'),
    })),
    keks: checksOf(content.keks),
    current: content.keks.current,
    rootKey: order.rootKey,
    drillKey: proofKeyOf(key, 'sallyport/1 escrow drill'),
    content: hashOf(sealed),
  };
  key.fill(0);
  const files = await Promise.all(
    officers.map(({ name, recipient }, i) => {
      const file: ShareFile = {
        name,
        share: formatBase64Url(shares[i]!),
        content: formatBase64Url(sealed),
        description,
      };
      shares[i]!.fill(0);
      return encryptTo(recipient, JSON.stringify(file));
    }),
  );
  return { description, files };
}

function checkOrder({ officers, threshold }: SetOrder): void {
  const names = new Set(officers.map(({ name }) => name));
  const recipients = new Set(officers.map(({ recipient }) => recipient));
  if (names.size < officers.length || recipients.size < officers.length)
    throw new EscrowError('ERR_ESCROW_OFFICER', 'an officer is named twice, or two have the same key');
  if (officers.length > MAX_OFFICERS)
    throw new EscrowError('ERR_ESCROW_OFFICER', `there are more than ${MAX_OFFICERS} officers`);
  if (!Number.isInteger(threshold) || threshold < 2 || threshold > officers.length)
    throw new EscrowError(
      'ERR_ESCROW_FEW',
      `of ${officers.length} officers 2 to ${officers.length} can be needed, not ${threshold}`,
    );
}

async function encryptTo(recipient: string, text: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(text);
}

interface ContentText {
  readonly current: number;
  readonly keys: Readonly<Record<string, string>>;
  readonly retired: Readonly<Record<string, string>>;
  readonly rootKey: string;
}

function textsOf(keys: ReadonlyMap<number, Uint8Array>): Record<string, string> {
  return Object.fromEntries([...keys].map(([id, key]) => [id, formatBase64Url(key)]));
}

function keysOf(texts: Readonly<Record<string, string>>): Map<number, Uint8Array> {
  return new Map(Object.entries(texts).map(([id, key]) => [Number(id), parseBase64Url(key)]));
}

function sealContent(key: Uint8Array, set: string, { keks, rootKey }: EscrowContent): Uint8Array {
  const { current, keys, retired } = keks;
  const text: ContentText = { current, keys: textsOf(keys), retired: textsOf(retired), rootKey };
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(`sallyport/1 escrow\n${set}`));
  return Buffer.concat([nonce, cipher.update(JSON.stringify(text)), cipher.final(), cipher.getAuthTag()]);
}

function openContent(key: Uint8Array, set: string, sealed: Uint8Array): EscrowContent {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(`sallyport/1 escrow\n${set}`));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  const { current, keys, retired, rootKey } = JSON.parse(plain.toString()) as ContentText;
  plain.fill(0);
  return { keks: { current, keys: keysOf(keys), retired: keysOf(retired) }, rootKey };
}

/** What enough officers have opened together, and a proof of it that gives nothing away. */
export interface OpenedSet {
  readonly description: SetDescription;
  readonly content: EscrowContent;
  /** Signs that the set was opened. */
  prove(text: string): string;
}

/**
 * Puts shares together. Each is looked at by itself first, so that whoever brought a bad one is named.
 * @throws EscrowError ERR_ESCROW_SET, ERR_ESCROW_TWICE, ERR_ESCROW_SHARE, ERR_ESCROW_FEW
 */
export async function combineShares(shares: readonly ShareFile[]): Promise<OpenedSet> {
  const [first] = shares;
  if (!first) throw new EscrowError('ERR_ESCROW_FEW', 'no share was given');
  const { description, content } = first;
  const { set, threshold } = description;
  for (const share of shares) checkShare(share, description);
  const names = shares.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new EscrowError('ERR_ESCROW_TWICE', `the share of ${twice} was given twice`);
  if (shares.length < threshold)
    throw new EscrowError(
      'ERR_ESCROW_FEW',
      `${threshold} shares are needed, ${shares.length} are here: of ${names.join(', ')}`,
    );
  const parts = shares.slice(0, threshold).map(({ share }) => parseBase64Url(share));
  const key = await combine(parts);
  for (const part of parts) part.fill(0);
  try {
    const opened = openContent(key, set, parseBase64Url(content));
    return { description, content: opened, prove: (text) => prove(key, 'sallyport/1 escrow drill', text) };
  } catch (cause) {
    throw new EscrowError('ERR_ESCROW_SHARE', 'the shares fit together, and what they open was altered', { cause });
  }
}

function checkShare(share: ShareFile, first: SetDescription): void {
  const { name, description } = share;
  if (description.set !== first.set)
    throw new EscrowError(
      'ERR_ESCROW_SET',
      `the share of ${name} is of set ${description.set}, others are of ${first.set}`,
    );
  if (JSON.stringify(description) !== JSON.stringify(first))
    throw new EscrowError('ERR_ESCROW_SHARE', `the share of ${name} says other things of its set than the first one`);
  const officer = description.officers.find((one) => one.name === name);
  const fits = officer?.commitment === commitmentOf(description.set, name, parseBase64Url(share.share));
  if (!fits || hashOf(parseBase64Url(share.content)) !== description.content)
    throw new EscrowError('ERR_ESCROW_SHARE', `the share of ${name} was altered`);
}
