import type { Socket } from 'node:net';
import type { LocalPeer } from './local-user.ts';

/** How often a client that sends no more is looked for, ms. */
const LOOK_MS = 1_000;

/**
 * Ends a connection whose client is gone. That it sends no more does not say so: it may have shut its sending side only, and wait for
 * its answer. Where the system does not tell the two apart, it is taken for one that waits. Call what it gives when nothing is waited for.
 */
export function endWithClient(socket: Socket, peerOf: (socket: Socket) => LocalPeer | Promise<LocalPeer>): () => void {
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    if ((await peerOf(socket)) === 'gone') socket.destroy();
  };
  const begin = (): void => {
    timer = setInterval(() => void look(), LOOK_MS);
  };
  if (socket.readableEnded) begin();
  else socket.once('end', begin);
  return () => {
    socket.off('end', begin);
    clearInterval(timer);
  };
}
