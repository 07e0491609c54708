import { concat, copyBytes, EMPTY, encodeText } from './bytes.ts';
import {
  type AeadKey,
  type CryptoProvider,
  handshakeError,
  KEY_BYTES,
  type KeyPair,
  NONCE_BYTES,
  type PublicKey,
  publicKeyOf,
  type Suite,
  TAG_BYTES,
} from './crypto.ts';
import { ChannelError } from './errors.ts';

/** Tokens of a message pattern (Noise, revision 34, sections 7 and 9). */
export type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';

/** A handshake pattern: what is known beforehand and the tokens of each message, the initiator's first. */
export interface Pattern {
  /** Its name in the protocol name (section 8). */
  readonly name: string;
  /** The responder knows the initiator's static key beforehand. */
  readonly initiatorKnown?: boolean;
  /** The initiator knows the responder's static key beforehand. */
  readonly responderKnown?: boolean;
  /** Tokens of each message, in their order. */
  readonly messages: readonly (readonly Token[])[];
}

/** `<- s ... -> e, es <- e, ee -> s, se, psk`: session establishment with Security. */
export const XKpsk3: Pattern = {
  name: 'XKpsk3',
  responderKnown: true,
  messages: [
    ['e', 'es'],
    ['e', 'ee'],
    ['s', 'se', 'psk'],
  ],
};

/** `-> psk, e <- e, ee`: a channel with a Proxy. */
export const NNpsk0: Pattern = {
  name: 'NNpsk0',
  messages: [
    ['psk', 'e'],
    ['e', 'ee'],
  ],
};

/** Nonces at and above this number are never used for data (2^64 - 1 is Rekey's, and JavaScript counts to 2^53). */
const NONCE_LIMIT = 2 ** 53 - 1;
const ZEROS = new Uint8Array(KEY_BYTES);
const CIPHER_NAMES = { 1: 'ChaChaPoly', 2: 'AESGCM' } as const;

/** The nonce of the call that is going on, for all ciphers: whoever seals or opens is done with it when the call returns. */
const nonce = new Uint8Array(NONCE_BYTES);
const nonceView = new DataView(nonce.buffer);

/**
 * One key, one direction, one counter (Noise, section 5.1). A failed open leaves the counter where it was.
 * Not shared.
 */
export class CipherState {
  readonly #crypto: CryptoProvider;
  readonly #suite: Suite;
  #key: AeadKey;
  #count = 0;

  /** Takes a key of 32 bytes; the counter begins at 0. */
  constructor(crypto: CryptoProvider, suite: Suite, key: Uint8Array) {
    this.#crypto = crypto;
    this.#suite = suite;
    this.#key = crypto.aead(suite, key);
  }

  /** Messages sealed or opened so far. */
  get count(): number {
    return this.#count;
  }

  /** Seals, into `out` when given. @throws ChannelError ERR_CHANNEL_EXHAUSTED when the counter is at its end. */
  seal(ad: Uint8Array, plaintext: Uint8Array, out?: Uint8Array): Uint8Array {
    const sealed = this.#key.seal(this.#counterNonce(), ad, plaintext, out);
    this.#count += 1;
    return sealed;
  }

  /**
   * Opens, perhaps into `out`, which may lie over the ciphertext.
   * @throws ChannelError ERR_CHANNEL_OPEN when the bytes were not sealed under this key, number and `ad`.
   */
  open(ad: Uint8Array, ciphertext: Uint8Array, out?: Uint8Array): Uint8Array {
    const plaintext = this.#key.open(this.#counterNonce(), ad, ciphertext, out);
    this.#count += 1;
    return plaintext;
  }

  /** Replaces the key by one that the old key derives (Noise, section 4.2); the counter goes on. */
  rekey(): void {
    nonce.fill(0xff, 4);
    const sealed = this.#key.seal(nonce, EMPTY, ZEROS);
    this.#key = this.#crypto.aead(this.#suite, copyBytes(sealed, 0, KEY_BYTES));
  }

  #counterNonce(): Uint8Array {
    if (this.#count >= NONCE_LIMIT) throw new ChannelError('ERR_CHANNEL_EXHAUSTED', 'the key has no nonces left');
    const littleEndian = this.#suite === 1;
    const low = this.#count % 2 ** 32;
    const high = Math.floor(this.#count / 2 ** 32);
    nonceView.setUint32(4, littleEndian ? low : high, littleEndian);
    nonceView.setUint32(8, littleEndian ? high : low, littleEndian);
    return nonce;
  }
}

/** HKDF of Noise (section 4.3): two or three outputs of 32 bytes. */
function noiseHkdf(crypto: CryptoProvider, chainingKey: Uint8Array, input: Uint8Array, outputs: 2 | 3): Uint8Array[] {
  const temp = crypto.hmacSha256(chainingKey, input);
  const derived: Uint8Array[] = [];
  let previous = EMPTY;
  for (let i = 1; i <= outputs; i++) {
    previous = crypto.hmacSha256(temp, concat(previous, Uint8Array.of(i)));
    derived.push(previous);
  }
  return derived;
}

/** Chaining key, transcript hash and handshake cipher (Noise, section 5.2). */
class SymmetricState {
  readonly #crypto: CryptoProvider;
  readonly #suite: Suite;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #key: AeadKey | undefined;
  #count = 0;

  constructor(crypto: CryptoProvider, suite: Suite, protocolName: string) {
    const name = encodeText(protocolName);
    this.#crypto = crypto;
    this.#suite = suite;
    this.#hash = name.length <= 32 ? concat(name, new Uint8Array(32 - name.length)) : crypto.sha256(name);
    this.#chainingKey = this.#hash;
  }

  get hash(): Uint8Array {
    return this.#hash;
  }

  clone(): SymmetricState {
    const copy = new SymmetricState(this.#crypto, this.#suite, '');
    copy.#chainingKey = this.#chainingKey;
    copy.#hash = this.#hash;
    copy.#key = this.#key;
    copy.#count = this.#count;
    return copy;
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = this.#crypto.sha256(concat(this.#hash, bytes));
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = noiseHkdf(this.#crypto, this.#chainingKey, input, 2);
    this.#chainingKey = chainingKey!;
    this.#useKey(key!);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key] = noiseHkdf(this.#crypto, this.#chainingKey, input, 3);
    this.#chainingKey = chainingKey!;
    this.mixHash(hash!);
    this.#useKey(key!);
  }

  get keyed(): boolean {
    return this.#key !== undefined;
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#key ? this.#key.seal(this.#nonce(), this.#hash, plaintext) : plaintext;
    this.#count += 1;
    this.mixHash(sealed);
    return sealed;
  }

  decryptAndHash(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#key ? this.#key.open(this.#nonce(), this.#hash, ciphertext) : ciphertext;
    this.#count += 1;
    this.mixHash(ciphertext);
    return plaintext;
  }

  /** Both keys; what they come from is erased. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = noiseHkdf(this.#crypto, this.#chainingKey, EMPTY, 2);
    this.#chainingKey.fill(0);
    this.#key = undefined;
    return [first!, second!];
  }

  #useKey(key: Uint8Array): void {
    this.#key = this.#crypto.aead(this.#suite, key);
    this.#count = 0;
  }

  /** A handshake seals a handful of messages per key, so the counter is one byte. */
  #nonce(): Uint8Array {
    const nonce = new Uint8Array(NONCE_BYTES);
    nonce[this.#suite === 1 ? 4 : NONCE_BYTES - 1] = this.#count;
    return nonce;
  }
}

/**
 * What a side of a handshake starts from. The handshake takes `psk` over and erases it at its end. `ephemeral` is for
 * vectors only.
 */
export interface HandshakeOptions {
  /** What this side has of cryptography. */
  readonly crypto: CryptoProvider;
  /** Cipher of the protocol name. */
  readonly suite: Suite;
  /** The pattern that both sides follow. */
  readonly pattern: Pattern;
  /** True for the side that writes the first message. */
  readonly initiator: boolean;
  /** Bytes that both sides must have the same (section 6). */
  readonly prologue: Uint8Array;
  /** This side's static key pair, where the pattern has one. */
  readonly static?: KeyPair;
  /** The peer's static key, where it is known beforehand. */
  readonly remoteStatic?: PublicKey;
  /** Pre-shared key of 32 bytes (section 9); taken over and erased. It may come later, by `usePsk`. */
  readonly psk?: Uint8Array;
  /** Only for tests with vectors: the ephemeral key pair. */
  readonly ephemeral?: KeyPair;
}

/** The two ciphers a finished handshake leaves: ours to seal with, the peer's to open. */
export interface Transport {
  /** For what this side sends. */
  readonly sealing: CipherState;
  /** For what the peer sends. */
  readonly opening: CipherState;
}

/**
 * One run of a Noise handshake (section 5.3), one side of it. Single use: any failure ends it.
 * @throws ChannelError ERR_CHANNEL_HANDSHAKE from every method that reads, whatever did not fit.
 */
export class NoiseHandshake {
  readonly #options: HandshakeOptions;
  #symmetric: SymmetricState;
  #ephemeral: KeyPair | undefined;
  #remoteEphemeral: PublicKey | undefined;
  #remoteStatic: PublicKey | undefined;
  #psk: Uint8Array | undefined;
  #step = 0;
  #suspended: { readonly rest: Uint8Array; readonly tokens: readonly Token[] } | undefined;

  /** Begins one run. */
  constructor(options: HandshakeOptions) {
    const { crypto, suite, pattern, initiator } = options;
    this.#options = options;
    this.#psk = options.psk;
    this.#remoteStatic = options.remoteStatic;
    this.#symmetric = new SymmetricState(crypto, suite, `Noise_${pattern.name}_25519_${CIPHER_NAMES[suite]}_SHA256`);
    this.#symmetric.mixHash(options.prologue);
    if (pattern.initiatorKnown) this.#symmetric.mixHash(this.#knownStatic(initiator));
    if (pattern.responderKnown) this.#symmetric.mixHash(this.#knownStatic(!initiator));
  }

  /** Transcript hash `h`; final once every message is through. */
  get hash(): Uint8Array {
    return this.#symmetric.hash;
  }

  /** The peer's static key, once it is known. */
  get remoteStatic(): PublicKey | undefined {
    return this.#remoteStatic;
  }

  /** Sets the psk of a pattern that needs it later than the start; it is taken over, too. */
  usePsk(psk: Uint8Array): void {
    this.#psk = psk;
  }

  /** Writes the next message around a payload. */
  writeMessage(payload: Uint8Array): Uint8Array {
    const parts = this.#nextTokens(true).map((token) => this.#writeToken(token));
    return concat(...parts, this.#symmetric.encryptAndHash(payload));
  }

  /** Reads the next message and gives its payload. */
  readMessage(message: Uint8Array): Uint8Array {
    return guarded(() => {
      let rest = message;
      for (const token of this.#nextTokens(false)) rest = this.#readToken(token, rest);
      return this.#symmetric.decryptAndHash(rest);
    });
  }

  /** Reads the next message up to its `psk` token, so that the psk can be chosen by the peer's static key. */
  readUntilPsk(message: Uint8Array): void {
    guarded(() => {
      const tokens = this.#nextTokens(false);
      const at = tokens.indexOf('psk');
      let rest = message;
      for (const token of tokens.slice(0, at)) rest = this.#readToken(token, rest);
      this.#suspended = { rest, tokens: tokens.slice(at) };
    });
  }

  /** Goes on with one candidate; undefined when it does not fit, and then another may be tried. */
  tryPsk(psk: Uint8Array): Uint8Array | undefined {
    const suspended = this.#suspended;
    if (!suspended) throw new TypeError('no message waits for a psk');
    const before = this.#symmetric;
    this.#symmetric = before.clone();
    this.#psk = psk;
    try {
      let rest = suspended.rest;
      for (const token of suspended.tokens) rest = this.#readToken(token, rest);
      const payload = this.#symmetric.decryptAndHash(rest);
      this.#suspended = undefined;
      return payload;
    } catch (error) {
      this.#symmetric = before;
      psk.fill(0);
      if (error instanceof ChannelError) return undefined;
      throw error;
    }
  }

  /** The transport ciphers (Noise, section 5.2, Split). Only after the last message, and once: secrets are erased. */
  split(): Transport {
    if (this.#step < this.#options.pattern.messages.length || this.#suspended) {
      throw new TypeError('the handshake is not finished');
    }
    const { crypto, suite, initiator } = this.#options;
    const [first, second] = this.#symmetric.split();
    this.#psk?.fill(0);
    this.#ephemeral?.secretKey.fill(0);
    const toResponder = new CipherState(crypto, suite, first);
    const toInitiator = new CipherState(crypto, suite, second);
    return initiator ? { sealing: toResponder, opening: toInitiator } : { sealing: toInitiator, opening: toResponder };
  }

  #nextTokens(writing: boolean): readonly Token[] {
    const ours = (this.#step % 2 === 0) === this.#options.initiator;
    const tokens = this.#options.pattern.messages[this.#step];
    if (!tokens || ours !== writing || this.#suspended) throw new TypeError('it is not the turn of this message');
    this.#step += 1;
    return tokens;
  }

  #writeToken(token: Token): Uint8Array {
    if (token === 'e') return this.#writeEphemeral();
    if (token === 's') return this.#symmetric.encryptAndHash(this.#ownStatic().publicKey);
    this.#mixToken(token);
    return EMPTY;
  }

  #writeEphemeral(): Uint8Array {
    this.#ephemeral = this.#options.ephemeral ?? this.#options.crypto.generateKeyPair();
    this.#mixEphemeral(this.#ephemeral.publicKey);
    return this.#ephemeral.publicKey;
  }

  #readToken(token: Token, message: Uint8Array): Uint8Array {
    if (token === 'e') {
      this.#remoteEphemeral = publicKeyOf(copyBytes(message, 0, KEY_BYTES));
      this.#mixEphemeral(this.#remoteEphemeral);
      return message.subarray(KEY_BYTES);
    }
    if (token === 's') {
      const length = KEY_BYTES + (this.#symmetric.keyed ? TAG_BYTES : 0);
      if (message.length < length) throw handshakeError();
      this.#remoteStatic = publicKeyOf(this.#symmetric.decryptAndHash(message.subarray(0, length)));
      return message.subarray(length);
    }
    this.#mixToken(token);
    return message;
  }

  /** In patterns with a psk every `e` is mixed into the key as well (Noise, section 9.2). */
  #mixEphemeral(publicKey: PublicKey): void {
    this.#symmetric.mixHash(publicKey);
    if (this.#options.pattern.name.includes('psk')) this.#symmetric.mixKey(publicKey);
  }

  #mixToken(token: Exclude<Token, 'e' | 's'>): void {
    if (token === 'psk') {
      if (!this.#psk) throw new TypeError('the pattern needs a psk');
      this.#symmetric.mixKeyAndHash(this.#psk);
      return;
    }
    // The first letter is the initiator's key, the second the responder's.
    const [ours, theirs] = this.#options.initiator ? [token[0], token[1]] : [token[1], token[0]];
    const own = ours === 'e' ? this.#ephemeral : this.#ownStatic();
    const remote = theirs === 'e' ? this.#remoteEphemeral : this.#remoteStatic;
    if (!own || !remote) throw new TypeError(`the key of token ${token} is missing`);
    this.#symmetric.mixKey(this.#options.crypto.dh(own.secretKey, remote));
  }

  #ownStatic(): KeyPair {
    if (!this.#options.static) throw new TypeError('the pattern needs a static key');
    return this.#options.static;
  }

  #knownStatic(own: boolean): PublicKey {
    const key = own ? this.#ownStatic().publicKey : this.#remoteStatic;
    if (!key) throw new TypeError('the pattern needs the static key of the peer');
    return key;
  }
}

/** Turns every failure of a read into the one handshake error, so that none tells more than another. */
function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw handshakeError(error);
  }
}
