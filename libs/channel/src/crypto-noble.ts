import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import {
  type AeadKey,
  type CryptoProvider,
  handshakeError,
  KEM_SEED_BYTES,
  KEY_BYTES,
  type KemKeyPair,
  type KeyPair,
  keyOf,
  openError,
  type PublicKey,
  type SecretKey,
  type Suite,
} from './crypto.ts';

/** Source of random bytes; a fixed one makes vectors reproducible. */
export type RandomSource = (length: number) => Uint8Array;

function platformRandom(length: number): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(length));
}

/** AEAD key on noble ciphers: portable, slow for large records. */
export function nobleAead(suite: Suite, key: Uint8Array): AeadKey {
  const cipher = suite === 1 ? chacha20poly1305 : gcm;
  return {
    seal(nonce, ad, plaintext, out) {
      const sealed = cipher(key, nonce, ad).encrypt(plaintext);
      out?.set(sealed);
      return out ?? sealed;
    },
    open(nonce, ad, ciphertext) {
      try {
        return cipher(key, nonce, ad).decrypt(ciphertext);
      } catch {
        throw openError();
      }
    },
  };
}

function nobleKeyPair(secretKey: Uint8Array): KeyPair {
  return { secretKey: keyOf<SecretKey>(secretKey), publicKey: x25519.getPublicKey(secretKey) as PublicKey };
}

function nobleDh(secretKey: SecretKey, publicKey: PublicKey): Uint8Array {
  try {
    return x25519.getSharedSecret(secretKey, publicKey);
  } catch (cause) {
    throw handshakeError(cause);
  }
}

function nobleKemKeyPair(seed: Uint8Array): KemKeyPair {
  const keys = ml_kem768.keygen(seed);
  return {
    publicKey: keys.publicKey,
    decapsulate(ciphertext) {
      try {
        return ml_kem768.decapsulate(ciphertext, keys.secretKey);
      } catch (cause) {
        throw handshakeError(cause);
      }
    },
  };
}

/**
 * Portable provider: browsers, React Native, anything with JavaScript.
 * Random bytes are drawn in the order of the calls: 32 for an X25519 key, 64 for an ML-KEM key, 32 for encapsulation.
 */
export function nobleCrypto(random: RandomSource = platformRandom): CryptoProvider {
  return {
    name: 'noble',
    prefersChaCha: true,
    randomBytes: random,
    sha256: (bytes) => sha256(bytes),
    hmacSha256: (key, bytes) => hmac(sha256, key, bytes),
    aead: nobleAead,
    generateKeyPair: () => nobleKeyPair(random(KEY_BYTES)),
    keyPairOf: nobleKeyPair,
    dh: nobleDh,
    generateKemKeyPair: () => nobleKemKeyPair(random(KEM_SEED_BYTES)),
    encapsulate(publicKey) {
      try {
        const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, random(KEY_BYTES));
        return { ciphertext: cipherText, sharedSecret };
      } catch (cause) {
        throw handshakeError(cause);
      }
    },
  };
}
