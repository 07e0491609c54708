import type { CryptoProvider } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';

/** Random bytes of a vector, in the order drawn: byte i of draw n is `(16 n + i + start) mod 256`. */
export function counting(start: number): CryptoProvider {
  let draw = 0;
  return nobleCrypto((length) => {
    const offset = start + 16 * draw++;
    return Uint8Array.from({ length }, (_, i) => (offset + i) & 0xff);
  });
}
