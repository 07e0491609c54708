import { type CryptoProvider, encodeText, formatHex } from '@sallyport/channel';

const MAX_NAME = 64;

/**
 * A name of the realm from what a directory calls someone: lower case, accents taken off, everything else but letters,
 * digits and `._@-` a dash. Never empty and at most 64 characters; what does not fit is told apart by a hash.
 */
export function nameFrom(crypto: CryptoProvider, text: string, suffix = ''): string {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const spelled = trimmed(plain.replace(/[^a-z0-9._@-]+/g, '-'));
  const lossless = [...plain].length === spelled.length && spelled.length > 0;
  const fits = spelled.length + suffix.length <= MAX_NAME;
  if (fits && (lossless || spelled.length >= 2)) return spelled + suffix;
  const hash = formatHex(crypto.sha256(encodeText(text))).slice(0, 8);
  const room = MAX_NAME - suffix.length - hash.length - 1;
  return `${trimmed((spelled || 'x').slice(0, room)) || 'x'}-${hash}${suffix}`;
}

function trimmed(text: string): string {
  return text.replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
}
