import { createRequire } from 'node:module';
import { type AeadKey, type CryptoProvider, openError, type Suite, TAG_BYTES } from './crypto.ts';
import { nodeAead, nodeCrypto } from './crypto-node.ts';

interface Sodium {
  crypto_aead_chacha20poly1305_ietf_encrypt(
    c: Uint8Array,
    m: Uint8Array,
    ad: Uint8Array | null,
    nsec: null,
    npub: Uint8Array,
    k: Uint8Array,
  ): number;
  crypto_aead_chacha20poly1305_ietf_decrypt(
    m: Uint8Array,
    nsec: null,
    c: Uint8Array,
    ad: Uint8Array | null,
    npub: Uint8Array,
    k: Uint8Array,
  ): number;
}

function loadSodium(): Sodium | undefined {
  try {
    return createRequire(import.meta.url)('sodium-native') as Sodium;
  } catch {
    return undefined;
  }
}

function sodiumAead(sodium: Sodium, suite: Suite, key: Uint8Array): AeadKey {
  if (suite === 2) return nodeAead(suite, key);
  return {
    seal(nonce, ad, plaintext, out = new Uint8Array(plaintext.length + TAG_BYTES)) {
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, plaintext, ad.length > 0 ? ad : null, null, nonce, key);
      return out;
    },
    open(nonce, ad, ciphertext, out) {
      if (ciphertext.length < TAG_BYTES) throw openError();
      const opened = out ?? new Uint8Array(ciphertext.length - TAG_BYTES);
      try {
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(
          opened,
          null,
          ciphertext,
          ad.length > 0 ? ad : null,
          nonce,
          key,
        );
      } catch {
        throw openError();
      }
      return opened;
    },
  };
}

/** Provider with sodium-native for ChaChaPoly, which works without allocating; undefined where that optional package is not installed. */
export function sodiumCrypto(): CryptoProvider | undefined {
  const sodium = loadSodium();
  if (!sodium) return undefined;
  return { ...nodeCrypto((suite, key) => sodiumAead(sodium, suite, key)), name: 'sodium', prefersChaCha: true };
}

/** The fastest provider of this machine: sodium where installed, else node:crypto. */
export function serverCrypto(): CryptoProvider {
  return sodiumCrypto() ?? nodeCrypto();
}
