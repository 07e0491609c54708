import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { BackupError } from './errors.ts';

/** Bytes in front of the seed of an Ed25519 private key (RFC 8410, section 7), and in front of a public one (section 4). */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
const RECEIPT_LABEL = 'sallyport/1 backup receipt';
const SECRET = /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/;
const RECIPIENT_LINE = /^(age1[0-9a-z]{58}) ([A-Za-z0-9_-]{43})(?: ([a-z0-9][a-z0-9._@-]{0,62}))?$/;

/** To whom exports are encrypted, and whose receipts count. Nothing of it is secret. */
export interface Recipient {
  /** An X25519 recipient of age, `age1…`. */
  readonly age: string;
  /** The Ed25519 key of its receipts, 32 bytes in base64url. */
  readonly receiptKey: string;
  readonly name: string;
}

/** The private half: opens exports and signs receipts. Never on a server whose exports it opens. */
export interface BackupIdentity {
  readonly recipient: Recipient;
  /** `AGE-SECRET-KEY-1…` */
  readonly secret: string;
}

/** Makes an identity of this name (letters a-z, digits, `._@-`). */
export async function makeIdentity(name: string): Promise<BackupIdentity> {
  return identityOf(await generateX25519Identity(), name);
}

/** The key of its receipts is derived from the secret (HKDF, RFC 5869), so that there is one thing to keep. */
async function identityOf(secret: string, name: string): Promise<BackupIdentity> {
  const publicKey = createPublicKey(receiptKeyOf(secret)).export({ format: 'der', type: 'spki' });
  const receiptKey = publicKey.subarray(PUBLIC_HEAD.length).toString('base64url');
  return { secret, recipient: { age: await identityToRecipient(secret), receiptKey, name } };
}

function receiptKeyOf(secret: string): KeyObject {
  const seed = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), RECEIPT_LABEL, 32));
  return createPrivateKey({ key: Buffer.concat([PRIVATE_HEAD, seed]), format: 'der', type: 'pkcs8' });
}

/** The identity file: as age reads it, too. */
export function formatIdentity({ secret, recipient }: BackupIdentity): string {
  return [
    `# Opens the backups of Sallyport that are made for ${recipient.name || 'its recipient'}. Keep it away from the servers and from kek.json.`,
    `# recipient: ${recipient.age} ${recipient.receiptKey}${recipient.name ? ` ${recipient.name}` : ''}`,
    secret,
    '',
  ].join('\n');
}

/** Reads an identity file, also one that `age-keygen` made. @throws BackupError ERR_BACKUP_IDENTITY */
export async function parseIdentity(text: string): Promise<BackupIdentity> {
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (secrets.length !== 1 || !SECRET.test(secrets[0]!))
    throw new BackupError('ERR_BACKUP_IDENTITY', 'this is no identity file: it has one line AGE-SECRET-KEY-1…');
  const name = /^# recipient: \S+ \S+ (\S+)$/m.exec(text)?.[1] ?? '';
  try {
    return await identityOf(secrets[0]!, name);
  } catch {
    throw new BackupError('ERR_BACKUP_IDENTITY', 'the identity file is damaged: its key is not valid');
  }
}

/** The recipient file, for the servers. */
export function formatRecipient({ age, receiptKey, name }: Recipient): string {
  return `# To whom Sallyport encrypts its backups, and whose receipts count. Not secret.\n${`${age} ${receiptKey} ${name}`.trim()}\n`;
}

/** Reads a recipient file: one in each line that is no comment. @throws BackupError ERR_BACKUP_RECIPIENT */
export function parseRecipients(text: string): readonly Recipient[] {
  const lines = text.split('\n').map((line) => line.trim());
  const recipients = lines.filter((line) => line !== '' && !line.startsWith('#')).map(parseRecipient);
  if (recipients.length === 0) throw new BackupError('ERR_BACKUP_RECIPIENT', 'a recipient file names nobody');
  return recipients;
}

function parseRecipient(line: string): Recipient {
  if (line.startsWith('AGE-SECRET-KEY'))
    throw new BackupError(
      'ERR_BACKUP_RECIPIENT',
      'this is an identity, not a recipient file: it does not belong on a server that makes backups',
    );
  const [, age, receiptKey, name = ''] = RECIPIENT_LINE.exec(line) ?? [];
  if (!age || !receiptKey)
    throw new BackupError(
      'ERR_BACKUP_RECIPIENT',
      'a recipient file has lines "age1… KEY [NAME]" as `backup keys new` wrote them',
    );
  return { age, receiptKey, name };
}

/** Signs for an identity, Ed25519; base64url. */
export function signAs({ secret }: BackupIdentity, text: string): string {
  return signBytes(null, Buffer.from(text), receiptKeyOf(secret)).toString('base64url');
}

/** True when a recipient signed this. */
export function isSignedBy({ receiptKey }: Recipient, text: string, signature: string): boolean {
  try {
    const key = Buffer.concat([PUBLIC_HEAD, Buffer.from(receiptKey, 'base64url')]);
    const publicKey = createPublicKey({ key, format: 'der', type: 'spki' });
    return verifyBytes(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}

/** SHA-256, hex. */
export function hashOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
