import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkResponse,
  concat,
  decodeUint,
  EMPTY,
  encodeResponseHead,
  encodeText,
  encodeUint,
  encodeWsMessage,
  type Field,
  type HttpDecoder,
  type RequestHead,
  requestDecoder,
  SIGNED_CODES,
  type SignedCode,
  WS_OPCODES,
  type WsMessage,
  WsMessageDecoder,
} from '@sallyport/channel';
import type { WebSocket } from 'ws';
import type { Decision } from '../rights.ts';
import { type Exchange, forwardedFor, type StreamHost, type StreamPlace } from './exchange.ts';

/** Messages the device may send before the backend has accepted. */
const MAX_EARLY_MESSAGES = 64;
/** Fields that belong to the hop and are made by the WebSocket client itself. */
const OWN_WS_FIELDS = /^sec-websocket-|^content-length$/;

/** A stream of kind 2: a WebSocket to a backend (SPEC.md, section 7). */
export class WebSocketExchange implements Exchange {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  readonly #decoder: HttpDecoder;
  readonly #messages = new WsMessageDecoder();
  #head: RequestHead | undefined;
  #socket: WebSocket | undefined;
  #early: WsMessage[] = [];
  #open = false;
  #over = false;
  /** Bytes to give back once the backend has taken what is on its way to it; opening counts as one thing on its way. */
  #uncredited = 0;
  #onTheWay = 1;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder(
      { head: (head) => this.#start(head), content: (bytes) => this.#content(bytes), trailers: () => undefined },
      'raw',
    );
  }

  data(bytes: Uint8Array): void {
    this.#uncredited += bytes.length;
    if (!this.#over) this.#guarded(() => this.#decoder.push(bytes));
    this.#credit();
  }

  end(): void {
    if (this.#over) return;
    if (this.#open) this.#socket?.close();
    else this.#end('REQUEST_REFUSED');
  }

  reset(): void {
    this.#over = true;
    this.#socket?.terminate();
    this.#stream.settle();
  }

  recheck(): void {
    const decision = this.#over || !this.#head ? undefined : this.#decide(this.#head);
    if (decision && 'refused' in decision) this.#end(decision.refused);
  }

  drain(): void {
    this.#socket?.resume();
  }

  /** Gives credit back when nothing waits any more: a backend that does not read holds its device back. */
  #credit(): void {
    if (this.#onTheWay > 0 && !this.#over) return;
    this.#stream.consume(this.#uncredited);
    this.#uncredited = 0;
  }

  #arrived(): void {
    this.#onTheWay -= 1;
    this.#credit();
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#end('REQUEST_REFUSED');
    }
  }

  #start(head: RequestHead): void {
    const fields = checkRequest(head, ['GET']);
    this.#head = head;
    this.#host.whenReady(() => {
      if (!this.#over) this.#dial(head, fields);
    });
  }

  #decide({ authority, method, path }: RequestHead): Decision {
    return this.#host.decide({ kind: 'http', authority, method, path });
  }

  #dial(head: RequestHead, fields: readonly Field[]): void {
    const { authority, path } = head;
    const decision = this.#decide(head);
    if ('refused' in decision) return this.#end(decision.refused);
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    const { backend, assertion, delegated } = decision.resource;
    const headers = {
      ...Object.fromEntries(fields.filter(([name]) => !OWN_WS_FIELDS.test(name))),
      host: authority,
      forwarded: forwardedFor(this.#host.deviceAddress),
      ...(assertion === undefined ? {} : { 'sallyport-assertion': assertion }),
      ...(delegated === undefined ? {} : { authorization: `Bearer ${delegated}` }),
    };
    try {
      this.#connect(this.#host.backends.webSocket(backend, path, { protocols: protocolsOf(fields), headers }));
    } catch {
      this.#end('BACKEND_UNREACHABLE');
    }
  }

  #connect(socket: WebSocket): void {
    this.#socket = socket;
    socket.on('open', () => this.#opened(socket));
    socket.on('unexpected-response', (_request, response) => {
      const fields = Object.entries(response.headers).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      this.#refusedByBackend(response.statusCode ?? 502, fields);
    });
    socket.on('message', (data, isBinary) => this.#fromBackend(data as Buffer, isBinary));
    socket.on('close', (code, reason) => this.#closed(code, reason));
    socket.on('error', () => this.#end(this.#open ? 'BACKEND_FAILED' : 'BACKEND_UNREACHABLE'));
  }

  #opened(socket: WebSocket): void {
    if (this.#over) return socket.terminate();
    this.#open = true;
    const fields: Field[] = socket.protocol ? [['sec-websocket-protocol', socket.protocol]] : [];
    this.#stream.write(encodeResponseHead({ status: 200, fields }));
    for (const message of this.#early) this.#toBackend(message);
    this.#early = [];
    this.#arrived();
  }

  #refusedByBackend(status: number, fields: readonly Field[]): void {
    if (this.#over) return;
    this.#over = true;
    this.#guarded(() => {
      const final = status >= 200 && status <= 599 && status !== 200 ? status : 502;
      this.#stream.write(encodeResponseHead({ status: final, fields: checkResponse({ status: final, fields }) }));
    });
    this.#stream.finish();
    this.#socket?.terminate();
    this.#stream.settle();
  }

  #content(bytes: Uint8Array): void {
    for (const message of this.#messages.push(bytes)) {
      if (this.#open) this.#toBackend(message);
      else if (this.#early.length < MAX_EARLY_MESSAGES) this.#early.push(message);
      else throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'too many messages before the backend accepted');
    }
  }

  #toBackend({ opcode, bytes }: WsMessage): void {
    const socket = this.#socket;
    if (!socket || this.#over) return;
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    if (opcode !== WS_OPCODES.close) {
      this.#onTheWay += 1;
      return socket.send(bytes, { binary: opcode === WS_OPCODES.binary }, () => this.#arrived());
    }
    const code = bytes.length >= 2 ? decodeUint(bytes, 0, 2) : 1000;
    const sendable = code === 1000 || (code >= 3000 && code <= 4999);
    socket.close(sendable ? code : 1000, Buffer.from(bytes.subarray(2)));
  }

  #fromBackend(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    const opcode = isBinary ? WS_OPCODES.binary : WS_OPCODES.text;
    if (!this.#stream.write(encodeWsMessage({ opcode, bytes: data }))) this.#socket?.pause();
  }

  #closed(code: number, reason: Buffer): void {
    if (!this.#over) {
      this.#over = true;
      const bytes = code === 1005 || code === 1006 ? EMPTY : concat(encodeUint(code, 2), encodeText(reason.toString()));
      this.#stream.write(encodeWsMessage({ opcode: WS_OPCODES.close, bytes }));
      this.#stream.finish();
      this.#host.count('websocket', 'done');
    }
    this.#stream.settle();
  }

  #end(code: SignedCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.count('websocket', code);
    this.#stream.reset(SIGNED_CODES[code]);
    this.#socket?.terminate();
    this.#stream.settle();
  }
}

function protocolsOf(fields: readonly Field[]): string[] {
  const value = fields.find(([name]) => name === 'sec-websocket-protocol')?.[1] ?? '';
  return value
    .split(',')
    .map((protocol) => protocol.trim())
    .filter(Boolean);
}
