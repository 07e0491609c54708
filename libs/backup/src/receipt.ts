import { BackupError } from './errors.ts';
import { type BackupIdentity, hashOfText, isSignedBy, type Recipient, signAs } from './identity.ts';
import type { Manifest } from './manifest.ts';

/** What a verification found, beyond that everything is there, decrypts, loads, and that its chains fit their heads. */
export interface ReceiptChecks {
  /** The manifest's MAC and the MACs of all rows fit the realm's keys; false where these keys were not at hand. */
  readonly macs: boolean;
}

/** Signed proof that an export was restored into a scratch database, `receipt.json`. The order of the fields is that of the file. */
export interface Receipt {
  readonly format: 1;
  readonly realm: string;
  /** Name of the export. */
  readonly name: string;
  /** SHA-256 (hex) of the text of its manifest, which names the hash of everything else. */
  readonly manifest: string;
  /** ISO 8601 in UTC, by the clock of whoever verified. */
  readonly verifiedAt: string;
  /** Version of the product that verified. */
  readonly product: string;
  readonly macs: boolean;
  /** The recipient whose identity verified. */
  readonly recipient: string;
  /** Ed25519 over all of the above. */
  readonly signature: string;
}

const FIELDS = ['format', 'realm', 'name', 'manifest', 'verifiedAt', 'product', 'macs', 'recipient', 'signature'];

function signedText({ signature: _, ...rest }: Receipt): string {
  return `sallyport/1 backup receipt\n${JSON.stringify(rest)}`;
}

/** Signs that an export was verified. */
export function issueReceipt(
  identity: BackupIdentity,
  {
    manifest,
    text,
    product,
    verifiedAt,
    macs,
  }: ReceiptChecks & {
    readonly manifest: Manifest;
    /** Text of `manifest.json`. */
    readonly text: string;
    readonly product: string;
    /** Epoch ms. */
    readonly verifiedAt: number;
  },
): Receipt {
  const unsigned: Receipt = {
    format: 1,
    realm: manifest.realm,
    name: manifest.name,
    manifest: hashOfText(text),
    verifiedAt: new Date(verifiedAt).toISOString(),
    product,
    macs,
    recipient: identity.recipient.age,
    signature: '',
  };
  return { ...unsigned, signature: signAs(identity, signedText(unsigned)) };
}

/** The text of `receipt.json`. */
export function formatReceipt(receipt: Receipt): string {
  return `${JSON.stringify(receipt, undefined, 2)}\n`;
}

/**
 * Reads a receipt for an export whose manifest was found genuine; it counts when it was signed by one of the recipients and
 * names this very manifest.
 * @throws BackupError ERR_BACKUP_RECEIPT otherwise
 */
export function checkReceipt(
  text: string,
  { manifest, recipients }: { readonly manifest: string; readonly recipients: readonly Recipient[] },
): Receipt {
  const receipt = readReceipt(text);
  if (recipients.length === 0)
    throw new BackupError(
      'ERR_BACKUP_RECEIPT',
      'whose receipts count is not known here: give --recipient FILE, or set SALLYPORT_BACKUP_RECIPIENTS',
    );
  const signer = recipients.find(({ age }) => age === receipt.recipient);
  if (!signer) throw new BackupError('ERR_BACKUP_RECEIPT', 'the receipt is of nobody to whom this realm encrypts');
  if (!isSignedBy(signer, signedText(receipt), receipt.signature))
    throw new BackupError('ERR_BACKUP_RECEIPT', 'the receipt is forged: its signature does not fit');
  if (receipt.manifest !== hashOfText(manifest))
    throw new BackupError('ERR_BACKUP_RECEIPT', 'the receipt is of another export, or of another manifest');
  return receipt;
}

function readReceipt(text: string): Receipt {
  try {
    const read = JSON.parse(text) as Receipt;
    if (Object.keys(read).join() === FIELDS.join() && read.format === 1 && formatReceipt(read) === text) return read;
  } catch {
    // Said below.
  }
  throw new BackupError('ERR_BACKUP_RECEIPT', 'the receipt is malformed');
}
