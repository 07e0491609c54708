import type { CryptoProvider, Suite } from '@sallyport/channel';

/** ChaChaPoly where crypto is software, AES-GCM where it is hardware. */
export function suiteOf(crypto: CryptoProvider): Suite {
  return crypto.prefersChaCha ? 1 : 2;
}
