import { type CryptoProvider, formatHex } from '@sallyport/channel';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** A random id: 32 hex digits. */
export function randomId(crypto: Pick<CryptoProvider, 'randomBytes'>): string {
  return formatHex(crypto.randomBytes(16));
}

/** Random text of Crockford's base32 (5 bits a character), free of look-alikes, for people to type. */
export function formatTypable(bytes: Uint8Array, length: number): string {
  return Array.from({ length }, (_, i) => CROCKFORD[bytes[i]! & 31]).join('');
}
