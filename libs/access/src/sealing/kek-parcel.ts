import {
  type CryptoProvider,
  concat,
  encodeText,
  hkdfExpand,
  hkdfExtract,
  KEM_CIPHERTEXT_BYTES,
  KEM_KEY_BYTES,
  KEY_BYTES,
  NONCE_BYTES,
  publicKeyOf,
  TAG_BYTES,
} from '@sallyport/channel';
import { AccessError } from '../store/errors.ts';

const LABEL = encodeText('sallyport/1 kek parcel');
/** Zero: each parcel has a key of its own. */
const NONCE = new Uint8Array(NONCE_BYTES);
const PUBLIC_BYTES = KEY_BYTES + KEM_KEY_BYTES;
const HEAD_BYTES = KEY_BYTES + KEM_CIPHERTEXT_BYTES;
const PARCEL_BYTES = HEAD_BYTES + KEY_BYTES + TAG_BYTES;

/** A key pair in memory for which new key-encryption keys are sealed: X25519 and ML-KEM-768, both must be broken. */
export interface ParcelBox {
  /** `X25519 (32) | ML-KEM-768 (1,184)`. */
  readonly publicKey: Uint8Array;
  /** The key in a parcel, 32 bytes. @throws AccessError ERR_ACCESS_UNWRAP for a parcel of somebody or something else. */
  open(parcel: Uint8Array, purpose: string): Uint8Array;
}

/** Draws a key pair that lives as long as this process. */
export function createParcelBox(crypto: CryptoProvider): ParcelBox {
  const pair = crypto.generateKeyPair();
  const kem = crypto.generateKemKeyPair();
  const publicKey = concat(pair.publicKey, kem.publicKey);
  return {
    publicKey,
    open(parcel, purpose) {
      if (parcel.length !== PARCEL_BYTES) throw unopened();
      const [head, sealed] = [parcel.subarray(0, HEAD_BYTES), parcel.subarray(HEAD_BYTES)];
      try {
        const secrets = concat(
          crypto.dh(pair.secretKey, publicKeyOf(head.slice(0, KEY_BYTES))),
          kem.decapsulate(head.slice(KEY_BYTES)),
        );
        return Uint8Array.from(aeadOf(crypto, secrets, { publicKey, head }).open(NONCE, encodeText(purpose), sealed));
      } catch (cause) {
        throw unopened(cause);
      }
    },
  };
}

/**
 * Seals a key for the owner of a public key: `X25519 (32) | ML-KEM-768 ciphertext (1,088) | ciphertext (32) | tag (16)`. The AEAD
 * key is HKDF-SHA-256 of both shared secrets, bound to both public keys; the AAD is the purpose.
 * @throws ChannelError ERR_CHANNEL_HANDSHAKE for bytes that are no such public key
 */
export function sealParcel(
  crypto: CryptoProvider,
  publicKey: Uint8Array,
  { kek, purpose }: { readonly kek: Uint8Array; readonly purpose: string },
): Uint8Array {
  if (publicKey.length !== PUBLIC_BYTES) throw new TypeError(`a public key has ${PUBLIC_BYTES} bytes`);
  const ephemeral = crypto.generateKeyPair();
  const { ciphertext, sharedSecret } = crypto.encapsulate(publicKey.slice(KEY_BYTES));
  const secrets = concat(crypto.dh(ephemeral.secretKey, publicKeyOf(publicKey.slice(0, KEY_BYTES))), sharedSecret);
  ephemeral.secretKey.fill(0);
  const head = concat(ephemeral.publicKey, ciphertext);
  return concat(head, aeadOf(crypto, secrets, { publicKey, head }).seal(NONCE, encodeText(purpose), kek));
}

function aeadOf(
  crypto: CryptoProvider,
  secrets: Uint8Array,
  { publicKey, head }: { readonly publicKey: Uint8Array; readonly head: Uint8Array },
): ReturnType<CryptoProvider['aead']> {
  const context = crypto.sha256(concat(publicKey, head));
  const key = hkdfExpand(crypto, hkdfExtract(crypto, LABEL, secrets), context, KEY_BYTES);
  const aead = crypto.aead(2, key);
  secrets.fill(0);
  key.fill(0);
  return aead;
}

function unopened(cause?: unknown): AccessError {
  return new AccessError('ERR_ACCESS_UNWRAP', 'a parcel with a key-encryption key does not open', { cause });
}
