import type { Socket } from 'node:net';
import {
  ChannelError,
  type CryptoProvider,
  decodeHello,
  decodeHs1,
  decodeSessionAsk,
  decodeSessionEnd,
  encodeHint,
  formatHex,
  HINT_CODES,
  type HintCode,
  MESSAGE_TYPES,
  messageType,
  ProxyOpening,
} from '@sallyport/channel';
import { checkContext } from '@sallyport/lease';
import { SecurityClientError } from '@sallyport/security-client';
import type { Admission, Place } from './admission.ts';
import { type ChannelSocket, DeviceChannel, resourceList } from './channel.ts';
import type { Farm } from './channels.ts';
import { RecordSocket } from './record-socket.ts';

/** A socket that says nothing at all is closed after this, ms. */
const FIRST_MESSAGE_MS = 5_000;
/** A socket is closed that has not moved on after the last handshake answer, ms; a person may take longer. */
const NEXT_MESSAGE_MS = 10_000;
const STEP_MS = 120_000;
/** A channel on which nothing arrives is closed after this, ms; devices ping every 25 s. */
const IDLE_MS = 90_000;
/** Bytes the peer does not read: the socket is closed when they stay above for so long. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;
const BACKLOG_GRACE_MS = 30_000;
const RETRY_MS = 1_000;
/** A socket without a channel ends with its third hint, and after so many answers of any kind. */
const MAX_HINTS = 3;
const MAX_ANSWERS = 16;
/** Too many strangers' HELLOs: closed so, after the hint BUSY (RFC 6455, section 7.4.1: policy). */
const POLICY = 1008;

/** A socket whose handshake is done. */
export interface AcceptedSocket {
  readonly socket: Socket;
  /** The device's address. */
  readonly address: string;
  readonly place: Place;
}

/** What a socket for devices needs. */
export interface DeviceSocketParts {
  readonly farm: Farm;
  readonly crypto: CryptoProvider;
  readonly admission: Admission;
}

/** One device's socket, from its first byte to its channel (SPEC.md, section 2). */
export class DeviceSocket implements ChannelSocket {
  readonly address: string;
  readonly #farm: Farm;
  readonly #crypto: CryptoProvider;
  readonly #socket: RecordSocket;
  readonly #admission: Admission;
  readonly #place: Place;
  #hints = 0;
  #answers = 0;
  #channel: DeviceChannel | undefined;
  #handshake: { readonly url: string; readonly id: string } | undefined;
  #busy = false;
  /** A step-up is open: Security waits for a person. */
  #stepping = false;
  #timer: NodeJS.Timeout;
  #heardAt = performance.now();
  #backlogSince: number | undefined;

  constructor({ farm, crypto, admission }: DeviceSocketParts, accepted: AcceptedSocket) {
    this.#farm = farm;
    this.#crypto = crypto;
    this.#admission = admission;
    this.#place = accepted.place;
    this.address = accepted.address;
    this.#timer = setTimeout(() => this.#socket.destroy(), FIRST_MESSAGE_MS);
    this.#socket = new RecordSocket(accepted.socket, {
      message: (bytes) => this.#receive(bytes),
      drained: () => this.#channel?.drained(),
      closed: () => {
        clearTimeout(this.#timer);
        this.#channel?.destroy('CANCELLED');
      },
      failed: (error) => {
        this.#farm.log.error({ err: error }, 'a socket could not be served');
        this.#channel?.destroy('CANCELLED');
      },
    });
  }

  /** True once a channel stands on this socket. */
  get established(): boolean {
    return this.#channel !== undefined;
  }

  outgoing(bytes: number): Uint8Array {
    return this.#socket.outgoing(bytes);
  }

  transmit(record: Uint8Array): void {
    this.#socket.transmit(record);
  }

  bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  close(code: number): void {
    this.#socket.close(code);
  }

  get gone(): boolean {
    return this.#socket.destroyed;
  }

  restFor(ms: number): void {
    this.#socket.restFor(ms);
  }

  /** Ends what is silent, and what does not read. */
  sweep(now: number): void {
    if (this.bufferedBytes() < MAX_BACKLOG_BYTES) this.#backlogSince = undefined;
    else this.#backlogSince ??= now;
    const stuck = this.#backlogSince !== undefined && now - this.#backlogSince > BACKLOG_GRACE_MS;
    if (stuck || now - this.#heardAt > IDLE_MS) this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    this.#heardAt = performance.now();
    if (this.#channel) return this.#channel.receive(bytes);
    // One message at a time: a device waits for the answer before it goes on.
    if (this.#busy) return this.close(1002);
    this.#busy = true;
    clearTimeout(this.#timer);
    void this.#answer(bytes)
      .catch((error: unknown) => {
        this.#farm.log.error({ err: error }, 'a message could not be answered');
        this.#socket.destroy();
      })
      .finally(() => this.#answered());
  }

  #answered(): void {
    this.#busy = false;
    this.#answers += 1;
    if (this.#channel || this.gone) return;
    if (this.#hints >= MAX_HINTS || this.#answers >= MAX_ANSWERS) return this.close(POLICY);
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#stepping ? STEP_MS : NEXT_MESSAGE_MS);
  }

  async #answer(message: Buffer): Promise<void> {
    try {
      await this.#advance(message);
    } catch (error) {
      this.#hint(hintOf(error), RETRY_MS);
      if (!(error instanceof ChannelError)) return this.#farm.unserved(error);
      this.#farm.refused(this.address, error.message);
      this.close(1002);
    }
  }

  async #advance(message: Buffer): Promise<void> {
    switch (messageType(message)) {
      case MESSAGE_TYPES.HS1:
        return this.#begin(message);
      case MESSAGE_TYPES.HS3:
      case MESSAGE_TYPES.STEP:
        return this.#finish(message);
      case MESSAGE_TYPES.HELLO:
        return this.#open(message);
      case MESSAGE_TYPES.END:
        decodeSessionEnd(MESSAGE_TYPES.END, message);
        return this.#ofSession(message);
      case MESSAGE_TYPES.ASK:
        decodeSessionAsk(message);
        return this.#ofSession(message);
      default:
        throw new ChannelError('ERR_CHANNEL_MESSAGE', 'the message type is not known');
    }
  }

  async #begin(hs1: Buffer): Promise<void> {
    decodeHs1(hs1);
    const { message, handshake } = await this.#farm.security.beginHandshake(hs1, this.address);
    this.#handshake = handshake;
    this.#socket.send(message);
  }

  /** HS3, and each STEP of a step-up after it: always to the node that has the handshake. */
  async #finish(sent: Buffer): Promise<void> {
    const handshake = this.#handshake;
    this.#handshake = undefined;
    if (!handshake) return this.#hint('HANDSHAKE_EXPIRED');
    const answer = await this.#farm.security.finishHandshake(handshake, sent, this.address);
    this.#handshake = answer.handshake;
    this.#stepping = answer.handshake !== undefined;
    this.#socket.send(answer.message);
  }

  /** A device ends a session of its own, or asks how it stands; only Security can tell whether it may. */
  async #ofSession(message: Buffer): Promise<void> {
    this.#socket.send(await this.#farm.security.endSession(message, this.address));
  }

  async #open(message: Buffer): Promise<void> {
    const hello = decodeHello(message);
    if (this.#farm.draining || !this.#farm.mayServe()) return this.#hint('UNAVAILABLE', RETRY_MS);
    const from = { address: this.address, sid: formatHex(hello.sid) };
    const waitMs = this.#admission.helloWaitMs(from, performance.now());
    if (waitMs > 0) return this.#hint('BUSY', waitMs);
    const answer = await this.#farm.security.authorize(message, this.address);
    // The socket may have gone meanwhile: a channel on it would be kept by nobody.
    if (this.gone) return;
    if ('hint' in answer)
      return this.#hint(
        Object.hasOwn(HINT_CODES, answer.hint) ? (answer.hint as HintCode) : 'DENIED',
        answer.retryAfterMs,
      );
    const { channelKey } = answer;
    const grant = this.#farm.shared(answer.grant);
    const opening = new ProxyOpening(this.#crypto, hello, channelKey);
    const context = opening.readHello(hello);
    // What was revoked while Security was answering, and whether we may still serve at all.
    if (!this.#farm.mayServe()) return this.#hint('UNAVAILABLE', RETRY_MS);
    const welcome = opening.writeWelcome({
      proxy: this.#farm.name,
      limits: {
        open_burst: grant.limits.openBurst,
        open_rate: grant.limits.openRate,
        channels: this.#farm.limitsOf(grant).session,
      },
      expires_in: grant.expiresInMs,
      resources: resourceList(grant),
      notices: [],
    });
    this.#socket.send(welcome.message);
    const channel = new DeviceChannel({ farm: this.#farm, socket: this, grant, context, transport: welcome.transport });
    this.#channel = channel;
    this.#place.leave();
    this.#admission.proved(from, performance.now());
    this.#farm.keep(channel);
    clearTimeout(this.#timer);
    const denied = checkContext(grant.context, context);
    if (denied) return channel.end(denied);
    channel.use(grant);
  }

  #hint(code: HintCode, retryAfterMs = 0): void {
    this.#hints += 1;
    this.#socket.send(encodeHint(code, retryAfterMs));
  }
}

/** Security out of reach is "unavailable", never "unknown". */
function hintOf(error: unknown): HintCode {
  if (error instanceof SecurityClientError) return error.code === 'ERR_SECURITY_REFUSED' ? 'DENIED' : 'UNAVAILABLE';
  if (!(error instanceof ChannelError)) return 'UNAVAILABLE';
  if (error.code === 'ERR_CHANNEL_VERSION') return 'VERSION';
  if (error.code === 'ERR_CHANNEL_SUITE') return 'SUITE';
  return error.code === 'ERR_CHANNEL_HANDSHAKE' ? 'HANDSHAKE_FAILED' : 'BAD_MESSAGE';
}
