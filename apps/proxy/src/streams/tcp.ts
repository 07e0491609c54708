import type { Socket } from 'node:net';
import { type ChannelStream, concat, decodeText, EMPTY, SIGNED_CODES, type SignedCode } from '@sallyport/channel';
import type { Decision } from '../rights.ts';
import type { Exchange, StreamHost, StreamPlace } from './exchange.ts';

/** A stream of kind 3: raw bytes to a TCP resource (SPEC.md, section 7). `LP8(resource)`, then the bytes. */
export class TcpExchange implements Exchange {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  #head: Uint8Array = EMPTY;
  #authority = '';
  #socket: Socket | undefined;
  #connected = false;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    if (this.#socket) return this.#toBackend(Buffer.from(bytes));
    this.#head = concat(this.#head, bytes);
    const length = 1 + (this.#head[0] ?? 0);
    if (this.#head.length < length) return this.#stream.consume(bytes.length);
    this.#stream.consume(bytes.length - (this.#head.length - length));
    this.#connect(this.#head.subarray(1, length), Buffer.from(this.#head.subarray(length)));
  }

  end(): void {
    if (this.#socket) this.#socket.end();
    else this.#end('REQUEST_REFUSED');
  }

  reset(): void {
    this.#over = true;
    this.#socket?.destroy();
    this.#stream.settle();
  }

  recheck(): void {
    const decision = this.#over || !this.#socket ? undefined : this.#decide();
    if (decision && 'refused' in decision) this.#end(decision.refused);
  }

  drain(): void {
    this.#socket?.resume();
  }

  #decide(): Decision {
    return this.#host.decide({ kind: 'tcp', authority: this.#authority, method: '', path: '' });
  }

  #connect(name: Uint8Array, first: Buffer): void {
    this.#authority = readName(name);
    // Bytes cannot wait for rights that are being read again: nothing was sent, the device may try at once.
    if (!this.#host.ready()) return this.#end('NOT_PROCESSED');
    const decision = this.#decide();
    if ('refused' in decision) return this.#end(decision.refused);
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    try {
      this.#socket = this.#host.backends.tcp(decision.resource.backend);
    } catch {
      return this.#end('BACKEND_UNREACHABLE');
    }
    this.#listen(this.#socket);
    if (first.length > 0) this.#toBackend(first);
  }

  #listen(socket: Socket): void {
    socket.on('connect', () => {
      this.#connected = true;
    });
    socket.on('data', (chunk) => {
      if (this.#over) return;
      if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
      if (!this.#stream.write(chunk)) socket.pause();
    });
    socket.on('end', () => {
      if (!this.#over) this.#stream.finish();
    });
    socket.on('error', () => this.#end(this.#connected ? 'BACKEND_FAILED' : 'BACKEND_UNREACHABLE'));
    socket.on('close', () => {
      this.#over = true;
      this.#stream.settle();
    });
  }

  #toBackend(bytes: Buffer): void {
    if (!this.#host.mayServe()) return this.#end('LEASE_LOST');
    this.#socket?.write(bytes, () => this.#stream.consume(bytes.length));
  }

  #end(code: SignedCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.count('tcp', code);
    this.#stream.reset(SIGNED_CODES[code]);
    this.#socket?.destroy();
    this.#stream.settle();
  }
}

function readName(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch {
    return '';
  }
}
