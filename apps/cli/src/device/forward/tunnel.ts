import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { TcpConnection } from '@sallyport/device';

/**
 * Joins a local socket with a TCP connection through the gateway. Each direction ends as its sender ends it; when the connection is
 * lost or taken away, the local client sees a reset, so that a cut copy never looks complete.
 */
export async function tunnel(remote: TcpConnection, socket: Socket): Promise<void> {
  socket.on('close', () => remote.abort());
  try {
    await Promise.all([carryUp(socket, remote.writable), carryDown(remote.readable, socket)]);
  } catch {
    socket.resetAndDestroy();
  }
}

/** Writes what a local client sends. Its socket is left to the caller: closing it here would look like a good end. */
async function carryUp(socket: Socket, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for await (const part of socket.iterator({ destroyOnReturn: false })) await writer.write(part);
  await writer.close();
}

/** Writes a body to a local client at its pace, and ends it. @throws what cut the body, before anything looks like an end */
export async function carryDown(body: ReadableStream<Uint8Array>, to: Writable): Promise<void> {
  for await (const part of body) {
    if (to.destroyed) return;
    if (!to.write(part)) await drained(to);
  }
  to.end();
}

function drained(to: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      to.off('drain', done);
      to.off('close', done);
      resolve();
    };
    to.on('drain', done);
    to.on('close', done);
    if (to.destroyed || !to.writableNeedDrain) done();
  });
}
