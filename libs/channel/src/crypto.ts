import { ChannelError } from './errors.ts';

declare const keyKind: unique symbol;
/** Bytes of one purpose, which no function takes for those of another: `keyOf` and `publicKeyOf` make them. */
export type Key<Kind extends string> = Uint8Array & { readonly [keyKind]: Kind };

/** X25519 public key, 32 bytes. */
export type PublicKey = Key<'x25519 public'>;
/** X25519 secret key, 32 bytes. */
export type SecretKey = Key<'x25519 secret'>;
/** Shared key `SK_g` of an installation, 32 bytes (SPEC.md, section 1). */
export type SharedKey = Key<'shared key'>;
/** What an activation code's secret becomes, `K_code`, 32 bytes (SPEC.md, section 3). */
export type CodeKey = Key<'code key'>;
/** Session secret `S`, 32 bytes. */
export type SessionSecret = Key<'session secret'>;
/** Channel key `CK`, 32 bytes. */
export type ChannelKey = Key<'channel key'>;

/** Key pair for X25519 (RFC 7748). */
export interface KeyPair {
  /** The half that the peer gets. */
  readonly publicKey: PublicKey;
  /** The half that never leaves its owner. */
  readonly secretKey: SecretKey;
}

/** ML-KEM-768 key pair (FIPS 203) whose decapsulation key stays inside the provider. */
export interface KemKeyPair {
  /** Encapsulation key, 1,184 bytes. */
  readonly publicKey: Uint8Array;
  /** Shared secret (32 bytes) of a ciphertext (1,088 bytes). A forged one gives an unrelated secret. */
  decapsulate(ciphertext: Uint8Array): Uint8Array;
}

/** `0x01` ChaChaPoly, `0x02` AESGCM; both with X25519, SHA-256 and ML-KEM-768. */
export type Suite = 1 | 2;

/** One AEAD key (RFC 8439 or NIST SP 800-38D), 12-byte nonces, 16-byte tags behind the ciphertext. */
export interface AeadKey {
  /** Gives ciphertext and tag; with `out`, which has exactly their length, they are put there. */
  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array, out?: Uint8Array): Uint8Array;
  /**
   * Gives the plaintext; with `out`, which has exactly its length and may lie over the ciphertext, it may be put there. A
   * failure leaves anything in `out`.
   * @throws ChannelError ERR_CHANNEL_OPEN when the tag does not fit.
   */
  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array, out?: Uint8Array): Uint8Array;
}

/**
 * All cryptography the protocol needs. Implementations give the same bytes for the same inputs:
 * `nobleCrypto` runs everywhere, `nodeCrypto` on Node, `sodiumCrypto` on Node with sodium-native.
 */
export interface CryptoProvider {
  /** For logs and measurements. */
  readonly name: string;
  /** True when ChaChaPoly is the better suite here, because AES has no hardware support. */
  readonly prefersChaCha: boolean;
  /** Random bytes, fit for keys. */
  randomBytes(length: number): Uint8Array;
  /** SHA-256 (FIPS 180-4), 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104), 32 bytes; `key` of any length. */
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array;
  /** Imports a key of 32 bytes once, for many messages. */
  aead(suite: Suite, key: Uint8Array): AeadKey;
  /** A new X25519 key pair. */
  generateKeyPair(): KeyPair;
  /** The key pair of an X25519 secret key of 32 bytes. */
  keyPairOf(secretKey: Uint8Array): KeyPair;
  /** X25519 (RFC 7748), 32 bytes. @throws ChannelError ERR_CHANNEL_HANDSHAKE when the result would be all zero (RFC 7748, section 6.1). */
  dh(secretKey: SecretKey, publicKey: PublicKey): Uint8Array;
  /** A new ML-KEM-768 key pair. */
  generateKemKeyPair(): KemKeyPair;
  /** ML-KEM-768 encapsulation (FIPS 203). @throws ChannelError ERR_CHANNEL_HANDSHAKE for a key that FIPS 203, section 7.2 does not allow. */
  encapsulate(publicKey: Uint8Array): {
    /** For the owner of the key, `KEM_CIPHERTEXT_BYTES` bytes. */
    readonly ciphertext: Uint8Array;
    /** What `decapsulate` gives of it, 32 bytes. */
    readonly sharedSecret: Uint8Array;
  };
}

/** Bytes of an X25519, AEAD or symmetric key. */
export const KEY_BYTES = 32;
/** Bytes of a tag of either suite. */
export const TAG_BYTES = 16;
/** Bytes of a nonce of either suite. */
export const NONCE_BYTES = 12;
/** Bytes of an ML-KEM-768 encapsulation key (FIPS 203). */
export const KEM_KEY_BYTES = 1_184;
/** Bytes of an ML-KEM-768 ciphertext. */
export const KEM_CIPHERTEXT_BYTES = 1_088;
/** Bytes of the seed that an ML-KEM-768 decapsulation key is made of. */
export const KEM_SEED_BYTES = 64;

/** Takes 32 received bytes for a public key. @throws ChannelError ERR_CHANNEL_HANDSHAKE for another length. */
export function publicKeyOf(bytes: Uint8Array): PublicKey {
  if (bytes.length !== KEY_BYTES) throw handshakeError();
  return bytes as PublicKey;
}

/** Takes 32 stored or derived bytes for a key of the kind the caller names. */
export function keyOf<K extends SharedKey | CodeKey | SessionSecret | ChannelKey | SecretKey>(bytes: Uint8Array): K {
  if (bytes.length !== KEY_BYTES) throw new TypeError(`a key has ${KEY_BYTES} bytes, got ${bytes.length}`);
  return bytes as K;
}

/** The one error of a failed handshake: it never says which secret did not fit. */
export function handshakeError(cause?: unknown): ChannelError {
  return new ChannelError('ERR_CHANNEL_HANDSHAKE', 'the handshake failed', { cause });
}

/** The one error of a record or message that does not open. */
export function openError(): ChannelError {
  return new ChannelError('ERR_CHANNEL_OPEN', 'the message does not open');
}
