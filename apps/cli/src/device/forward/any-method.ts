import { type IncomingMessage, METHODS, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { faultOfMethod } from '@sallyport/channel';

const KNOWN: ReadonlySet<string> = new Set(METHODS);
/** What Node reads instead of a method that it does not know. */
const STAND_IN = Buffer.from('POST');
/** Bytes in which a method and the space behind it lie. */
const METHOD_BYTES = 33;
/** A connection on which nothing comes ends, ms. */
const FIRST_BYTES_MS = 60_000;

/**
 * Node's parser knows a closed list of methods, policies know every token. This gives a server requests with other ones, if they are
 * the first of their connection; it asks for no second one then. Node answers those that come later by `HPE_INVALID_METHOD`.
 */
export class AnyMethod {
  readonly #methods = new WeakMap<object, string>();

  /** Takes over the server's connections, before it has any. */
  constructor(server: Server) {
    const readers = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      this.#lookAt(socket, () => {
        for (const read of readers) read.call(server, socket);
      });
    });
  }

  /** The method of a request as its client wrote it; undefined when Node knows it. To be asked once for each request. */
  takeMethod({ socket }: IncomingMessage): string | undefined {
    const method = this.#methods.get(socket);
    this.#methods.delete(socket);
    return method;
  }

  /** Looks at the first bytes that come, which in practice hold the whole method. */
  #lookAt(socket: Socket, go: () => void): void {
    const done = (): void => {
      clearTimeout(timer);
      socket.off('readable', look).off('end', ended).off('close', ended).off('error', ended);
    };
    const ended = (): void => {
      done();
      socket.destroy();
    };
    const look = (): void => {
      const first = socket.read() as Buffer | null;
      if (first === null) return;
      done();
      socket.unshift(this.#renamed(socket, first));
      go();
    };
    const timer = setTimeout(ended, FIRST_BYTES_MS);
    socket.on('readable', look).on('end', ended).on('close', ended).on('error', ended);
  }

  /** The same bytes, with a method that Node knows. */
  #renamed(socket: Socket, bytes: Buffer): Buffer {
    const space = bytes.subarray(0, METHOD_BYTES).indexOf(' ');
    const method = bytes.toString('latin1', 0, Math.max(0, space));
    if (KNOWN.has(method) || faultOfMethod(method) !== '') return bytes;
    this.#methods.set(socket, method);
    return Buffer.concat([STAND_IN, bytes.subarray(space)]);
  }
}
