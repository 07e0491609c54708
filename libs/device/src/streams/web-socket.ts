import {
  ChannelError,
  type ChannelStream,
  decodeText,
  decodeWsClose,
  EMPTY,
  encodeRequestHead,
  encodeText,
  encodeWsClose,
  encodeWsPiece,
  encodeWsPieces,
  type Field,
  findSignedCode,
  MAX_WS_REASON_BYTES,
  type ResponseHead,
  responseDecoder,
  SIGNED_CODES,
  type StreamSink,
  WIDEST_HEAD,
  WS_OPCODES,
  type WsMessage,
  WsMessageDecoder,
  withoutFinalDot,
} from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';
import { ContentSource } from './content-source.ts';
import { type CallResponse, checkHead } from './http-call.ts';

/** What opens streams to resources: the channel of a device, or the far end of a test. */
export interface StreamOpener {
  /** Where it leads to; absent at the far end of a test. */
  readonly place?: {
    /** Name of the site. */
    readonly site: string;
  };
  /** Opens a stream of a kind (SPEC.md, section 7) as soon as the limits of the Proxy allow. @throws DeviceError CONNECTION_LOST */
  openStream(kind: number, sink: StreamSink): Promise<ChannelStream>;
  /** Says that somebody waits for an answer, until the function that it gives is called. */
  expect(): () => void;
}

/** Gives what is to open a stream to an authority, connecting first if need be. */
export type StreamSource = (authority: string) => Promise<StreamOpener>;

/** What a WebSocket is asked for with, beside its URL. */
export interface WebSocketOptions {
  /** Subprotocols, the one that is liked best first. */
  readonly protocols?: string | readonly string[];
  /**
   * Fields of the handshake, like Cookie, Authorization or Origin: what a browser would send by itself is the app's to say. Names
   * may stand several times in a list of pairs.
   */
  readonly headers?: Readonly<Record<string, string>> | Iterable<readonly [name: string, value: string]>;
  /** Path and query as they go out, byte by byte; absent: those of the URL as a URL parser writes them. */
  readonly path?: string;
  /** Bytes of the largest message that is taken; the gateway lets none pass that is longer than its resource allows. */
  readonly maxMessageBytes?: number;
  /** Takes the answer of a server that does not want the WebSocket; whoever takes it reads or cancels its body. */
  readonly refused?: (response: CallResponse) => void;
}

/**
 * A WebSocket through the gateway with the events and methods of the browser's one (`open`, `message`, `close`,
 * `error`; `send`, `close`, `bufferedAmount`). Beyond those, for whoever passes it on: `fields`, `pause` and `resume`, `ping` and
 * the events `drain` and `pong`.
 */
export class DeviceWebSocket extends EventTarget implements StreamSink {
  /** `readyState` until the server has accepted. */
  static readonly CONNECTING = 0;
  /** `readyState` while messages go both ways. */
  static readonly OPEN = 1;
  /** `readyState` from `close` on until the server has answered. */
  static readonly CLOSING = 2;
  /** `readyState` at the end. */
  static readonly CLOSED = 3;
  /** The URL that was asked for. */
  readonly url: string;
  /** Where it stands, one of the four. */
  readyState = 0;
  /** Name of the site by which it goes; undefined until that is chosen. */
  site: string | undefined;
  /** Subprotocol that the server chose; empty for none. */
  protocol = '';
  /** As what binary messages come. */
  binaryType: 'arraybuffer' | 'blob' = 'arraybuffer';
  /** Status with which the server answered the handshake, once it has; 200 when it accepted. */
  status: number | undefined;
  /** Fields of that answer. */
  fields: readonly Field[] = [];
  /** Why it could not be opened, or was lost. */
  failure: DeviceError | undefined;
  /** Listener of the event `open`. */
  onopen: ((event: Event) => void) | null = null;
  /** Listener of the event `message`. */
  onmessage: ((event: MessageEvent) => void) | null = null;
  /** Listener of the event `close`. */
  onclose: ((event: CloseEvent) => void) | null = null;
  /** Listener of the event `error`. */
  onerror: ((event: Event) => void) | null = null;
  readonly #options: WebSocketOptions;
  readonly #messages: WsMessageDecoder;
  readonly #decoder = responseDecoder(
    { head: (head) => this.#responded(head), content: (bytes) => this.#content(bytes), trailers: () => undefined },
    'raw',
    WIDEST_HEAD,
  );
  #stream: ChannelStream | undefined;
  /** Content of a refusal that somebody takes. */
  #refusal: ContentSource | undefined;
  #paused = false;
  /** Bytes that came while nobody wanted them; the gateway has no credit for them. */
  #unread = 0;
  /** Ends the wait for the answer to the handshake. */
  #answered: () => void = () => undefined;

  /** Opens it at once; apps get one by `device.webSocket`. */
  constructor(source: StreamSource, url: string, options: WebSocketOptions = {}) {
    super();
    this.url = url;
    this.#options = options;
    this.#messages = new WsMessageDecoder(options.maxMessageBytes);
    this.#start(source).catch((error: unknown) => {
      this.failure = error instanceof DeviceError ? error : undefined;
      this.#finish(1006, this.failure?.code ?? 'the connection failed', true);
    });
  }

  /** Bytes that were sent and have not left. */
  get bufferedAmount(): number {
    return this.#stream?.queuedBytes ?? 0;
  }

  /** Sends a message; nothing is sent any more once it closes. @throws TypeError before it is open. */
  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState === 0) throw new TypeError('the WebSocket is not open');
    if (this.readyState !== 1) return;
    const text = typeof data === 'string';
    const bytes = text ? encodeText(data) : bytesOf(data);
    for (const piece of encodeWsPieces({ opcode: text ? WS_OPCODES.text : WS_OPCODES.binary, bytes }))
      this.#stream?.write(piece);
  }

  /** Sends a ping of at most 125 bytes to the server, which answers with an event `pong`. */
  ping(bytes: Uint8Array = EMPTY): void {
    if (this.readyState !== 1) return;
    this.#stream?.write(encodeWsPiece({ opcode: WS_OPCODES.ping, more: false, bytes: bytes.subarray(0, 125) }));
  }

  /** Nothing more of the server is told until `resume`; it is held back when it sends on. */
  pause(): void {
    this.#paused = true;
  }

  /** Goes on telling after `pause`. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#read(() => this.#take(EMPTY));
  }

  /**
   * Closes as a browser's WebSocket does.
   * @throws DOMException InvalidAccessError for a code other than 1000 and 3000 to 4999, SyntaxError for a reason of more
   * than 123 bytes
   */
  close(code?: number, reason = ''): void {
    checkClose(code, reason);
    this.relayClose(code ?? (reason === '' ? undefined : 1000), reason);
  }

  /**
   * Closes with what another WebSocket was closed with: with any code that a close frame may hold (RFC 6455, section 7.4).
   * @throws TypeError for other codes, or a reason of more than 123 bytes
   */
  relayClose(code: number | undefined, reason = ''): void {
    const message = encodeWsClose({ code, reason });
    if (this.readyState >= 2) return;
    const { readyState } = this;
    this.readyState = 2;
    if (readyState === 1) this.#stream?.write(message);
    else this.#giveUp(1006, '');
  }

  /** Ends it at once, without a close: what the server sees is a connection that was lost. */
  terminate(): void {
    this.#giveUp(1006, '');
  }

  /** For the channel: bytes of the server. */
  data(bytes: Uint8Array): void {
    if (this.readyState === 3 && !this.#refusal) return this.#stream?.consume(bytes.length);
    this.#unread += bytes.length;
    this.#read(() => this.#decoder.push(bytes));
  }

  /** For the channel: the server sends no more. */
  end(): void {
    this.#stream?.finish();
    this.#refusal?.end();
    if (this.#paused && this.#unread > 0) return;
    this.#finish(1006, '', true);
  }

  /** For the channel: the stream is over at once. */
  reset(number: number, words = ''): void {
    const code = findSignedCode(number);
    const lost = code === undefined || code === 'CANCELLED';
    const failure = lost ? new DeviceError('CONNECTION_LOST', 'the connection was lost') : remoteError(code, { words });
    this.#refusal?.fail(failure);
    if (this.readyState === 3) return;
    this.failure = failure;
    this.#finish(1006, words === '' ? failure.code : `${failure.code}: ${words}`, true);
  }

  /** For the channel: there is room again. */
  drain(): void {
    this.dispatchEvent(new Event('drain'));
  }

  async #start(source: StreamSource): Promise<void> {
    const { host, pathname, search, protocol } = new URL(this.url);
    const scheme = protocol === 'wss:' ? 'https' : 'http';
    const { path = `${pathname}${search}` } = this.#options;
    const head = { method: 'GET', scheme, authority: withoutFinalDot(host), path, fields: this.#fields() };
    checkHead(head);
    const channel = await source(head.authority);
    this.site = channel.place?.site;
    // Whoever closed it meanwhile has no use for a stream.
    if (this.readyState === 3) return;
    const stream = await channel.openStream(2, this);
    this.#stream = stream;
    if (this.readyState === 3) return stream.reset(SIGNED_CODES.CANCELLED);
    this.#answered = channel.expect();
    stream.write(encodeRequestHead(head));
  }

  /** @throws DeviceError BAD_REQUEST for fields that are the handshake's own */
  #fields(): Field[] {
    const { headers = {}, protocols = [] } = this.#options;
    const pairs = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
    const fields = pairs.map(([name, value]): Field => [name.toLowerCase(), value]);
    const own = fields.find(([name]) => name.startsWith('sec-websocket-') || name === 'content-length');
    if (own) throw new DeviceError('BAD_REQUEST', `${own[0]} is a field of the handshake itself`);
    const offered = typeof protocols === 'string' ? [protocols] : protocols;
    if (offered.length > 0) fields.push(['sec-websocket-protocol', offered.join(', ')]);
    return fields;
  }

  #responded(head: ResponseHead): void {
    this.#answered();
    this.status = head.status;
    this.fields = head.fields;
    if (head.status !== 200) return this.#refused(head);
    this.protocol = head.fields.find(([name]) => name === 'sec-websocket-protocol')?.[1] ?? '';
    this.readyState = 1;
    this.#emit(new Event('open'), this.onopen);
  }

  #refused({ status, fields }: ResponseHead): void {
    const { refused } = this.#options;
    if (refused) {
      this.#refusal = new ContentSource({
        taken: (bytes) => this.#stream?.consume(bytes),
        cancelled: () => this.#stream?.reset(SIGNED_CODES.CANCELLED),
      });
      refused({ status, fields, body: this.#refusal.readable });
    } else {
      this.#stream?.reset(SIGNED_CODES.CANCELLED);
    }
    this.#finish(1006, `the server answered ${status}`, true);
  }

  #content(bytes: Uint8Array): void {
    if (!this.#refusal) return this.#take(bytes);
    this.#unread -= bytes.length;
    this.#refusal.add(bytes);
  }

  /** Handles bytes of the gateway; what is malformed ends the stream. */
  #read(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      const tooLong = error.code === 'ERR_CHANNEL_LIMIT';
      if (tooLong) this.#stream?.write(encodeWsClose({ code: 1009, reason: error.message }));
      this.#giveUp(1006, tooLong ? error.message : 'the peer sent something malformed');
    }
    if (this.#paused) return;
    const read = this.#unread;
    this.#unread = 0;
    this.#stream?.consume(read);
  }

  #take(bytes: Uint8Array): void {
    if (this.#paused) return this.#messages.keep(bytes);
    for (const message of this.#messages.push(bytes)) this.#message(message);
    if (this.readyState < 3 && this.#stream?.remoteClosed) this.#finish(1006, '', true);
  }

  #message({ opcode, bytes }: WsMessage): void {
    if (this.readyState === 3) return;
    if (opcode === WS_OPCODES.close) {
      const { code, reason } = decodeWsClose(bytes);
      this.#stream?.finish();
      return this.#finish(code ?? 1005, reason, false);
    }
    if (opcode === WS_OPCODES.pong) return void this.dispatchEvent(new MessageEvent('pong', { data: bytes }));
    if (opcode === WS_OPCODES.ping) return;
    this.#emit(new MessageEvent('message', { data: this.#dataOf(opcode, bytes) }), this.onmessage);
  }

  /** @throws ChannelError for text that is not UTF-8 */
  #dataOf(opcode: number, bytes: Uint8Array): string | ArrayBuffer | Blob {
    if (opcode !== WS_OPCODES.text) return this.#binary(bytes);
    try {
      return decodeText(bytes);
    } catch (cause) {
      throw new ChannelError('ERR_CHANNEL_HTTP', 'a text message is not UTF-8', { cause });
    }
  }

  #binary(bytes: Uint8Array): ArrayBuffer | Blob {
    const copy = Uint8Array.from(bytes);
    return this.binaryType === 'blob' ? new Blob([copy]) : copy.buffer;
  }

  /** Ends it here, and the stream with it. */
  #giveUp(code: number, reason: string): void {
    this.#stream?.reset(SIGNED_CODES.CANCELLED);
    this.#finish(code, reason, true);
  }

  #finish(code: number, reason: string, failed: boolean): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#answered();
    if (failed) this.#emit(new Event('error'), this.onerror);
    const details = { code, reason, wasClean: !failed && code !== 1006 };
    this.#emit(Object.assign(new Event('close'), details) as CloseEvent, this.onclose);
  }

  #emit<E extends Event>(event: E, handler: ((event: E) => void) | null): void {
    handler?.call(this, event);
    this.dispatchEvent(event);
  }
}

/** The checks of a browser's `close` (WHATWG WebSockets, 3.1). */
function checkClose(code: number | undefined, reason: string): void {
  const fits = code === undefined || code === 1000 || (code >= 3000 && code <= 4999);
  if (!fits) throw domError('InvalidAccessError', `a WebSocket is closed with 1000 or 3000 to 4999, not ${code}`);
  const { length } = encodeText(reason);
  if (length > MAX_WS_REASON_BYTES)
    throw domError('SyntaxError', `a reason has at most ${MAX_WS_REASON_BYTES} bytes, this one ${length}`);
}

function domError(name: string, message: string): Error {
  if (typeof DOMException === 'function') return new DOMException(message, name);
  return Object.assign(new Error(message), { name });
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  return data.byteLength === 0 ? EMPTY : Uint8Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
