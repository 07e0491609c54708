import type { Socket } from 'node:net';
import { guardWith } from '@sallyport/telemetry';
import { BackendConnection, type ConnectionOwner } from './connection.ts';
import { dial } from './dial.ts';
import { headLimitsOf } from './head-limits.ts';
import type { ConnectionMaker, Making } from './pooled-connection.ts';
import type { BackendServer } from './server.ts';
import { timeLimitsOf } from './time-limits.ts';

/** What one read takes at most: with its framing it fits into one record. */
const READ_BYTES = 63 * 1024;
/** Memory of reads, shared by all connections: whoever reads takes the bytes before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** Makes connections of HTTP/1.1, each with a socket of its own. */
export class Http1Connections implements ConnectionMaker {
  readonly #server: BackendServer;
  readonly #owner: ConnectionOwner;

  constructor(server: BackendServer, owner: ConnectionOwner) {
    this.#server = server;
    this.#owner = owner;
  }

  make(tell: Making): void {
    let connection: BackendConnection | undefined;
    const read = (bytes: Buffer): void => {
      if (connection) connection.read(bytes);
      else socket.destroy(new Error('bytes before the connection stood'));
    };
    const callback = (length: number, bytes: Uint8Array): boolean => {
      read(Buffer.from(bytes.buffer, bytes.byteOffset, length));
      return true;
    };
    const guard = guardWith((error) => {
      this.#owner.handlerFailed(error);
      socket.destroy();
    });
    const connected = guard(() => {
      connection = new BackendConnection(socket, this.#owner, timeLimitsOf(this.#server), headLimitsOf(this.#server));
      tell.connected(connection);
    });
    const failed = guard(tell.failed);
    const socket = dial(this.#server, { connected, failed }, { onread: { buffer: readBuffer, callback } });
    if (this.#server.url.startsWith('https:')) socket.on('data', read);
  }

  /** A connection on a TLS socket that stands already. */
  adopt(socket: Socket): BackendConnection {
    const connection = new BackendConnection(
      socket,
      this.#owner,
      timeLimitsOf(this.#server),
      headLimitsOf(this.#server),
    );
    socket.on('data', (bytes: Buffer) => connection.read(bytes));
    return connection;
  }

  sweep(): void {
    // Its connections are swept by whoever keeps them.
  }

  close(): void {
    // Its connections are closed by whoever keeps them.
  }
}
