import { concat, copyBytes, equalBytes } from './bytes.ts';
import type { CryptoProvider } from './crypto.ts';
import { demand } from './errors.ts';
import { MESSAGE_TYPES, SID_BYTES, VERSION } from './messages.ts';
import { MAC_BYTES } from './schedule.ts';
import type { EndKey } from './session-end.ts';

/**
 * How a session stands: it lives, or why it is over (SPEC.md, section 12). The position is the number on the wire. `session` was
 * ended by somebody else, `installation`, `user`, `app` and `all` say what was revoked, `other` is anything else.
 */
export const STANDINGS = [
  'live',
  'expired',
  'signed-out',
  'replaced',
  'session',
  'installation',
  'user',
  'app',
  'all',
  'other',
] as const;
/** How a session stands. */
export type Standing = (typeof STANDINGS)[number];
/** Why a session is over. */
export type EndCause = Exclude<Standing, 'live'>;

/**
 * ASK, with which a device asks Security how a session stands.
 *
 *     0      1     2     18      34    50
 *     0x14 | ver | sid | nonce | mac |
 */
export interface SessionAsk {
  /** Id of the session, `SID_BYTES` bytes. */
  readonly sid: Uint8Array;
  /** Random bytes of this question, `ASK_NONCE_BYTES`. */
  readonly nonce: Uint8Array;
  /** MAC by the key that ends the session, `MAC_BYTES` bytes. */
  readonly mac: Uint8Array;
}

/**
 * TOLD, its answer.
 *
 *     0      1     2     18      34         35    51
 *     0x15 | ver | sid | nonce | standing | mac |
 */
export interface SessionTold extends SessionAsk {
  /** How the session stands; `other` for what this version does not know. */
  readonly standing: Standing;
}

/** Bytes of the nonce that ties an answer to its question. */
export const ASK_NONCE_BYTES = 16;
const NONCE_OFFSET = 2 + SID_BYTES;
const ASK_HEAD_BYTES = NONCE_OFFSET + ASK_NONCE_BYTES;
const TOLD_HEAD_BYTES = ASK_HEAD_BYTES + 1;
/** What a newer Security says that this code does not know. */
const UNKNOWN_STANDING: Standing = 'other';

/** True for a name of why a session is over. */
export function isEndCause(name: string | undefined): name is EndCause {
  return name !== 'live' && (STANDINGS as readonly (string | undefined)[]).includes(name);
}

/** A question: the nonce is 16 random bytes, new for each. */
export function encodeSessionAsk(crypto: CryptoProvider, key: EndKey, sid: Uint8Array, nonce: Uint8Array): Uint8Array {
  return withMac(crypto, key, concat(Uint8Array.of(MESSAGE_TYPES.ASK, VERSION), sid, nonce));
}

/** The answer to a question that was verified. */
export function encodeSessionTold(
  crypto: CryptoProvider,
  key: EndKey,
  { sid, nonce }: Pick<SessionAsk, 'sid' | 'nonce'>,
  standing: Standing,
): Uint8Array {
  const head = concat(Uint8Array.of(MESSAGE_TYPES.TOLD, VERSION), sid, nonce);
  return withMac(crypto, key, concat(head, Uint8Array.of(STANDINGS.indexOf(standing))));
}

/** Takes ASK apart. @throws ChannelError ERR_CHANNEL_MESSAGE or ERR_CHANNEL_VERSION */
export function decodeSessionAsk(message: Uint8Array): SessionAsk {
  checkForm(message, MESSAGE_TYPES.ASK, ASK_HEAD_BYTES);
  return { ...namesOf(message), mac: copyBytes(message, ASK_HEAD_BYTES) };
}

/** Takes TOLD apart. @throws ChannelError ERR_CHANNEL_MESSAGE or ERR_CHANNEL_VERSION */
export function decodeSessionTold(message: Uint8Array): SessionTold {
  checkForm(message, MESSAGE_TYPES.TOLD, TOLD_HEAD_BYTES);
  const standing = STANDINGS[message[ASK_HEAD_BYTES]!] ?? UNKNOWN_STANDING;
  return { ...namesOf(message), standing, mac: copyBytes(message, TOLD_HEAD_BYTES) };
}

/** True when ASK or TOLD, which was taken apart before, was made with the session's end key. */
export function verifySessionMac(crypto: CryptoProvider, key: EndKey, message: Uint8Array): boolean {
  const at = message.length - MAC_BYTES;
  return equalBytes(macOf(crypto, key, message.subarray(0, at)), message.subarray(at));
}

function checkForm(message: Uint8Array, type: number, headBytes: number): void {
  demand(message[0] === type, 'ERR_CHANNEL_MESSAGE', `expected message type ${type}`);
  demand(message[1] === VERSION, 'ERR_CHANNEL_VERSION', 'the protocol version is not known');
  const bytes = headBytes + MAC_BYTES;
  demand(message.length === bytes, 'ERR_CHANNEL_MESSAGE', `expected ${bytes} bytes`);
}

function namesOf(message: Uint8Array): Pick<SessionAsk, 'sid' | 'nonce'> {
  return { sid: copyBytes(message, 2, NONCE_OFFSET), nonce: copyBytes(message, NONCE_OFFSET, ASK_HEAD_BYTES) };
}

function withMac(crypto: CryptoProvider, key: EndKey, head: Uint8Array): Uint8Array {
  return concat(head, macOf(crypto, key, head));
}

function macOf(crypto: CryptoProvider, key: EndKey, head: Uint8Array): Uint8Array {
  return crypto.hmacSha256(key, head).subarray(0, MAC_BYTES);
}
