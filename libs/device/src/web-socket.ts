import {
  type ChannelStream,
  decodeText,
  decodeWsClose,
  EMPTY,
  encodeRequestHead,
  encodeText,
  encodeWsClose,
  encodeWsMessage,
  type Field,
  findSignedCode,
  MAX_WS_REASON_BYTES,
  type ResponseHead,
  responseDecoder,
  SIGNED_CODES,
  type StreamSink,
  WS_OPCODES,
  type WsMessage,
  WsMessageDecoder,
  withoutFinalDot,
} from '@sallyport/channel';
import type { GatewayChannel } from './channel.ts';
import { DeviceError, remoteError } from './errors.ts';
import { checkHead } from './http-call.ts';

/** Gives the channel to use, connecting first if need be. */
export type ChannelSource = () => Promise<GatewayChannel>;

/**
 * A WebSocket through the gateway with the events and methods of the browser's one (`open`, `message`, `close`,
 * `error`; `send`, `close`).
 */
export class DeviceWebSocket extends EventTarget implements StreamSink {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly url: string;
  readyState = 0;
  protocol = '';
  binaryType: 'arraybuffer' | 'blob' = 'arraybuffer';
  /** Status with which the server answered the handshake, once it has. */
  status: number | undefined;
  /** Why it could not be opened, or was lost. */
  failure: DeviceError | undefined;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  readonly #messages = new WsMessageDecoder();
  readonly #decoder = responseDecoder(
    { head: (head) => this.#responded(head), content: (bytes) => this.#content(bytes), trailers: () => undefined },
    'raw',
  );
  #stream: ChannelStream | undefined;
  /** Ends the wait for the answer to the handshake. */
  #answered: () => void = () => undefined;

  /** `fields` go into the handshake, like `cookie` or `origin`; names in lower case. */
  constructor(source: ChannelSource, url: string, protocols: readonly string[] = [], fields: readonly Field[] = []) {
    super();
    this.url = url;
    this.#start(source, protocols, fields).catch((error: unknown) => {
      this.failure = error instanceof DeviceError ? error : undefined;
      this.#finish(1006, this.failure?.code ?? 'the connection failed', true);
    });
  }

  /** @throws TypeError before it is open. */
  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState !== 1) throw new TypeError('the WebSocket is not open');
    const text = typeof data === 'string';
    const bytes = text ? encodeText(data) : bytesOf(data);
    this.#write({ opcode: text ? WS_OPCODES.text : WS_OPCODES.binary, bytes });
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
    this.readyState = 2;
    if (this.#stream) this.#stream.write(message);
    else this.#finish(1006, '', true);
  }

  data(bytes: Uint8Array): void {
    try {
      this.#decoder.push(bytes);
    } catch {
      this.#stream?.reset(SIGNED_CODES.CANCELLED);
      this.#finish(1006, 'the peer sent something malformed', true);
    }
    this.#stream?.consume(bytes.length);
  }

  end(): void {
    this.#stream?.finish();
    this.#finish(1006, '', false);
  }

  reset(number: number, words = ''): void {
    const code = findSignedCode(number);
    const lost = code === undefined || code === 'CANCELLED';
    this.failure = lost ? new DeviceError('CONNECTION_LOST', 'the connection was lost') : remoteError(code, { words });
    this.#finish(1006, words === '' ? this.failure.code : `${this.failure.code}: ${words}`, true);
  }

  drain(): void {
    // Messages are queued whole; there is nobody to tell.
  }

  async #start(source: ChannelSource, protocols: readonly string[], given: readonly Field[]): Promise<void> {
    const { host, pathname, search, protocol } = new URL(this.url);
    const fields: Field[] = [...given];
    if (protocols.length > 0) fields.push(['sec-websocket-protocol', protocols.join(', ')]);
    const scheme = protocol === 'wss:' ? 'https' : 'http';
    const head = { method: 'GET', scheme, authority: withoutFinalDot(host), path: `${pathname}${search}`, fields };
    checkHead(head);
    const channel = await source();
    const stream = await channel.openStream(2, this);
    this.#stream = stream;
    this.#answered = channel.expect();
    stream.write(encodeRequestHead(head));
  }

  #responded({ status, fields }: ResponseHead): void {
    this.#answered();
    this.status = status;
    if (status !== 200) return this.#finish(1006, `the server answered ${status}`, true);
    this.protocol = fields.find(([name]) => name === 'sec-websocket-protocol')?.[1] ?? '';
    this.readyState = 1;
    this.#emit(new Event('open'), this.onopen);
  }

  #content(bytes: Uint8Array): void {
    for (const message of this.#messages.push(bytes)) this.#message(message);
  }

  #message({ opcode, bytes }: WsMessage): void {
    if (opcode === WS_OPCODES.close) {
      const { code, reason } = decodeWsClose(bytes);
      this.#stream?.finish();
      return this.#finish(code ?? 1005, reason, false);
    }
    const data = opcode === WS_OPCODES.text ? decodeText(bytes) : this.#binary(bytes);
    this.#emit(new MessageEvent('message', { data }), this.onmessage);
  }

  #binary(bytes: Uint8Array): ArrayBuffer | Blob {
    const copy = Uint8Array.from(bytes);
    return this.binaryType === 'blob' ? new Blob([copy]) : copy.buffer;
  }

  #write(message: WsMessage): void {
    this.#stream?.write(encodeWsMessage(message));
  }

  #finish(code: number, reason: string, failed: boolean): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#answered();
    if (failed) this.#emit(new Event('error'), this.onerror);
    const details = { code, reason, wasClean: !failed && code !== 1006 };
    this.#emit(Object.assign(new Event('close'), details) as unknown as CloseEvent, this.onclose);
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
