import type { Socket } from 'node:net';

/**
 * Reads just so many bytes of a socket, and leaves what comes behind them to be read by whoever gets the socket next. One read at a time.
 * @throws Error when the socket ends before
 */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      socket.off('readable', look).off('close', ended).off('end', ended);
      settle();
    };
    const ended = (): void => done(() => reject(new Error('the client ended')));
    const look = (): void => {
      const chunk = socket.read(count) as Buffer | null;
      // At its end a stream gives what is left, however little.
      if (chunk && chunk.length < count) return ended();
      if (chunk) done(() => resolve(chunk));
    };
    if (socket.destroyed) return ended();
    socket.on('readable', look).on('close', ended).on('end', ended);
  });
}

/** The first byte that comes, which stays to be read. @throws Error when the socket ends before */
export async function peekByte(socket: Socket): Promise<number> {
  const first = await readBytes(socket, 1);
  socket.unshift(first);
  return first[0]!;
}

/** Ends a socket that has not got on with something in time; call what it gives when it has. */
export function deadline(socket: Socket, ms: number): () => void {
  const timer = setTimeout(() => socket.destroy(), ms);
  const met = (): void => clearTimeout(timer);
  socket.once('close', met);
  return met;
}
