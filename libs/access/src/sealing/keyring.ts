import {
  type AeadKey,
  type CryptoProvider,
  concat,
  copyBytes,
  decodeUint,
  encodeText,
  encodeUint,
  equalBytes,
  hkdfExpand,
  KEY_BYTES,
} from '@sallyport/channel';
import { AccessError } from '../store/errors.ts';

/** Wraps secrets for the store by key-encryption keys that are not in it. */
export interface Keyring {
  /** Id of the key that wraps from now on. */
  readonly current: number;
  /** Ids of all keys in use. */
  readonly ids: readonly number[];
  /** Ids of keys that wrap nothing any more. */
  readonly retired: readonly number[];
  wrap(secret: Uint8Array, purpose: string): Uint8Array;
  /** @throws AccessError ERR_ACCESS_UNWRAP when the key is missing, or the purpose or a byte is another. */
  unwrap(envelope: Uint8Array, purpose: string): Uint8Array;
  /** The same for what was kept elsewhere: with a key that is retired since, too. @throws AccessError ERR_ACCESS_UNWRAP */
  unwrapKept(envelope: Uint8Array, purpose: string): Uint8Array;
  /** Authenticates what is stored in the clear: `kek u32 | tag(16)`, by a key derived from the current one. */
  mac(bytes: Uint8Array): Uint8Array;
  /** The same by another key in use. @throws TypeError for one that is missing */
  macBy(kek: number, bytes: Uint8Array): Uint8Array;
  /** True when the MAC is that of these bytes by one of the keys in use: retired ones vouch for nothing. */
  verifyMac(mac: Uint8Array, bytes: Uint8Array): boolean;
  /** Tags of these bytes by each of the keys, that of the current one first and retired ones last; 16 bytes each. */
  marks(bytes: Uint8Array): readonly Uint8Array[];
  /** True for a MAC by any of the keys, retired or not: it shows that something was ours once, and not that it is good. */
  verifyMark(mac: Uint8Array, bytes: Uint8Array): boolean;
  /** A key for another purpose, from a key of this id, retired or not (HKDF, 32 bytes); undefined for an id without a key. */
  derive(kek: number, label: string): Uint8Array | undefined;
  /** A value that tells keys with one id apart and nothing of the key, 16 bytes; undefined for an id without a key. */
  checkValue(kek: number): Uint8Array | undefined;
}

const NONCE_BYTES = 12;
const HEAD_BYTES = 4 + NONCE_BYTES;
const MAC_BYTES = 16;
const LABELS = { mac: 'sallyport row mac', check: 'sallyport key check', derive: 'sallyport key derive' } as const;

/** Key-encryption keys as a node keeps them outside of the store; 32 bytes each. */
export interface KekSet {
  /** Id of the key that wraps. */
  readonly current: number;
  /** Keys in use: what they wrap opens, what they authenticate counts. */
  readonly keys: ReadonlyMap<number, Uint8Array>;
  /** Keys that nothing in the store uses any more: for backups of before, and to know tokens that were made with them. */
  readonly retired: ReadonlyMap<number, Uint8Array>;
  /** The last turns that this node has seen done: what says that one of them goes on is a copy of an older row. */
  readonly finished?: readonly string[];
}

/** Id of the key-encryption key of an envelope, and of a MAC. */
export function kekOf(envelope: Uint8Array): number {
  return decodeUint(envelope, 0, 4);
}

/**
 * Keyring on AES-256-GCM. Envelope: `kek u32 | nonce(12) | ciphertext | tag(16)`; the AAD is the purpose, which names
 * realm, row and column, so that an envelope opens in its own place only. Nonces are random: wrap at most 2^32 times per key.
 */
export function createKeyring(
  crypto: CryptoProvider,
  keks: ReadonlyMap<number, Uint8Array>,
  current: number,
  retired: ReadonlyMap<number, Uint8Array> = new Map(),
): Keyring {
  const aeads = (from: ReadonlyMap<number, Uint8Array>): Map<number, AeadKey> =>
    new Map([...from].map(([id, kek]) => [id, crypto.aead(2, kek)]));
  const keys = aeads(keks);
  const all = new Map([...aeads(retired), ...keys]);
  const derived = (label: string): Map<number, Uint8Array> =>
    new Map([...retired, ...keks].map(([id, kek]) => [id, crypto.hmacSha256(kek, encodeText(label))]));
  const deriving = derived(LABELS.derive);
  const macKeys = derived(LABELS.mac);
  const checkValues = derived(LABELS.check);
  const tag = (id: number, bytes: Uint8Array): Uint8Array | undefined => {
    const key = macKeys.get(id);
    return key && concat(encodeUint(id, 4), crypto.hmacSha256(key, bytes).subarray(0, MAC_BYTES));
  };
  const currentFirst = [current, ...[...keks.keys(), ...retired.keys()].filter((id) => id !== current)];
  const fits = (mac: Uint8Array, bytes: Uint8Array): boolean => {
    const expected = mac.length === 4 + MAC_BYTES ? tag(kekOf(mac), bytes) : undefined;
    return expected !== undefined && equalBytes(mac, expected);
  };
  const opened = (by: ReadonlyMap<number, AeadKey>, envelope: Uint8Array, purpose: string): Uint8Array => {
    const key = envelope.length > HEAD_BYTES ? by.get(kekOf(envelope)) : undefined;
    if (!key) throw new AccessError('ERR_ACCESS_UNWRAP', 'the key-encryption key of a stored secret is missing');
    try {
      return copyBytes(key.open(envelope.subarray(4, HEAD_BYTES), encodeText(purpose), envelope.subarray(HEAD_BYTES)));
    } catch (cause) {
      throw new AccessError('ERR_ACCESS_UNWRAP', 'a stored secret does not open', { cause });
    }
  };
  if (!keys.has(current)) throw new TypeError('the current key-encryption key is missing');
  return {
    current,
    ids: [...keks.keys()],
    retired: [...retired.keys()],
    wrap(secret, purpose) {
      const nonce = crypto.randomBytes(NONCE_BYTES);
      return concat(encodeUint(current, 4), nonce, keys.get(current)!.seal(nonce, encodeText(purpose), secret));
    },
    unwrap: (envelope, purpose) => opened(keys, envelope, purpose),
    unwrapKept: (envelope, purpose) => opened(all, envelope, purpose),
    mac: (bytes) => tag(current, bytes)!,
    macBy(kek, bytes) {
      if (!keys.has(kek)) throw new TypeError(`the key-encryption key ${kek} is not in use`);
      return tag(kek, bytes)!;
    },
    verifyMac: (mac, bytes) => mac.length === 4 + MAC_BYTES && keys.has(kekOf(mac)) && fits(mac, bytes),
    marks: (bytes) => currentFirst.map((id) => tag(id, bytes)!.subarray(4)),
    verifyMark: fits,
    derive(kek, label) {
      const key = deriving.get(kek);
      return key && hkdfExpand(crypto, key, encodeText(label), KEY_BYTES);
    },
    checkValue: (kek) => checkValues.get(kek)?.slice(0, MAC_BYTES),
  };
}

/** The keyring of a process while keys come and go: whoever holds it works with those of this moment. */
export class LiveKeyring implements Keyring {
  #inner: Keyring;

  constructor(inner: Keyring) {
    this.#inner = inner;
  }

  get current(): number {
    return this.#inner.current;
  }

  get ids(): readonly number[] {
    return this.#inner.ids;
  }

  get retired(): readonly number[] {
    return this.#inner.retired;
  }

  /** Puts other keys in place. */
  replace(inner: Keyring): void {
    this.#inner = inner;
  }

  wrap(secret: Uint8Array, purpose: string): Uint8Array {
    return this.#inner.wrap(secret, purpose);
  }

  unwrap(envelope: Uint8Array, purpose: string): Uint8Array {
    return this.#inner.unwrap(envelope, purpose);
  }

  unwrapKept(envelope: Uint8Array, purpose: string): Uint8Array {
    return this.#inner.unwrapKept(envelope, purpose);
  }

  mac(bytes: Uint8Array): Uint8Array {
    return this.#inner.mac(bytes);
  }

  macBy(kek: number, bytes: Uint8Array): Uint8Array {
    return this.#inner.macBy(kek, bytes);
  }

  verifyMac(mac: Uint8Array, bytes: Uint8Array): boolean {
    return this.#inner.verifyMac(mac, bytes);
  }

  marks(bytes: Uint8Array): readonly Uint8Array[] {
    return this.#inner.marks(bytes);
  }

  verifyMark(mac: Uint8Array, bytes: Uint8Array): boolean {
    return this.#inner.verifyMark(mac, bytes);
  }

  derive(kek: number, label: string): Uint8Array | undefined {
    return this.#inner.derive(kek, label);
  }

  checkValue(kek: number): Uint8Array | undefined {
    return this.#inner.checkValue(kek);
  }
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
