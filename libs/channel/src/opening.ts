import { concat, copyBytes, encodeText } from './bytes.ts';
import { CborFields, type CborInput, encodeCbor } from './cbor.ts';
import { type AppContext, decodeContext, encodeContext } from './context.ts';
import type { ChannelKey, CryptoProvider, SessionSecret } from './crypto.ts';
import { decodeTyped, encodeHelloHead, encodeTyped, type Hello, type HelloHead, MESSAGE_TYPES } from './messages.ts';
import { NNpsk0, NoiseHandshake, type Transport } from './noise.ts';
import { deriveChannelKey, deriveHelloMac } from './schedule.ts';

function prologueOf(beforeMac: Uint8Array): Uint8Array {
  return concat(encodeText('sallyport/1 channel'), beforeMac);
}

/** What a device opens a channel with. */
export interface DeviceOpeningOptions {
  /** What the device has of cryptography. */
  readonly crypto: CryptoProvider;
  /** Secret of the session. */
  readonly secret: SessionSecret;
  /** Head of the HELLO to write. */
  readonly hello: HelloHead;
  /** App context of this moment; it goes inside, sealed. */
  readonly context: AppContext;
}

/** The device's side of opening a channel (SPEC.md, section 5). Single use: writeHello, then readWelcome. */
export class DeviceOpening {
  readonly #noise: NoiseHandshake;
  readonly #hello: Uint8Array;

  /** Derives the key of the channel. */
  constructor(options: DeviceOpeningOptions) {
    const { crypto, secret, hello } = options;
    const beforeMac = encodeHelloHead(hello);
    const chanNo = copyBytes(beforeMac, 20, 28);
    this.#noise = new NoiseHandshake({
      crypto,
      suite: hello.suite,
      pattern: NNpsk0,
      initiator: true,
      prologue: prologueOf(beforeMac),
      psk: deriveChannelKey(crypto, secret, { ...hello, chanNo, mode: 1 }),
    });
    const noise = this.#noise.writeMessage(encodeContext(options.context));
    const mac = deriveHelloMac(crypto, secret, concat(beforeMac, noise));
    this.#hello = concat(beforeMac, mac, noise);
  }

  /** The message HELLO. */
  writeHello(): Uint8Array {
    return this.#hello;
  }

  /** What WELCOME says, and the ciphers of the channel. @throws ChannelError when the Proxy does not hold this channel's key. */
  readWelcome(message: Uint8Array): { fields: CborFields; transport: Transport } {
    const payload = this.#noise.readMessage(decodeTyped(MESSAGE_TYPES.WELCOME, message));
    return { fields: CborFields.decode(payload), transport: this.#noise.split() };
  }
}

/**
 * The Proxy's side of opening a channel (SPEC.md, section 5). Single use: readHello, then writeWelcome. It takes the
 * channel key over: WELCOME erases it.
 */
export class ProxyOpening {
  readonly #noise: NoiseHandshake;

  /** Begins with the key that the grant carries. */
  constructor(crypto: CryptoProvider, hello: Hello, channelKey: ChannelKey) {
    this.#noise = new NoiseHandshake({
      crypto,
      suite: hello.suite,
      pattern: NNpsk0,
      initiator: false,
      prologue: prologueOf(hello.beforeMac),
      psk: channelKey,
    });
  }

  /** The app context inside. @throws ChannelError when the HELLO was not made with this channel's key. */
  readHello(hello: Hello): AppContext {
    return decodeContext(this.#noise.readMessage(hello.noise));
  }

  /** The message WELCOME, and the ciphers of the channel. */
  writeWelcome(answer: CborInput): { message: Uint8Array; transport: Transport } {
    const message = encodeTyped(MESSAGE_TYPES.WELCOME, this.#noise.writeMessage(encodeCbor(answer)));
    return { message, transport: this.#noise.split() };
  }
}
