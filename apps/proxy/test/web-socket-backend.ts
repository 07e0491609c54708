import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ChannelStream,
  decodeWsClose,
  encodeRequestHead,
  type Field,
  type ResponseHead,
  responseDecoder,
  type WsClose,
  WsMessageDecoder,
} from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { expect } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { sentBy, testStream } from '../../../libs/channel/test/lone-stream.ts';
import { WebSocketExchange } from '../src/streams/web-socket.ts';
import { acceptOf } from '../src/web-socket/accept.ts';
import { TestHost } from './stream-place.ts';

/** Waits with generous patience. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

/** What a backend of a test does with a handshake. */
export type Serve = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

const closing: (() => void)[] = [];

/** To call when the tests of a file are over. */
export function closeBackends(): void {
  for (const close of closing.splice(0)) close();
}

/** A server whose WebSockets are as a test says. */
export async function backendThat(serve: Serve): Promise<Backend> {
  const server = createServer((_request, response) => response.writeHead(500).end());
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => undefined);
    serve(request, socket, head);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, networks: ['127.0.0.0/8'] };
}

/** Serves by the library `ws`; `with` gets each socket. */
export function accepting(serve: (socket: WebSocket, request: IncomingMessage) => void): Serve {
  const server = new WebSocketServer({ noServer: true, maxPayload: 0 });
  return (request, socket, head) =>
    server.handleUpgrade(request, socket, head, (open) => {
      open.on('error', () => undefined);
      serve(open, request);
    });
}

/** Bytes of an answer that accepts, with further lines. */
export function acceptance(request: IncomingMessage, ...lines: string[]): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: WebSocket',
    'Connection: keep-alive, Upgrade',
    `Sec-WebSocket-Accept: ${acceptOf(request.headers['sec-websocket-key'] ?? '')}`,
    ...lines,
    '\r\n',
  ].join('\r\n');
}

/** A device's side of one WebSocket: what the Proxy has told it so far. */
export class Told {
  head: ResponseHead | undefined;
  readonly messages: { opcode: number; text: string; bytes: number }[] = [];
  body = '';
  close: WsClose | undefined;
  readonly host: TestHost;
  readonly sink: WebSocketExchange;
  readonly stream: ChannelStream;
  readonly resets: { code: string; words: string }[];
  /** Bytes of the device for which it has credit again. */
  readonly released: () => number;
  readonly #messages = new WsMessageDecoder();
  readonly #decoder = responseDecoder(
    { head: (head) => this.#answered(head), content: (bytes) => this.#content(bytes), trailers: () => undefined },
    'raw',
  );

  constructor(backend: Backend, fields: readonly Field[] = []) {
    this.host = new TestHost(backend);
    const { stream, resets, released } = testStream(2);
    this.stream = stream;
    this.resets = resets;
    this.released = released;
    this.sink = new WebSocketExchange({ host: this.host, stream });
    stream.sink = this.sink;
    this.say(encodeRequestHead({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path: '/ws?a=1', fields }));
  }

  /** Bytes of the device. */
  say(bytes: Uint8Array): void {
    this.stream.receive(bytes, false);
  }

  /** Takes what the Proxy has for the device. */
  read(): this {
    this.#decoder.push(sentBy(this.stream));
    return this;
  }

  /** Reads until something holds. */
  async until(condition: (told: this) => boolean): Promise<this> {
    await until(() => condition(this.read()));
    return this;
  }

  #answered(head: ResponseHead): void {
    this.head = head;
  }

  #content(bytes: Uint8Array): void {
    if (this.head?.status !== 200) {
      this.body += Buffer.from(bytes).toString('latin1');
      return;
    }
    for (const { opcode, bytes: content } of this.#messages.push(bytes)) {
      if (opcode === 8) this.close = decodeWsClose(content);
      else
        this.messages.push({ opcode, text: Buffer.from(content.subarray(0, 100)).toString(), bytes: content.length });
    }
  }
}
