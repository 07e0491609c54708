import { parseBase64Url } from '@sallyport/channel';
import { Decrypter } from 'age-encryption';
import { EscrowError } from './errors.ts';
import { commitmentOf, type ShareFile } from './set.ts';
import { prove } from './signing.ts';

/**
 * Opens an officer's share with their identity, and holds it against the description in it.
 * @throws EscrowError ERR_ESCROW_SHARE for one that was altered, is of another officer, or is none
 */
export async function openShare(file: Uint8Array, secret: string): Promise<ShareFile> {
  const share = await decrypted(file, secret);
  const { name, description } = share;
  const officer = description.officers.find((one) => one.name === name);
  if (officer?.commitment !== commitmentOf(description.set, name, parseBase64Url(share.share)))
    throw new EscrowError('ERR_ESCROW_SHARE', `the share of ${name} was altered`);
  return share;
}

async function decrypted(file: Uint8Array, secret: string): Promise<ShareFile> {
  let text: string;
  try {
    const decrypter = new Decrypter();
    decrypter.addIdentity(secret);
    text = await decrypter.decrypt(file, 'text');
  } catch (cause) {
    throw new EscrowError('ERR_ESCROW_SHARE', 'the share does not open: it was altered, or is for another officer', {
      cause,
    });
  }
  try {
    const share = JSON.parse(text) as ShareFile;
    if (share.description.format === 1 && typeof share.share === 'string' && typeof share.name === 'string')
      return share;
  } catch {
    // Said below.
  }
  throw new EscrowError('ERR_ESCROW_SHARE', 'the file opens, but holds no share of an escrow');
}

/** Signs a text as whoever has a share. */
export function proveShare({ share }: ShareFile, text: string): string {
  const bytes = parseBase64Url(share);
  const signature = prove(bytes, 'sallyport/1 escrow share', text);
  bytes.fill(0);
  return signature;
}
