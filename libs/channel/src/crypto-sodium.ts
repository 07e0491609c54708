import { createRequire } from 'node:module';
import {
  type AeadKey,
  type CryptoProvider,
  handshakeError,
  KEY_BYTES,
  type KeyPair,
  keyOf,
  openError,
  type PublicKey,
  publicKeyOf,
  type SecretKey,
  type Suite,
  TAG_BYTES,
} from './crypto.ts';
import { nodeAead, nodeCrypto } from './crypto-node.ts';

interface Sodium {
  crypto_hash_sha256(out: Uint8Array, input: Uint8Array): void;
  crypto_scalarmult_base(q: Uint8Array, n: Uint8Array): void;
  crypto_scalarmult(q: Uint8Array, n: Uint8Array, p: Uint8Array): void;
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
  return new SodiumKey(sodium, key);
}

/** A key of ChaChaPoly. */
class SodiumKey implements AeadKey {
  readonly #sodium: Sodium;
  readonly #key: Uint8Array;

  constructor(sodium: Sodium, key: Uint8Array) {
    this.#sodium = sodium;
    this.#key = key;
  }

  seal(
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
    out: Uint8Array = new Uint8Array(plaintext.length + TAG_BYTES),
  ): Uint8Array {
    const data = ad.length > 0 ? ad : null;
    this.#sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, plaintext, data, null, nonce, this.#key);
    return out;
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array, out?: Uint8Array): Uint8Array {
    if (ciphertext.length < TAG_BYTES) throw openError();
    const opened = out ?? new Uint8Array(ciphertext.length - TAG_BYTES);
    const data = ad.length > 0 ? ad : null;
    try {
      this.#sodium.crypto_aead_chacha20poly1305_ietf_decrypt(opened, null, ciphertext, data, nonce, this.#key);
    } catch {
      throw openError();
    }
    return opened;
  }
}

const HASH_BYTES = 32;
/** Block of SHA-256; a longer key would have to be hashed first, and none of the protocol's is. */
const BLOCK_BYTES = 64;

function sodiumSha256(sodium: Sodium, bytes: Uint8Array): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES);
  sodium.crypto_hash_sha256(hash, bytes);
  return hash;
}

/** Messages up to this size are hashed in memory that is there already. */
const SCRATCH_BYTES = 1_024;
const innerScratch = new Uint8Array(BLOCK_BYTES + SCRATCH_BYTES);
const outerScratch = new Uint8Array(BLOCK_BYTES + HASH_BYTES);
const innerHash = outerScratch.subarray(BLOCK_BYTES);

/**
 * HMAC (RFC 2104) of two hashes: importing a key for every call would cost more, and so would new memory. The call is done with the
 * common memory when it returns, and leaves nothing of the key in it.
 */
function sodiumHmac(sodium: Sodium, key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const length = BLOCK_BYTES + bytes.length;
  const inner = bytes.length <= SCRATCH_BYTES ? innerScratch.subarray(0, length) : new Uint8Array(length);
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i < key.length ? key[i]! : 0;
    inner[i] = byte ^ 0x36;
    outerScratch[i] = byte ^ 0x5c;
  }
  inner.set(bytes, BLOCK_BYTES);
  sodium.crypto_hash_sha256(innerHash, inner);
  const mac = sodiumSha256(sodium, outerScratch);
  inner.fill(0);
  outerScratch.fill(0);
  return mac;
}

function sodiumKeyPair(sodium: Sodium, secretKey: Uint8Array): KeyPair {
  const publicKey = new Uint8Array(KEY_BYTES);
  sodium.crypto_scalarmult_base(publicKey, secretKey);
  return { secretKey: keyOf<SecretKey>(secretKey), publicKey: publicKeyOf(publicKey) };
}

function sodiumDh(sodium: Sodium, secretKey: SecretKey, publicKey: PublicKey): Uint8Array {
  const shared = new Uint8Array(KEY_BYTES);
  try {
    sodium.crypto_scalarmult(shared, secretKey, publicKey);
  } catch (cause) {
    throw handshakeError(cause);
  }
  return shared;
}

/**
 * Provider with sodium-native for ChaChaPoly, X25519, SHA-256 and HMAC, which works without allocating and without importing keys;
 * undefined where that optional package is not installed.
 */
export function sodiumCrypto(): CryptoProvider | undefined {
  const sodium = loadSodium();
  if (!sodium) return undefined;
  const node = nodeCrypto((suite, key) => sodiumAead(sodium, suite, key));
  return {
    ...node,
    name: 'sodium',
    prefersChaCha: true,
    generateKeyPair: () => sodiumKeyPair(sodium, node.randomBytes(KEY_BYTES)),
    keyPairOf: (secretKey) => sodiumKeyPair(sodium, secretKey),
    sha256: (bytes) => sodiumSha256(sodium, bytes),
    hmacSha256: (key, bytes) =>
      key.length <= BLOCK_BYTES ? sodiumHmac(sodium, key, bytes) : node.hmacSha256(key, bytes),
    dh: (secretKey, publicKey) => sodiumDh(sodium, secretKey, publicKey),
  };
}

/** The fastest provider of this machine: sodium where installed, else node:crypto. */
export function serverCrypto(): CryptoProvider {
  return sodiumCrypto() ?? nodeCrypto();
}
