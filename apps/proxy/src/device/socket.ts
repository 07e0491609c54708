import type { Socket } from 'node:net';
import {
  type CborInput,
  ChannelError,
  type CryptoProvider,
  decodeHello,
  decodeHs1,
  decodeSessionAsk,
  decodeSessionEnd,
  encodeCbor,
  encodeHint,
  formatHex,
  HINT_CODES,
  type HintCode,
  MESSAGE_TYPES,
  messageType,
  ProxyOpening,
} from '@sallyport/channel';
import { checkFacts, refusesVersion } from '@sallyport/lease';
import { type ReadAgain, SecurityClientError } from '@sallyport/security-client';
import type { Serving } from '../serving/serving.ts';
import type { SiteMapCache } from '../serving/site-map.ts';
import type { SocketAdmission, SocketPlace } from './admission.ts';
import { DeviceChannel } from './channel.ts';
import { type Channels, channelCountsOf } from './channels.ts';
import { RecordSocket } from './record-socket.ts';
import { resourceList } from './resource-list.ts';

/** A socket that says nothing at all is closed after this, ms. */
const FIRST_MESSAGE_MS = 5_000;
/** A socket is closed that has not moved on after the last handshake answer, ms; a person may take longer. */
const NEXT_MESSAGE_MS = 10_000;
const STEP_MS = 120_000;
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
  readonly place: SocketPlace;
}

/** What a socket for devices needs. */
export interface DeviceSocketParts {
  readonly serving: Serving;
  readonly channels: Channels;
  readonly crypto: CryptoProvider;
  readonly admission: SocketAdmission;
  readonly siteMap: Pick<SiteMapCache, 'seq'>;
}

/** One device's socket, from its first byte to its channel (SPEC.md, section 2). */
export class DeviceSocket {
  readonly #address: string;
  readonly #serving: Serving;
  readonly #channels: Channels;
  readonly #crypto: CryptoProvider;
  readonly #socket: RecordSocket;
  readonly #admission: SocketAdmission;
  readonly #siteMap: Pick<SiteMapCache, 'seq'>;
  readonly #place: SocketPlace;
  #hints = 0;
  #answers = 0;
  #channel: DeviceChannel | undefined;
  #handshake: { readonly url: string; readonly id: string } | undefined;
  #busy = false;
  /** A step-up is open: Security waits for a person. */
  #stepping = false;
  #timer: NodeJS.Timeout;

  constructor({ serving, channels, crypto, admission, siteMap }: DeviceSocketParts, accepted: AcceptedSocket) {
    this.#serving = serving;
    this.#channels = channels;
    this.#crypto = crypto;
    this.#admission = admission;
    this.#siteMap = siteMap;
    this.#place = accepted.place;
    this.#address = accepted.address;
    this.#timer = setTimeout(() => this.#socket.destroy(), FIRST_MESSAGE_MS);
    this.#socket = new RecordSocket(accepted.socket, {
      message: (bytes) => this.#receive(bytes),
      drained: () => this.#channel?.drained(),
      closed: () => {
        clearTimeout(this.#timer);
        this.#channel?.destroy('CANCELLED');
      },
      failed: (error) => {
        this.#serving.log.error({ err: error }, 'a socket could not be served');
        this.#channel?.destroy('CANCELLED');
      },
    });
  }

  #receive(bytes: Buffer): void {
    if (this.#channel) return this.#channel.receive(bytes);
    // One message at a time: a device waits for the answer before it goes on.
    if (this.#busy) return this.#socket.close(1002);
    this.#busy = true;
    clearTimeout(this.#timer);
    void this.#answer(bytes)
      .catch((error: unknown) => {
        this.#serving.log.error({ err: error }, 'a message could not be answered');
        this.#socket.destroy();
      })
      .finally(() => this.#answered());
  }

  #answered(): void {
    this.#busy = false;
    this.#answers += 1;
    if (this.#channel || this.#socket.destroyed) return;
    if (this.#hints >= MAX_HINTS || this.#answers >= MAX_ANSWERS) return this.#socket.close(POLICY);
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#stepping ? STEP_MS : NEXT_MESSAGE_MS);
  }

  async #answer(message: Buffer): Promise<void> {
    try {
      await this.#advance(message);
    } catch (error) {
      this.#hint(hintOf(error), RETRY_MS);
      if (!(error instanceof ChannelError)) return this.#serving.unserved(error);
      this.#serving.refused(this.#address, error.message);
      this.#socket.close(1002);
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
    const { message, handshake } = await this.#serving.security.beginHandshake(hs1, this.#address);
    this.#handshake = handshake;
    this.#socket.send(message);
  }

  /** HS3, and each STEP of a step-up after it: always to the node that has the handshake. */
  async #finish(sent: Buffer): Promise<void> {
    const handshake = this.#handshake;
    this.#handshake = undefined;
    if (!handshake) return this.#hint('HANDSHAKE_EXPIRED');
    const answer = await this.#serving.security.finishHandshake(handshake, sent, this.#address);
    this.#handshake = answer.handshake;
    this.#stepping = answer.handshake !== undefined;
    this.#socket.send(answer.message);
  }

  /** A device ends a session of its own, or asks how it stands; only Security can tell whether it may. */
  async #ofSession(message: Buffer): Promise<void> {
    this.#socket.send(await this.#serving.security.endSession(message, this.#address));
  }

  async #open(message: Buffer): Promise<void> {
    const hello = decodeHello(message);
    if (this.#channels.draining || !this.#serving.mayServe()) return this.#hint('UNAVAILABLE', RETRY_MS);
    const from = { address: this.#address, sid: formatHex(hello.sid) };
    const waitMs = this.#admission.helloWaitMs(from, performance.now());
    if (waitMs > 0) return this.#hint('BUSY', waitMs);
    const answer = await this.#serving.security.authorise(message, this.#address);
    // The socket may have gone meanwhile: a channel on it would be kept by nobody.
    if (this.#socket.destroyed) return;
    if ('hint' in answer)
      return this.#hint(
        Object.hasOwn(HINT_CODES, answer.hint) ? (answer.hint as HintCode) : 'DENIED',
        answer.retryAfterMs,
      );
    const { channelKey } = answer;
    const grant = this.#serving.shared(answer.grant);
    const opening = new ProxyOpening(this.#crypto, hello, channelKey);
    const context = opening.readHello(hello);
    // What was revoked while Security was answering, and whether we may still serve at all.
    if (!this.#serving.mayServe()) return this.#hint('UNAVAILABLE', RETRY_MS);
    const { seq: siteMapSeq } = this.#siteMap;
    const { said, later } = welcomeOf(this.#serving.name, { ...answer, grant }, siteMapSeq);
    const welcome = opening.writeWelcome(said);
    this.#socket.send(welcome.message);
    const channel = new DeviceChannel({
      serving: this.#serving,
      listener: this.#channels,
      socket: this.#socket,
      address: this.#address,
      grant,
      context,
      transport: welcome.transport,
      siteMapSeq,
    });
    this.#channel = channel;
    this.#place.leave();
    this.#admission.proved(from, performance.now());
    this.#channels.keep(channel);
    clearTimeout(this.#timer);
    const denied = checkFacts(grant.context, context);
    if (denied) return channel.end(denied, refusesVersion(grant.context, context) ? 'app' : undefined);
    channel.use({ grant, asOfHash: answer.asOfHash, routes: later });
  }

  #hint(code: HintCode, retryAfterMs = 0): void {
    this.#hints += 1;
    this.#socket.send(encodeHint(code, retryAfterMs));
  }
}

/** Bytes of what WELCOME says at most: what is around it must fit into the largest message, too. */
const MAX_WELCOME_BYTES = 60_000;

/** What WELCOME says. Routes that would not fit follow it in a notice. */
function welcomeOf(
  proxy: string,
  { grant, routes }: Pick<ReadAgain, 'grant' | 'routes'>,
  siteMapSeq: number | undefined,
): { readonly said: CborInput; readonly later: Uint8Array | undefined } {
  const { openBurst, openRate } = grant.limits;
  const said = {
    proxy,
    limits: { open_burst: openBurst, open_rate: openRate, channels: channelCountsOf(grant).session },
    expires_in: grant.expiresInMs,
    resources: resourceList(grant),
    notices: [],
    ...(siteMapSeq === undefined ? {} : { site_map_seq: siteMapSeq }),
  };
  if (!routes) return { said, later: undefined };
  const fits = encodeCbor(said).length + routes.length <= MAX_WELCOME_BYTES;
  return fits ? { said: { ...said, routes }, later: undefined } : { said, later: routes };
}

/** Security out of reach is "unavailable", never "unknown". */
function hintOf(error: unknown): HintCode {
  if (error instanceof SecurityClientError) return error.code === 'ERR_SECURITY_REFUSED' ? 'DENIED' : 'UNAVAILABLE';
  if (!(error instanceof ChannelError)) return 'UNAVAILABLE';
  if (error.code === 'ERR_CHANNEL_VERSION') return 'VERSION';
  if (error.code === 'ERR_CHANNEL_SUITE') return 'SUITE';
  return error.code === 'ERR_CHANNEL_HANDSHAKE' ? 'HANDSHAKE_FAILED' : 'BAD_MESSAGE';
}
