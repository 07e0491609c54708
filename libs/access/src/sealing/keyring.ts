import {
  type CryptoProvider,
  concat,
  copyBytes,
  decodeUint,
  encodeText,
  encodeUint,
  equalBytes,
} from '@sallyport/channel';
import { AccessError } from '../store/errors.ts';

/** Wraps secrets for the store by key-encryption keys that are not in it. */
export interface Keyring {
  /** Id of the key that wraps from now on. */
  readonly current: number;
  /** Ids of all its keys. */
  readonly ids: readonly number[];
  wrap(secret: Uint8Array, purpose: string): Uint8Array;
  /** @throws AccessError ERR_ACCESS_UNWRAP when the key is missing, or the purpose or a byte is another. */
  unwrap(envelope: Uint8Array, purpose: string): Uint8Array;
  /** Authenticates what is stored in the clear: `kek u32 | tag(16)`, by a key derived from the current one. */
  mac(bytes: Uint8Array): Uint8Array;
  /** Tags of these bytes by each of the keys, that of the current one first; 16 bytes each. */
  marks(bytes: Uint8Array): readonly Uint8Array[];
  /** True when the MAC is that of these bytes by one of the keys. */
  verifyMac(mac: Uint8Array, bytes: Uint8Array): boolean;
  /** A value that tells keys with one id apart and nothing of the key, 16 bytes; undefined for an id without a key. */
  checkValue(kek: number): Uint8Array | undefined;
}

const NONCE_BYTES = 12;
const HEAD_BYTES = 4 + NONCE_BYTES;
const MAC_BYTES = 16;
const LABELS = { mac: 'sallyport row mac', check: 'sallyport key check' } as const;

/** Id of the key-encryption key of an envelope. */
export function kekOf(envelope: Uint8Array): number {
  return decodeUint(envelope, 0, 4);
}

/**
 * Keyring on AES-256-GCM. Envelope: `kek u32 | nonce(12) | ciphertext | tag(16)`; the AAD is the purpose, which names
 * realm, row and column, so that an envelope opens in its own place only. Nonces are random: wrap at most 2^32 times per key.
 */
export function createKeyring(crypto: CryptoProvider, keks: ReadonlyMap<number, Uint8Array>, current: number): Keyring {
  const keys = new Map([...keks].map(([id, kek]) => [id, crypto.aead(2, kek)]));
  const derived = (label: string): Map<number, Uint8Array> =>
    new Map([...keks].map(([id, kek]) => [id, crypto.hmacSha256(kek, encodeText(label))]));
  const macKeys = derived(LABELS.mac);
  const checkValues = derived(LABELS.check);
  const tag = (id: number, bytes: Uint8Array): Uint8Array | undefined => {
    const key = macKeys.get(id);
    return key && concat(encodeUint(id, 4), crypto.hmacSha256(key, bytes).subarray(0, MAC_BYTES));
  };
  const currentFirst = [current, ...[...keks.keys()].filter((id) => id !== current)];
  if (!keys.has(current)) throw new TypeError('the current key-encryption key is missing');
  return {
    current,
    ids: [...keks.keys()],
    wrap(secret, purpose) {
      const nonce = crypto.randomBytes(NONCE_BYTES);
      return concat(encodeUint(current, 4), nonce, keys.get(current)!.seal(nonce, encodeText(purpose), secret));
    },
    unwrap(envelope, purpose) {
      const key = envelope.length > HEAD_BYTES ? keys.get(kekOf(envelope)) : undefined;
      if (!key) throw new AccessError('ERR_ACCESS_UNWRAP', 'the key-encryption key of a stored secret is missing');
      try {
        return copyBytes(
          key.open(envelope.subarray(4, HEAD_BYTES), encodeText(purpose), envelope.subarray(HEAD_BYTES)),
        );
      } catch (cause) {
        throw new AccessError('ERR_ACCESS_UNWRAP', 'a stored secret does not open', { cause });
      }
    },
    mac: (bytes) => tag(current, bytes)!,
    marks: (bytes) => currentFirst.map((id) => tag(id, bytes)!.subarray(4)),
    verifyMac(mac, bytes) {
      const expected = mac.length === 4 + MAC_BYTES ? tag(kekOf(mac), bytes) : undefined;
      return expected !== undefined && equalBytes(mac, expected);
    },
    checkValue: (kek) => checkValues.get(kek)?.slice(0, MAC_BYTES),
  };
}

/** What envelopes are bound to, so that a row's secret opens in that row only. */
export const PURPOSES = {
  sharedKey: (realm: string, installationId: string): string => `${realm}/installation/${installationId}/shared key`,
  code: (realm: string, id: string): string => `${realm}/activation code/${id}`,
  session: (realm: string, sid: string): string => `${realm}/session/${sid}`,
  key: (realm: string, id: string): string => `${realm}/key/${id}`,
  sessionEnd: (realm: string, sid: string): string => `${realm}/session/${sid}/end`,
  delegated: (realm: string, sid: string): string => `${realm}/session/${sid}/delegated`,
  directory: (realm: string, name: string): string => `${realm}/directory/${name}`,
  resource: (realm: string, name: string, secret: string): string => `${realm}/resource/${name}/${secret}`,
  factor: (realm: string, userId: string): string => `${realm}/user/${userId}/second factor`,
  auditStart: (realm: string): string => `${realm}/audit start`,
  resume: (realm: string): string => `${realm}/resume`,
} as const;
