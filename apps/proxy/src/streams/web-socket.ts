import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkResponse,
  decodeWsClose,
  EMPTY,
  encodeResponseHead,
  encodeWsClose,
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
import { type Guard, guardWith } from '@sallyport/telemetry';
import type { WebSocket } from 'ws';
import { askWebSocket } from '../backend/backends.ts';
import { BackendError, wordsOf } from '../backend/errors.ts';
import type { Holder } from '../held-memory.ts';
import type { Exchange, StreamHost, StreamPlace } from './exchange.ts';
import { Passage } from './passage.ts';
import { requestFields } from './request-fields.ts';

/** Messages that wait or are on their way to the backend at once; further ones wait as the bytes that they came as. */
const MAX_MESSAGES = 1_024;
/** The same before the backend has accepted. */
const MAX_EARLY_MESSAGES = 64;
/** Bytes of an unfinished message that its stream's window pays for; what is beyond needs memory of the channel. */
const HELD_IN_WINDOW_BYTES = 128 * 1024;
/** Messages below this are charged, because each costs more than its bytes. */
const SMALL_MESSAGE_BYTES = 256;
/** Fields that belong to the hop and are made by the WebSocket client itself. */
const OWN_WS_FIELDS = /^sec-websocket-|^content-length$/;

/** A stream of kind 2: a WebSocket to a backend (SPEC.md, section 7). */
export class WebSocketExchange implements Exchange, Holder {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  readonly #decoder: HttpDecoder;
  readonly #messages = new WsMessageDecoder();
  #head: RequestHead | undefined;
  #passage: Passage | undefined;
  /** The connection until the backend is asked for a WebSocket over it. */
  #dialled: { destroy(): void } | undefined;
  #socket: WebSocket | undefined;
  /** Messages that wait: for the backend to accept, or for rights that are being read. */
  #held: WsMessage[] = [];
  #waiting = false;
  #open = false;
  #over = false;
  /** Bytes to give back once the backend has taken what is on its way to it; opening counts as one thing on its way. */
  #uncredited = 0;
  #onTheWay = 1;
  readonly #guard: Guard = guardWith((error) => {
    this.#host.handlerFailed(error);
    this.#end('BACKEND_FAILED');
  });

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
    if (this.#open) this.#close();
    else this.#end('REQUEST_REFUSED', 'the stream ended before its WebSocket was open');
  }

  /** Behind what waits, like every other message. */
  #close(): void {
    this.#held.push({ opcode: WS_OPCODES.close, bytes: EMPTY });
    this.#release();
  }

  reset(): void {
    this.#over = true;
    this.#host.held.hold(this, 0);
    this.#terminate();
    this.#stream.settle();
  }

  memoryFreed(): void {
    this.#credit();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#passage?.recheck();
    if (refused) this.#end(refused);
  }

  drain(): void {
    this.#socket?.resume();
  }

  /**
   * Gives credit back when nothing waits any more: a backend that does not read holds its device back. An unfinished message
   * is held by the window, and beyond it by the memory of the channel.
   */
  #credit(): void {
    if (this.#onTheWay > 0 && !this.#over) return;
    const held = this.#over ? 0 : this.#messages.heldBytes;
    const kept = Math.min(held, HELD_IN_WINDOW_BYTES, this.#uncredited);
    if (!this.#host.held.hold(this, held - kept)) return;
    this.#stream.consume(this.#uncredited - kept);
    this.#uncredited = kept;
  }

  #arrived(): void {
    this.#onTheWay -= 1;
    if (this.#onTheWay === 0 && !this.#over) this.#guarded(() => this.#content(EMPTY));
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
    checkRequest(head, { methods: ['GET'], paths: 'exact' });
    const { authority, method, path } = head;
    this.#head = head;
    this.#passage = new Passage(this.#host, { kind: 'http', authority, method, path });
    this.#dial(this.#passage);
  }

  #dial(passage: Passage): void {
    if (this.#over) return;
    const look = passage.look();
    if (look === 'wait') return this.#host.whenReady(() => this.#dial(passage));
    if (look !== 'pass') {
      if (passage.rule !== undefined) this.#host.refused(passage.rule);
      return this.#end(look);
    }
    const { backend } = passage.resource;
    const connected = this.#guard((socket: Socket) => this.#ask(socket, passage, backend.url));
    const failed = this.#guard((error: BackendError) => this.#failed('BACKEND_UNREACHABLE', error));
    try {
      const { authority: under } = passage.resource;
      const asker = { authority: this.#head!.authority, under, tenant: this.#host.tenant };
      this.#dialled = this.#host.backends.dial(backend, asker, { connected, failed });
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
      host: resource.backend.host ?? this.#head!.authority,
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
      const { prefix = '' } = this.#passage!.resource.backend;
      return askWebSocket(socket, `${prefix}${this.#head!.path}`, options);
    } catch {
      this.#end('REQUEST_REFUSED', 'the WebSocket cannot be asked for in this way');
      return undefined;
    }
  }

  #connect(socket: WebSocket): void {
    this.#socket = socket;
    const on = (event: string, handler: (...args: never[]) => void): void =>
      void socket.on(event, this.#guard(handler) as (...args: unknown[]) => void);
    on('open', () => this.#opened(socket));
    on('unexpected-response', (_request: unknown, response: IncomingMessage) => {
      const fields = Object.entries(response.headers).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      this.#refusedByBackend(response.statusCode ?? 502, fields);
    });
    on('message', (data: Buffer, isBinary: boolean) => this.#fromBackend(data, isBinary));
    on('ping', (data: Buffer) => this.#pong(data));
    on('close', (code: number, reason: Buffer) => this.#closed(code, reason));
    on('error', (cause: Error) => {
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
    const room = this.#open ? MAX_MESSAGES - this.#onTheWay : MAX_EARLY_MESSAGES;
    const messages = this.#messages.push(bytes, Math.max(0, room - this.#held.length));
    const small = messages.filter((message) => message.bytes.length < SMALL_MESSAGE_BYTES).length;
    if (small > 1) this.#host.spend(small);
    this.#held.push(...messages);
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
      const arrived = this.#guard(() => this.#arrived());
      return socket.send(bytes, { binary: opcode === WS_OPCODES.binary }, arrived);
    }
    const { code, reason } = decodeWsClose(bytes);
    if (code === undefined) socket.close();
    else socket.close(code, reason);
  }

  /** While rights are being read a ping stays without an answer; the next one will get it. */
  #pong(data: Buffer): void {
    if (!this.#over && this.#passage!.look() === 'pass') this.#socket?.pong(data);
  }

  #fromBackend(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    const opcode = isBinary ? WS_OPCODES.binary : WS_OPCODES.text;
    if (!this.#stream.write(encodeWsMessage({ opcode, bytes: data }))) this.#socket?.pause();
  }

  #closed(code: number, reason: Buffer): void {
    // Cut off: not to be taken for an end that somebody said.
    if (code === 1006) this.#end('BACKEND_FAILED');
    if (!this.#over) {
      this.#over = true;
      this.#credit();
      this.#stream.write(encodeWsClose({ code: code === 1005 ? undefined : code, reason: reason.toString() }));
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
    this.#host.held.hold(this, 0);
    const ending = this.#passage?.ending(code) ?? code;
    this.#host.count('websocket', ending);
    this.#stream.reset(SIGNED_CODES[ending], this.#passage?.words(code, words) ?? words);
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
