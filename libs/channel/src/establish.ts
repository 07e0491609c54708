import { MAX_CODE_ID } from './activation-code.ts';
import {
  concat,
  copyBytes,
  decodeText,
  decodeUint,
  EMPTY,
  encodeText,
  encodeUint,
  prefix8,
  prefix16,
} from './bytes.ts';
import { CborFields, type CborInput, decodeCborMap, encodeCbor } from './cbor.ts';
import {
  type CodeKey,
  type CryptoProvider,
  handshakeError,
  KEM_CIPHERTEXT_BYTES,
  KEM_KEY_BYTES,
  KEY_BYTES,
  type KemKeyPair,
  type KeyPair,
  type PublicKey,
  type SharedKey,
  type Suite,
} from './crypto.ts';
import { demand } from './errors.ts';
import {
  decodeHs1,
  decodePadded,
  decodeTyped,
  encodeHs1Head,
  encodePadded,
  encodeTyped,
  type Hs1,
  MESSAGE_TYPES,
  sealHs1,
} from './messages.ts';
import { NoiseHandshake, type Transport, XKpsk3 } from './noise.ts';
import { deriveEstablishPsk, deriveProofBinding, type EstablishOutcome, type Role } from './schedule.ts';

/** `"sallyport/1 session" || LP8(realm) || HS1[0..8]`: a message for one realm is none for another. */
function prologueOf(realm: string, head: Uint8Array): Uint8Array {
  return concat(encodeText('sallyport/1 session'), prefix8(encodeText(realm)), head);
}

/**
 * CBOR of an answer of Security, HS4 or STEP_REPLY, in bytes at most: with what is around it, and padded, it is one Noise message of
 * 65,535 bytes.
 */
export const MAX_ANSWER_BYTES = 65_244;

/** What a device starts session establishment with. */
export interface DeviceEstablishOptions {
  /** What the device has of cryptography. */
  readonly crypto: CryptoProvider;
  /** The suite of this handshake and of what it derives. */
  readonly suite: Suite;
  /** Whether it enrols or begins a session. */
  readonly role: Role;
  /** Name of the realm; part of the prologue. */
  readonly realm: string;
  /** Id of the key of Security that `rs` is, u32. */
  readonly kid: number;
  /** Security's static public key. */
  readonly rs: PublicKey;
  /** The installation's static key pair. */
  readonly deviceStatic: KeyPair;
  /** Public part of the activation code; in an enrolment only. */
  readonly codeId?: string;
}

/** What the device learns from HS2. */
export interface Challenge {
  /** The value that fresh proofs sign, 32 bytes. */
  readonly binding: Uint8Array;
  /** Security's clock in epoch ms, for display only. */
  readonly serverTimeMs: number;
}

/** What either side keeps of a handshake until keys are derived from it. */
class KeptSecrets {
  kemSecret: Uint8Array = EMPTY;
  clientRandom: Uint8Array = EMPTY;
  serverRandom: Uint8Array = EMPTY;
  handshakeHash: Uint8Array = EMPTY;
  transport: Transport | undefined;

  get outcome(): EstablishOutcome {
    const { handshakeHash, clientRandom, serverRandom, kemSecret } = this;
    return { handshakeHash, clientRandom, serverRandom, kemSecret };
  }

  erase(): void {
    for (const secret of [this.kemSecret, this.clientRandom, this.serverRandom]) secret.fill(0);
    this.transport = undefined;
  }

  transported(): Transport {
    if (!this.transport) throw new TypeError('HS3 comes first');
    return this.transport;
  }
}

/**
 * The device's side of session establishment (SPEC.md, section 3).
 * Single use, in the order writeHs1, readHs2, writeHs3, readHs4. Every read throws ERR_CHANNEL_HANDSHAKE or
 * ERR_CHANNEL_MESSAGE, and then the run is over.
 */
export class DeviceEstablish {
  readonly #options: DeviceEstablishOptions;
  readonly #noise: NoiseHandshake;
  readonly #head: Uint8Array;
  readonly #kem: KemKeyPair;
  readonly #kept = new KeptSecrets();

  /** Begins a handshake with new ephemeral and ML-KEM keys. */
  constructor(options: DeviceEstablishOptions) {
    const { crypto, suite, role, realm, kid, rs, deviceStatic } = options;
    this.#options = options;
    this.#head = encodeHs1Head(suite, role, kid);
    this.#kem = crypto.generateKemKeyPair();
    this.#kept.clientRandom = crypto.randomBytes(KEY_BYTES);
    this.#noise = new NoiseHandshake({
      crypto,
      suite,
      pattern: XKpsk3,
      initiator: true,
      prologue: prologueOf(realm, this.#head),
      static: deviceStatic,
      remoteStatic: rs,
    });
  }

  /** `-> e, es` with the ML-KEM key and, when enrolling, the code's id. */
  writeHs1(): Uint8Array {
    const { crypto, rs, codeId = '' } = this.#options;
    const payload = concat(this.#kem.publicKey, prefix16(encodeText(codeId)));
    return sealHs1(crypto, rs, this.#head, this.#noise.writeMessage(payload));
  }

  /** `<- e, ee` with the ML-KEM ciphertext and the challenge. */
  readHs2(message: Uint8Array): Challenge {
    const { crypto, deviceStatic, role } = this.#options;
    const payload = this.#noise.readMessage(decodeTyped(MESSAGE_TYPES.HS2, message));
    demand(payload.length >= KEM_CIPHERTEXT_BYTES + 40, 'ERR_CHANNEL_MESSAGE', 'HS2 is too short');
    this.#kept.kemSecret = this.#kem.decapsulate(copyBytes(payload, 0, KEM_CIPHERTEXT_BYTES));
    const challenge = copyBytes(payload, KEM_CIPHERTEXT_BYTES, KEM_CIPHERTEXT_BYTES + 32);
    const binding = deriveProofBinding(crypto, {
      hashAfterHs2: this.#noise.hash,
      challenge,
      deviceStatic: deviceStatic.publicKey,
      role,
    });
    return { binding, serverTimeMs: decodeUint(payload, KEM_CIPHERTEXT_BYTES + 32, 8) };
  }

  /** `-> s, se, psk` with the request; `key` is the installation's, or the code's when enrolling. */
  writeHs3(request: CborInput, key: SharedKey | CodeKey): Uint8Array {
    const { crypto, suite, role } = this.#options;
    this.#noise.usePsk(deriveEstablishPsk(crypto, { suite, role, key, kemSecret: this.#kept.kemSecret }));
    const body = this.#noise.writeMessage(encodePadded(this.#kept.clientRandom, encodeCbor(request)));
    this.#kept.handshakeHash = this.#noise.hash;
    this.#kept.transport = this.#noise.split();
    return encodeTyped(MESSAGE_TYPES.HS3, body);
  }

  /** Security's answer. */
  readHs4(message: Uint8Array): CborFields {
    const { random, fields } = this.#readAnswer(MESSAGE_TYPES.HS4, message);
    this.#kept.serverRandom = random;
    return fields;
  }

  /** One more round of a step-up: what the device says. */
  writeStep(request: CborInput): Uint8Array {
    const sealed = this.#kept
      .transported()
      .sealing.seal(EMPTY, encodePadded(this.#kept.clientRandom, encodeCbor(request)));
    return encodeTyped(MESSAGE_TYPES.STEP, sealed);
  }

  /** Security's answer to a step. Keys go by the randomness of HS3 and HS4, whatever a step holds. */
  readStepReply(message: Uint8Array): CborFields {
    return this.#readAnswer(MESSAGE_TYPES.STEP_REPLY, message).fields;
  }

  /** What the session's keys are derived from. Only after HS4. */
  get outcome(): EstablishOutcome {
    return this.#kept.outcome;
  }

  /** Erases what keys are derived from, once they are. */
  erase(): void {
    this.#kept.erase();
  }

  #readAnswer(type: number, message: Uint8Array): { random: Uint8Array; fields: CborFields } {
    const payload = openTransport(this.#kept.transported(), decodeTyped(type, message));
    const { random, cbor } = decodePadded(payload);
    return { random, fields: CborFields.decode(cbor) };
  }
}

function openTransport(transport: Transport, sealed: Uint8Array): Uint8Array {
  try {
    return transport.opening.open(EMPTY, sealed);
  } catch (error) {
    throw handshakeError(error);
  }
}

function isTypable(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a);
}

/** The code's id behind the ML-KEM key: 1 to 16 bytes when enrolling, none otherwise. */
function readCodeId(role: Role, payload: Uint8Array): string | undefined {
  const at = KEM_KEY_BYTES + 2;
  const bytes = decodeUint(payload, KEM_KEY_BYTES, 2);
  demand(payload.length >= at + bytes, 'ERR_CHANNEL_MESSAGE', 'HS1 is too short');
  const fits = role === 'enrol' ? bytes >= 1 && bytes <= MAX_CODE_ID : bytes === 0;
  demand(fits, 'ERR_CHANNEL_MESSAGE', "the length of the code's id does not fit the role");
  const id = payload.subarray(at, at + bytes);
  demand(id.every(isTypable), 'ERR_CHANNEL_MESSAGE', "the code's id is not written as ids are");
  return role === 'enrol' ? decodeText(id) : undefined;
}

/** What Security answers HS1 with. */
export interface SecurityEstablishOptions {
  /** What the server has of cryptography. */
  readonly crypto: CryptoProvider;
  /** The realm of this server. */
  readonly realm: string;
  /** The static key pair that `kid` names. */
  readonly rs: KeyPair;
  /** The message HS1, whole. */
  readonly hs1: Uint8Array;
}

/**
 * Security's side of session establishment (SPEC.md, section 3).
 * Single use: read HS1 in the constructor, then writeHs2, readHs3, tryKey for each generation, writeHs4.
 */
export class SecurityEstablish {
  /** The role that HS1 names. */
  readonly role: Role;
  /** The suite that HS1 names. */
  readonly suite: Suite;
  /** Public part of the activation code; undefined in role session. */
  readonly codeId: string | undefined;
  readonly #crypto: CryptoProvider;
  readonly #noise: NoiseHandshake;
  readonly #kemKey: Uint8Array;
  #challenge: Uint8Array = EMPTY;
  #hashAfterHs2: Uint8Array = EMPTY;
  readonly #kept = new KeptSecrets();

  /** Reads HS1. @throws ChannelError ERR_CHANNEL_HANDSHAKE when HS1 was not made for this key. */
  constructor(options: SecurityEstablishOptions) {
    const hs1: Hs1 = decodeHs1(options.hs1);
    this.#crypto = options.crypto;
    this.role = hs1.role;
    this.suite = hs1.suite;
    this.#noise = new NoiseHandshake({
      crypto: options.crypto,
      suite: hs1.suite,
      pattern: XKpsk3,
      initiator: false,
      prologue: prologueOf(options.realm, hs1.head),
      static: options.rs,
    });
    const payload = this.#noise.readMessage(hs1.noise);
    demand(payload.length >= KEM_KEY_BYTES + 2, 'ERR_CHANNEL_MESSAGE', 'HS1 is too short');
    this.#kemKey = copyBytes(payload, 0, KEM_KEY_BYTES);
    this.codeId = readCodeId(hs1.role, payload);
  }

  /** `<- e, ee`; the ML-KEM work happens here. */
  writeHs2(serverTimeMs: number): Uint8Array {
    const { ciphertext, sharedSecret } = this.#crypto.encapsulate(this.#kemKey);
    this.#kept.kemSecret = sharedSecret;
    this.#challenge = this.#crypto.randomBytes(32);
    const payload = concat(ciphertext, this.#challenge, encodeUint(serverTimeMs, 8));
    const message = encodeTyped(MESSAGE_TYPES.HS2, this.#noise.writeMessage(payload));
    this.#hashAfterHs2 = this.#noise.hash;
    return message;
  }

  /** Reads HS3 as far as the device's static key, by which the installation is found. */
  readHs3(message: Uint8Array): PublicKey {
    this.#noise.readUntilPsk(decodeTyped(MESSAGE_TYPES.HS3, message));
    const deviceStatic = this.#noise.remoteStatic;
    if (!deviceStatic) throw handshakeError();
    return deviceStatic;
  }

  /** Tries one generation of the shared key, or the code's key when enrolling; undefined when it does not fit. */
  tryKey(key: SharedKey | CodeKey): CborFields | undefined {
    const psk = deriveEstablishPsk(this.#crypto, {
      suite: this.suite,
      role: this.role,
      key,
      kemSecret: this.#kept.kemSecret,
    });
    const payload = this.#noise.tryPsk(psk);
    if (!payload) return undefined;
    const { random, cbor } = decodePadded(payload);
    this.#kept.clientRandom = random;
    this.#kept.handshakeHash = this.#noise.hash;
    this.#kept.transport = this.#noise.split();
    this.#kept.serverRandom = this.#crypto.randomBytes(KEY_BYTES);
    return new CborFields(decodeCborMap(cbor));
  }

  /** The value that the device's fresh proofs must sign, 32 bytes. */
  get binding(): Uint8Array {
    const deviceStatic = this.#noise.remoteStatic;
    if (!deviceStatic) throw new TypeError('HS3 comes first');
    return deriveProofBinding(this.#crypto, {
      hashAfterHs2: this.#hashAfterHs2,
      challenge: this.#challenge,
      deviceStatic,
      role: this.role,
    });
  }

  /** Security's answer; its randomness is in `outcome` already, so keys can be stored before it is sent. */
  writeHs4(answer: CborInput): Uint8Array {
    return this.#writeAnswer(MESSAGE_TYPES.HS4, answer);
  }

  /** What the device says in one more round of a step-up. */
  readStep(message: Uint8Array): CborFields {
    const payload = openTransport(this.#kept.transported(), decodeTyped(MESSAGE_TYPES.STEP, message));
    return CborFields.decode(decodePadded(payload).cbor);
  }

  /** Security's answer to a step. */
  writeStepReply(answer: CborInput): Uint8Array {
    return this.#writeAnswer(MESSAGE_TYPES.STEP_REPLY, answer);
  }

  /** What the session's keys are derived from. Only after tryKey succeeded. */
  get outcome(): EstablishOutcome {
    return this.#kept.outcome;
  }

  /** Erases what keys are derived from, once the last answer is written. */
  erase(): void {
    this.#kept.erase();
  }

  #writeAnswer(type: number, answer: CborInput): Uint8Array {
    const payload = encodePadded(this.#kept.serverRandom, encodeCbor(answer));
    return encodeTyped(type, this.#kept.transported().sealing.seal(EMPTY, payload));
  }
}
