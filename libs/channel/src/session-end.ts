import { concat, copyBytes, encodeText, equalBytes } from './bytes.ts';
import { type CryptoProvider, KEY_BYTES } from './crypto.ts';
import { demand } from './errors.ts';
import { type MESSAGE_TYPES, SID_BYTES, VERSION } from './messages.ts';
import { hkdfExpand, MAC_BYTES } from './schedule.ts';

declare const endKeyKind: unique symbol;
/** Key with which a device ends one session, 32 bytes. It opens nothing, so it may outlive the session (SPEC.md, section 12). */
export type EndKey = Uint8Array & { readonly [endKeyKind]: true };

/**
 * END and its answer ENDED.
 *
 *     0      1     2     18    34
 *     type | ver | sid | mac |
 */
export interface SessionEnd {
  /** Id of the session, `SID_BYTES` bytes. */
  readonly sid: Uint8Array;
  /** MAC by the key that ends the session, `MAC_BYTES` bytes. */
  readonly mac: Uint8Array;
}

/** Type byte of END or ENDED. */
export type EndType = typeof MESSAGE_TYPES.END | typeof MESSAGE_TYPES.ENDED;

const MAC_OFFSET = 2 + SID_BYTES;
const END_BYTES = MAC_OFFSET + MAC_BYTES;

/** `K_end` of a session secret (SPEC.md, section 12). */
export function deriveEndKey(crypto: CryptoProvider, secret: Uint8Array): EndKey {
  return hkdfExpand(crypto, secret, encodeText('sallyport/1 end'), KEY_BYTES) as EndKey;
}

/** Takes 32 stored bytes for the end key they are. */
export function endKeyOf(bytes: Uint8Array): EndKey {
  if (bytes.length !== KEY_BYTES) throw new TypeError(`a key has ${KEY_BYTES} bytes, got ${bytes.length}`);
  return bytes as EndKey;
}

/** END, which ends a session, or ENDED, which says that it is over. The same bytes each time: repeating them does no harm. */
export function encodeSessionEnd(crypto: CryptoProvider, type: EndType, key: EndKey, sid: Uint8Array): Uint8Array {
  const head = concat(Uint8Array.of(type, VERSION), sid);
  return concat(head, macOf(crypto, key, head));
}

/** Takes END or ENDED apart. @throws ChannelError ERR_CHANNEL_MESSAGE or ERR_CHANNEL_VERSION */
export function decodeSessionEnd(type: EndType, message: Uint8Array): SessionEnd {
  demand(message[0] === type, 'ERR_CHANNEL_MESSAGE', `expected message type ${type}`);
  demand(message[1] === VERSION, 'ERR_CHANNEL_VERSION', 'the protocol version is not known');
  demand(message.length === END_BYTES, 'ERR_CHANNEL_MESSAGE', `expected ${END_BYTES} bytes`);
  return { sid: copyBytes(message, 2, MAC_OFFSET), mac: copyBytes(message, MAC_OFFSET) };
}

/** True when the message was made with the session's end key. */
export function verifySessionEnd(
  crypto: CryptoProvider,
  type: EndType,
  key: EndKey,
  { sid, mac }: SessionEnd,
): boolean {
  return equalBytes(macOf(crypto, key, concat(Uint8Array.of(type, VERSION), sid)), mac);
}

function macOf(crypto: CryptoProvider, key: EndKey, head: Uint8Array): Uint8Array {
  return crypto.hmacSha256(key, head).subarray(0, MAC_BYTES);
}
