import { concat, EMPTY, encodeText, equalBytes, prefix8 } from './bytes.ts';
import {
  type ChannelKey,
  type CodeKey,
  type CryptoProvider,
  KEY_BYTES,
  keyOf,
  type PublicKey,
  type SessionSecret,
  type SharedKey,
  type Suite,
} from './crypto.ts';

/** Why a device shakes hands with Security: to enrol, or to begin a session. */
export type Role = 'enrol' | 'session';

/** The byte of a role on the wire. */
export const ROLE_BYTES: Readonly<Record<Role, number>> = { enrol: 1, session: 2 };

/** Bytes of a truncated MAC (`mac1` of HS1, `mac` of HELLO). */
export const MAC_BYTES = 16;

/** HKDF-Extract (RFC 5869, section 2.2). */
export function hkdfExtract(crypto: CryptoProvider, salt: Uint8Array, input: Uint8Array): Uint8Array {
  return crypto.hmacSha256(salt, input);
}

/** HKDF-Expand (RFC 5869, section 2.3); `length` up to 8,160 bytes. */
export function hkdfExpand(crypto: CryptoProvider, key: Uint8Array, context: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  let block = EMPTY;
  for (let offset = 0, i = 1; offset < length; offset += block.length, i++) {
    block = crypto.hmacSha256(key, concat(block, context, Uint8Array.of(i)));
    output.set(block.subarray(0, Math.min(block.length, length - offset)), offset);
  }
  return output;
}

function hkdf(crypto: CryptoProvider, salt: Uint8Array, input: Uint8Array, context: Uint8Array): Uint8Array {
  return hkdfExpand(crypto, hkdfExtract(crypto, salt, input), context, KEY_BYTES);
}

/** `mac1` of HS1: filters out what does not even know Security's public key (SPEC.md, section 3). */
export function deriveMac1(crypto: CryptoProvider, rs: PublicKey, hs1WithZeroedMac: Uint8Array): Uint8Array {
  const key = crypto.sha256(concat(encodeText('sallyport/1 mac1'), rs));
  return crypto.hmacSha256(key, hs1WithZeroedMac).subarray(0, MAC_BYTES);
}

/**
 * The psk of session establishment: ML-KEM secret and what both sides share in one, the installation's key or, when
 * enrolling, the activation code's (SPEC.md, section 3).
 */
export function deriveEstablishPsk(
  crypto: CryptoProvider,
  input: { suite: Suite; role: Role; key: SharedKey | CodeKey; kemSecret: Uint8Array },
): Uint8Array {
  const context = concat(encodeText('sallyport/1 psk'), Uint8Array.of(input.suite, ROLE_BYTES[input.role]));
  return hkdf(crypto, input.key, input.kemSecret, context);
}

/** What a fresh proof of the device is bound to, 32 bytes (SPEC.md, section 3). */
export function deriveProofBinding(
  crypto: CryptoProvider,
  input: { hashAfterHs2: Uint8Array; challenge: Uint8Array; deviceStatic: PublicKey; role: Role },
): Uint8Array {
  const role = Uint8Array.of(ROLE_BYTES[input.role]);
  return crypto.sha256(
    concat(encodeText('sallyport/1 attest'), input.hashAfterHs2, input.challenge, input.deviceStatic, role),
  );
}

/** Randomness of both sides and the final handshake hash, from which a session's keys come. */
export interface EstablishOutcome {
  /** Transcript hash `h` of the finished handshake, 32 bytes. */
  readonly handshakeHash: Uint8Array;
  /** Random bytes of HS3, 32. */
  readonly clientRandom: Uint8Array;
  /** Random bytes of HS4, 32. */
  readonly serverRandom: Uint8Array;
  /** Secret of the ML-KEM exchange, 32 bytes. */
  readonly kemSecret: Uint8Array;
}

/** Session secret `S` (SPEC.md, section 3). */
export function deriveSessionSecret(crypto: CryptoProvider, outcome: EstablishOutcome, sid: Uint8Array): SessionSecret {
  const input = concat(outcome.clientRandom, outcome.serverRandom);
  return keyOf(hkdf(crypto, outcome.handshakeHash, input, concat(encodeText('sallyport/1 session'), sid)));
}

/** First shared key `SK_0` of an installation (SPEC.md, section 3). */
export function deriveEnrolledKey(crypto: CryptoProvider, outcome: EstablishOutcome): SharedKey {
  const input = concat(outcome.clientRandom, outcome.serverRandom, outcome.kemSecret);
  return keyOf(hkdf(crypto, outcome.handshakeHash, input, encodeText('sallyport/1 enrol')));
}

/** `SK_{g+1}` from `SK_g` and one session's handshake (SPEC.md, section 3). Never sent. */
export function deriveRotatedKey(crypto: CryptoProvider, current: SharedKey, outcome: EstablishOutcome): SharedKey {
  const input = concat(outcome.clientRandom, outcome.serverRandom);
  const context = concat(encodeText('sallyport/1 rotate'), outcome.handshakeHash);
  return keyOf(hkdf(crypto, current, input, context));
}

/** `mac` of a HELLO, over all of it but the mac itself (SPEC.md, section 5). */
export function deriveHelloMac(crypto: CryptoProvider, secret: SessionSecret, helloWithoutMac: Uint8Array): Uint8Array {
  const key = hkdfExpand(crypto, secret, encodeText('sallyport/1 hello'), KEY_BYTES);
  const mac = crypto.hmacSha256(key, helloWithoutMac).subarray(0, MAC_BYTES);
  key.fill(0);
  return mac;
}

/** True when the HELLO's mac was made with the session's secret. */
export function verifyHelloMac(
  crypto: CryptoProvider,
  secret: SessionSecret,
  hello: { readonly macInput: Uint8Array; readonly mac: Uint8Array },
): boolean {
  return equalBytes(deriveHelloMac(crypto, secret, hello.macInput), hello.mac);
}

/** Channel key `CK`: bound to everything the HELLO says (SPEC.md, section 5). */
export function deriveChannelKey(
  crypto: CryptoProvider,
  secret: SessionSecret,
  hello: { suite: Suite; mode: number; sid: Uint8Array; chanNo: Uint8Array; nonce: Uint8Array; audience: Uint8Array },
): ChannelKey {
  const key = hkdfExpand(crypto, secret, encodeText('sallyport/1 channel key'), KEY_BYTES);
  const context = concat(
    encodeText('sallyport/1 channel'),
    Uint8Array.of(hello.suite, hello.mode),
    hello.sid,
    hello.chanNo,
    hello.nonce,
    prefix8(hello.audience),
  );
  const channelKey = hkdfExpand(crypto, key, context, KEY_BYTES);
  key.fill(0);
  return keyOf(channelKey);
}
