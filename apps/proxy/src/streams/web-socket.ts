import type { Socket } from 'node:net';
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
import { askWebSocket } from '../backend/backends.ts';
import { dial } from '../backend/dial.ts';
import { BackendError, wordsOf } from '../backend/errors.ts';
import type { Exchange, StreamHost, StreamPlace } from './exchange.ts';
import { Passage } from './passage.ts';
import { requestFields } from './request-fields.ts';

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
  #passage: Passage | undefined;
  /** The connection until the backend is asked for a WebSocket over it. */
  #dialled: Socket | undefined;
  #socket: WebSocket | undefined;
  /** Messages that wait: for the backend to accept, or for rights that are being read. */
  #held: WsMessage[] = [];
  #waiting = false;
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
    else this.#end('REQUEST_REFUSED', 'the stream ended before its WebSocket was open');
  }

  reset(): void {
    this.#over = true;
    this.#terminate();
    this.#stream.settle();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#passage?.recheck();
    if (refused) this.#end(refused);
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
      this.#host.refused(error.message);
      this.#end('REQUEST_REFUSED', error.message);
    }
  }

  #start(head: RequestHead): void {
    checkRequest(head, ['GET']);
    const { authority, method, path } = head;
    this.#head = head;
    this.#passage = new Passage(this.#host, { kind: 'http', authority, method, path });
    this.#dial(this.#passage);
  }

  #dial(passage: Passage): void {
    if (this.#over) return;
    const look = passage.look();
    if (look === 'wait') return this.#host.whenReady(() => this.#dial(passage));
    if (look !== 'pass') return this.#end(look);
    const { backend } = passage.resource;
    const connected = (socket: Socket): void => this.#ask(socket, passage, backend.url);
    const failed = (error: BackendError): void => this.#failed('BACKEND_UNREACHABLE', error);
    try {
      this.#dialled = dial(backend, { connected, failed });
    } catch (error) {
      this.#failed('BACKEND_UNREACHABLE', error as BackendError);
    }
  }

  /** The connection is there: the upgrade goes out after a last look, and in the same turn as it. */
  #ask(socket: Socket, passage: Passage, url: string): void {
    if (this.#over) return void socket.destroy();
    const look = passage.look();
    if (look === 'wait') {
      socket.on('error', () => undefined);
      return this.#host.whenReady(() => this.#ask(socket, passage, url));
    }
    if (look !== 'pass') return this.#end(look);
    const { resource } = passage;
    // The resource may have moved meanwhile, or the backend closed the connection: nothing was sent.
    if (resource.backend.url !== url || socket.destroyed) return this.#end('NOT_PROCESSED');
    const fields = requestFields(this.#head!, this.#host.deviceAddress, resource);
    const headers = {
      ...Object.fromEntries(fields.filter(([name]) => !OWN_WS_FIELDS.test(name))),
      host: resource.authority,
    };
    const asked = this.#asked(socket, { protocols: protocolsOf(fields), headers });
    if (!asked) return;
    passage.begin();
    this.#dialled = undefined;
    this.#connect(asked);
  }

  /** Undefined when what the device wrote cannot be asked for, for instance a subprotocol that is no token. */
  #asked(socket: Socket, options: Parameters<typeof askWebSocket>[2]): WebSocket | undefined {
    try {
      return askWebSocket(socket, this.#head!.path, options);
    } catch {
      this.#end('REQUEST_REFUSED', 'the WebSocket cannot be asked for in this way');
      return undefined;
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
    socket.on('error', (cause) => {
      const late = !this.#open && /timed out/.test(cause.message);
      const code = late ? 'ERR_BACKEND_TIMEOUT' : 'ERR_BACKEND_CLOSED';
      this.#failed(
        late ? 'BACKEND_TIMEOUT' : 'BACKEND_FAILED',
        new BackendError(code, 'the WebSocket broke', { cause }),
      );
    });
  }

  #opened(socket: WebSocket): void {
    if (this.#over) return socket.terminate();
    this.#open = true;
    const fields: Field[] = socket.protocol ? [['sec-websocket-protocol', socket.protocol]] : [];
    this.#stream.write(encodeResponseHead({ status: 200, fields }));
    this.#release();
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
    this.#terminate();
    this.#stream.settle();
  }

  #content(bytes: Uint8Array): void {
    for (const message of this.#messages.push(bytes)) {
      this.#held.push(message);
      if (!this.#open && this.#held.length > MAX_EARLY_MESSAGES)
        throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'too many messages before the backend accepted');
    }
    this.#release();
  }

  /** Sends what was held as soon as it may go. */
  #release(): void {
    while (this.#open && !this.#over && !this.#waiting && this.#held.length > 0) {
      const look = this.#passage!.look();
      if (look === 'pass') this.#toBackend(this.#held.shift()!);
      else if (look === 'wait') this.#releaseLater();
      else this.#end(look);
    }
  }

  #releaseLater(): void {
    this.#waiting = true;
    this.#onTheWay += 1;
    this.#host.whenReady(() => {
      this.#waiting = false;
      this.#release();
      this.#arrived();
    });
  }

  #toBackend({ opcode, bytes }: WsMessage): void {
    const socket = this.#socket;
    if (!socket || this.#over) return;
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

  #failed(code: SignedCode, error: BackendError): void {
    if (this.#over) return;
    this.#host.backendFailed(this.#passage!.resource.name, error);
    this.#end(code, wordsOf(error));
  }

  #end(code: SignedCode, words?: string): void {
    if (this.#over) return;
    this.#over = true;
    const ending = this.#passage?.ending(code) ?? code;
    this.#host.count('websocket', ending);
    this.#stream.reset(SIGNED_CODES[ending], words);
    this.#terminate();
    this.#stream.settle();
  }

  #terminate(): void {
    this.#dialled?.destroy();
    this.#socket?.terminate();
  }
}

function protocolsOf(fields: readonly Field[]): string[] {
  const value = fields.find(([name]) => name === 'sec-websocket-protocol')?.[1] ?? '';
  return value
    .split(',')
    .map((protocol) => protocol.trim())
    .filter(Boolean);
}
