import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, parseHex } from './bytes.ts';
import {
  type AeadKey,
  type CryptoProvider,
  handshakeError,
  KEM_CIPHERTEXT_BYTES,
  KEM_KEY_BYTES,
  KEY_BYTES,
  type KemKeyPair,
  type KeyPair,
  keyOf,
  openError,
  type PublicKey,
  type SecretKey,
  type Suite,
  TAG_BYTES,
} from './crypto.ts';

/** DER in front of the raw key: PKCS #8 and SubjectPublicKeyInfo of X25519 (RFC 8410), SPKI of ML-KEM-768 (RFC 9935). */
const X25519_PKCS8 = parseHex('302e020100300506032b656e04220420');
const X25519_SPKI = parseHex('302a300506032b656e032100');
const KEM_SPKI = parseHex('308204b2300b0609608648016503040402038204a100');

const CIPHERS = { 1: 'chacha20-poly1305', 2: 'aes-256-gcm' } as const;
const TAG = { authTagLength: TAG_BYTES };

/** AEAD key on node:crypto. The key is imported once: importing costs more than sealing a small record. */
export function nodeAead(suite: Suite, key: Uint8Array): AeadKey {
  const secret = createSecretKey(key);
  // Both names take the same options; the overloads of @types/node want the narrower literal.
  const name = CIPHERS[suite] as 'aes-256-gcm';
  return {
    seal(nonce, ad, plaintext, out = new Uint8Array(plaintext.length + TAG_BYTES)) {
      const sealing = createCipheriv(name, secret, nonce, TAG);
      if (ad.length > 0) sealing.setAAD(ad);
      out.set(sealing.update(plaintext));
      sealing.final();
      out.set(sealing.getAuthTag(), plaintext.length);
      return out;
    },
    open(nonce, ad, ciphertext) {
      if (ciphertext.length < TAG_BYTES) throw openError();
      return nodeOpen(createDecipheriv(name, secret, nonce, TAG), ad, ciphertext);
    },
  };
}

function nodeOpen(decipher: ReturnType<typeof createDecipheriv>, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const opening = decipher as import('node:crypto').DecipherGCM;
  const end = ciphertext.length - TAG_BYTES;
  if (ad.length > 0) opening.setAAD(ad);
  opening.setAuthTag(ciphertext.subarray(end));
  const plaintext = opening.update(ciphertext.subarray(0, end));
  try {
    opening.final();
  } catch {
    throw openError();
  }
  return plain(plaintext);
}

/** Node gives Buffers, which JSON writes in a form of their own and whose slices are Buffers again: callers get plain bytes. */
function plain(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
}

function importSecret(secretKey: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.from(concat(X25519_PKCS8, secretKey)), format: 'der', type: 'pkcs8' });
}

function nodeKeyPair(secretKey: Uint8Array): KeyPair {
  const spki = createPublicKey(importSecret(secretKey)).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(X25519_SPKI.length)) as PublicKey;
  return { secretKey: keyOf<SecretKey>(secretKey), publicKey };
}

function nodeDh(secretKey: SecretKey, publicKey: PublicKey): Uint8Array {
  try {
    const spki = Buffer.from(concat(X25519_SPKI, publicKey));
    return plain(
      diffieHellman({
        privateKey: importSecret(secretKey),
        publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }),
      }),
    );
  } catch (cause) {
    throw handshakeError(cause);
  }
}

function nodeKemKeyPair(): KemKeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ml-kem-768');
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(spki.length - KEM_KEY_BYTES)),
    decapsulate(ciphertext) {
      if (ciphertext.length !== KEM_CIPHERTEXT_BYTES) throw handshakeError();
      return plain(decapsulate(privateKey, ciphertext));
    },
  };
}

function nodeEncapsulate(publicKey: Uint8Array): { ciphertext: Uint8Array; sharedSecret: Uint8Array } {
  if (publicKey.length !== KEM_KEY_BYTES) throw handshakeError();
  try {
    const spki = Buffer.from(concat(KEM_SPKI, publicKey));
    const { ciphertext, sharedKey } = encapsulate(createPublicKey({ key: spki, format: 'der', type: 'spki' }));
    return { ciphertext: plain(ciphertext), sharedSecret: plain(sharedKey) };
  } catch (cause) {
    throw handshakeError(cause);
  }
}

/** Provider for Node 24 and later: everything from node:crypto but HMAC, which noble does faster for short inputs. */
export function nodeCrypto(aead: (suite: Suite, key: Uint8Array) => AeadKey = nodeAead): CryptoProvider {
  return {
    name: 'node',
    prefersChaCha: false,
    randomBytes: (length) => plain(randomBytes(length)),
    sha256: (bytes) => plain(hash('sha256', bytes, 'buffer')),
    hmacSha256: (key, bytes) => hmac(sha256, key, bytes),
    aead,
    generateKeyPair: () => nodeKeyPair(plain(randomBytes(KEY_BYTES))),
    keyPairOf: nodeKeyPair,
    dh: nodeDh,
    generateKemKeyPair: nodeKemKeyPair,
    encapsulate: nodeEncapsulate,
  };
}
