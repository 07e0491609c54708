import { concat, copyBytes, decodeUint, EMPTY, encodeUint, equalBytes, prefix8 } from './bytes.ts';
import { findHintCode, HINT_CODES, type HintCode } from './codes.ts';
import type { CryptoProvider, PublicKey, Suite } from './crypto.ts';
import { demand } from './errors.ts';
import { deriveMac1, MAC_BYTES, ROLE_BYTES, type Role } from './schedule.ts';

/** First byte of every message before the channel stands (SPEC.md, section 2). */
export const MESSAGE_TYPES = {
  HS1: 0x01,
  HS2: 0x02,
  HS3: 0x03,
  HS4: 0x04,
  STEP: 0x05,
  STEP_REPLY: 0x06,
  HINT: 0x0f,
  HELLO: 0x10,
  WELCOME: 0x11,
  END: 0x12,
  ENDED: 0x13,
  ASK: 0x14,
  TOLD: 0x15,
} as const;

/** Bytes of the largest WebSocket message. */
export const MAX_MESSAGE_BYTES = 65_600;
/** WebSocket subprotocol and path of the one endpoint. */
export const SUBPROTOCOL = 'sallyport.1';
/** Path of the one endpoint of a Proxy. */
export const ENDPOINT_PATH = '/sallyport/v1';
/** Version of the protocol, in every message of a handshake. */
export const VERSION = 1;
/** The only mode of a channel so far. */
const MODE = 1;

/** Bytes of a session id. */
export const SID_BYTES = 16;
const NONCE_BYTES = 16;
const HS1_HEAD_BYTES = 8;
const HS1_NOISE_OFFSET = HS1_HEAD_BYTES + MAC_BYTES;
/** HS1 with no code and no extension: 24 + e(32) + ek(1,184) + LP16 + tag. */
const MIN_HS1_BYTES = HS1_NOISE_OFFSET + 32 + 1_184 + 2 + 16;
const MAX_HS1_BYTES = 4_096;

/** Type byte of a message, undefined for an empty one. */
export function messageType(message: Uint8Array): number | undefined {
  return message[0];
}

/** Puts the type byte in front of a body. */
export function encodeTyped(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type), body);
}

/** Body of a message of the expected type. @throws ChannelError ERR_CHANNEL_MESSAGE */
export function decodeTyped(type: number, message: Uint8Array): Uint8Array {
  demand(message[0] === type, 'ERR_CHANNEL_MESSAGE', `expected message type ${type}`);
  demand(message.length <= MAX_MESSAGE_BYTES, 'ERR_CHANNEL_MESSAGE', 'the message is too long');
  return message.subarray(1);
}

function decodeSuite(byte: number | undefined): Suite {
  demand(byte === 1 || byte === 2, 'ERR_CHANNEL_SUITE', 'the suite is not known');
  return byte;
}

/**
 * HS1, the device's first message.
 *
 *     0      1     2       3      4      8       24
 *     type | ver | suite | role | kid  | mac1  | noise_msg1
 */
export interface Hs1 {
  /** The suite of the handshake. */
  readonly suite: Suite;
  /** Whether the device enrols or begins a session. */
  readonly role: Role;
  /** Id of the Security key the message is for, u32. */
  readonly kid: number;
  /** The first eight bytes, which the prologue holds. */
  readonly head: Uint8Array;
  /** The first Noise message. */
  readonly noise: Uint8Array;
}

/** Encodes HS1 and its `mac1`. */
export function encodeHs1Head(suite: Suite, role: Role, kid: number): Uint8Array {
  return concat(Uint8Array.of(MESSAGE_TYPES.HS1, VERSION, suite, ROLE_BYTES[role]), encodeUint(kid, 4));
}

/** Joins head, `mac1` and Noise message. */
export function sealHs1(crypto: CryptoProvider, rs: PublicKey, head: Uint8Array, noise: Uint8Array): Uint8Array {
  const message = concat(head, new Uint8Array(MAC_BYTES), noise);
  message.set(deriveMac1(crypto, rs, message), HS1_HEAD_BYTES);
  return message;
}

/**
 * Takes HS1 apart; checks sizes and constants only.
 * @throws ChannelError ERR_CHANNEL_MESSAGE, ERR_CHANNEL_VERSION or ERR_CHANNEL_SUITE
 */
export function decodeHs1(message: Uint8Array): Hs1 {
  demand(message[0] === MESSAGE_TYPES.HS1, 'ERR_CHANNEL_MESSAGE', 'expected HS1');
  demand(message[1] === VERSION, 'ERR_CHANNEL_VERSION', 'the protocol version is not known');
  const suite = decodeSuite(message[2]);
  demand(message.length >= MIN_HS1_BYTES, 'ERR_CHANNEL_MESSAGE', 'HS1 is too short');
  demand(message.length <= MAX_HS1_BYTES, 'ERR_CHANNEL_MESSAGE', 'HS1 is too long');
  const role = message[3] === ROLE_BYTES.enrol ? 'enrol' : message[3] === ROLE_BYTES.session ? 'session' : undefined;
  demand(role !== undefined, 'ERR_CHANNEL_MESSAGE', 'the role is not known');
  return {
    suite,
    role,
    kid: decodeUint(message, 4, 4),
    head: copyBytes(message, 0, HS1_HEAD_BYTES),
    noise: message.subarray(HS1_NOISE_OFFSET),
  };
}

/** True when `mac1` was made with Security's public key: work that a stranger cannot cause stops here. */
export function verifyMac1(crypto: CryptoProvider, rs: PublicKey, hs1: Uint8Array): boolean {
  const zeroed = copyBytes(hs1);
  zeroed.fill(0, HS1_HEAD_BYTES, HS1_NOISE_OFFSET);
  return equalBytes(deriveMac1(crypto, rs, zeroed), hs1.subarray(HS1_HEAD_BYTES, HS1_NOISE_OFFSET));
}

/**
 * HELLO, which opens a channel on a live session.
 *
 *     0      1     2       3      4     20        28      44                     +mac
 *     type | ver | suite | mode | sid | chan_no | nonce | LP8(audience) | mac | noise_msg1
 */
export interface Hello {
  /** The suite of the channel. */
  readonly suite: Suite;
  /** Mode of the channel; 1 is the only one so far. */
  readonly mode: number;
  /** Id of the session, `SID_BYTES` bytes. */
  readonly sid: Uint8Array;
  /** Number of the channel in its session, u64, 8 bytes. */
  readonly chanNo: Uint8Array;
  /** Random bytes of the device, 16. */
  readonly nonce: Uint8Array;
  /** `realm/site`, UTF-8: the site that the channel is for. */
  readonly audience: Uint8Array;
  /** MAC by the session over `macInput`, `MAC_BYTES` bytes. */
  readonly mac: Uint8Array;
  /** The first Noise message. */
  readonly noise: Uint8Array;
  /** All bytes before the mac: what the prologue holds. */
  readonly beforeMac: Uint8Array;
  /** All bytes but the mac: what the mac is over. */
  readonly macInput: Uint8Array;
}

/** What a device says in a HELLO before its mac. */
export interface HelloHead {
  /** The suite of the channel. */
  readonly suite: Suite;
  /** Id of the session, `SID_BYTES` bytes. */
  readonly sid: Uint8Array;
  /** Number of the channel in its session, greater than every one before. */
  readonly chanNo: number;
  /** New random bytes, 16. */
  readonly nonce: Uint8Array;
  /** `realm/site`, UTF-8. */
  readonly audience: Uint8Array;
}

/** The bytes of a HELLO before its mac. */
export function encodeHelloHead(head: HelloHead): Uint8Array {
  return concat(
    Uint8Array.of(MESSAGE_TYPES.HELLO, VERSION, head.suite, MODE),
    head.sid,
    encodeUint(head.chanNo, 8),
    head.nonce,
    prefix8(head.audience),
  );
}

const HELLO_AUDIENCE_OFFSET = 4 + SID_BYTES + 8 + NONCE_BYTES;

/**
 * Takes HELLO apart; checks sizes and constants only.
 * @throws ChannelError ERR_CHANNEL_MESSAGE, ERR_CHANNEL_VERSION or ERR_CHANNEL_SUITE
 */
export function decodeHello(message: Uint8Array): Hello {
  demand(message[0] === MESSAGE_TYPES.HELLO, 'ERR_CHANNEL_MESSAGE', 'expected HELLO');
  demand(message[1] === VERSION, 'ERR_CHANNEL_VERSION', 'the protocol version is not known');
  const suite = decodeSuite(message[2]);
  demand(message[3] === MODE, 'ERR_CHANNEL_MESSAGE', 'the mode is not known');
  demand(message.length <= MAX_HS1_BYTES, 'ERR_CHANNEL_MESSAGE', 'HELLO is too long');
  demand(message.length > HELLO_AUDIENCE_OFFSET, 'ERR_CHANNEL_MESSAGE', 'HELLO is too short');
  const macOffset = HELLO_AUDIENCE_OFFSET + 1 + message[HELLO_AUDIENCE_OFFSET]!;
  const noiseOffset = macOffset + MAC_BYTES;
  demand(message.length >= noiseOffset + 32 + 16, 'ERR_CHANNEL_MESSAGE', 'HELLO is too short');
  const beforeMac = copyBytes(message, 0, macOffset);
  const noise = copyBytes(message, noiseOffset);
  return {
    suite,
    mode: MODE,
    sid: copyBytes(message, 4, 20),
    chanNo: copyBytes(message, 20, 28),
    nonce: copyBytes(message, 28, 44),
    audience: copyBytes(message, HELLO_AUDIENCE_OFFSET + 1, macOffset),
    mac: copyBytes(message, macOffset, noiseOffset),
    noise,
    beforeMac,
    macInput: concat(beforeMac, noise),
  };
}

/** An unauthenticated hint. */
export interface Hint {
  /** What it says; a code that is not known counts as RETRY_LATER. */
  readonly code: HintCode;
  /** How long to wait at least, ms; 0 when nothing is said. */
  readonly retryAfterMs: number;
}

/** `type | code u16 | retry_after_ms u32` */
export function encodeHint(code: HintCode, retryAfterMs = 0): Uint8Array {
  return concat(Uint8Array.of(MESSAGE_TYPES.HINT), encodeUint(HINT_CODES[code], 2), encodeUint(retryAfterMs, 4));
}

/** Takes a hint apart; a code of a later version reads as RETRY_LATER. @throws ChannelError ERR_CHANNEL_MESSAGE */
export function decodeHint(message: Uint8Array): Hint {
  const body = decodeTyped(MESSAGE_TYPES.HINT, message);
  demand(body.length === 6, 'ERR_CHANNEL_MESSAGE', 'a hint has seven bytes');
  return { code: findHintCode(decodeUint(body, 0, 2)) ?? 'RETRY_LATER', retryAfterMs: decodeUint(body, 2, 4) };
}

/** Pads `random || u32 length || cbor` with zeros to a multiple of 256 bytes, which hides what is said. */
export function encodePadded(random: Uint8Array, cbor: Uint8Array): Uint8Array {
  const used = random.length + 4 + cbor.length;
  const padding = (256 - (used % 256)) % 256;
  return concat(random, encodeUint(cbor.length, 4), cbor, padding === 0 ? EMPTY : new Uint8Array(padding));
}

/** Takes a padded payload apart, with so many random bytes in front. @throws ChannelError ERR_CHANNEL_MESSAGE when sizes or padding are wrong */
export function decodePadded(payload: Uint8Array, randomBytes = 32): { random: Uint8Array; cbor: Uint8Array } {
  demand(payload.length >= 256 && payload.length % 256 === 0, 'ERR_CHANNEL_MESSAGE', 'the payload is not padded');
  const begin = randomBytes + 4;
  const end = begin + decodeUint(payload, randomBytes, 4);
  demand(end <= payload.length && payload.length - end < 256, 'ERR_CHANNEL_MESSAGE', 'the payload length is wrong');
  const clean = payload.subarray(end).every((byte) => byte === 0);
  demand(clean, 'ERR_CHANNEL_MESSAGE', 'the padding is not zero');
  return { random: copyBytes(payload, 0, randomBytes), cbor: copyBytes(payload, begin, end) };
}
