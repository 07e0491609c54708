import { onlyCertificates } from '@sallyport/certificates';
import { AccessError } from '../store/errors.ts';

/**
 * The certificates of a text alone: what everybody may look at holds no key that stood in the same file. What is no certificate would be
 * trusted by nobody.
 * @throws AccessError ERR_ACCESS_INVALID that says of what, and why
 */
export function certificatesIn(pem: string, what: string): string {
  try {
    return onlyCertificates(pem);
  } catch (error) {
    throw new AccessError('ERR_ACCESS_INVALID', `${what}: ${(error as Error).message}`);
  }
}
