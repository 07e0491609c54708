import type { Server, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** While a service closes, connections on which nothing is under way are looked for this often, ms. */
const SWEEP_MS = 100;
/** So many times later whoever is left is cut off: hellos that stop half way, sockets that became something else. */
const LAST_SWEEP = 10;

/** What an HTTP server knows of its connections. */
type HttpServer = Server & { closeAllConnections(): void };

/**
 * Lets a service end as soon as its last answer is given. Node waits for connections as long as their clients like: for one whose answer
 * was under way when the end began, which it keeps alive, and for one on which nobody has ever asked anything, like that of a scanner.
 */
export function closeWithAnswers(service: FastifyInstance): void {
  const server = service.server as HttpServer;
  const sockets = new Set<Socket>();
  let [closing, underWay, sweeps] = [false, 0, 0];
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (_request, response) => {
    underWay += 1;
    response.once('close', () => {
      underWay -= 1;
    });
  });
  const sweep = (): void => {
    if (underWay > 0) return;
    sweeps += 1;
    server.closeAllConnections();
    if (sweeps >= LAST_SWEEP) for (const socket of sockets) socket.destroy();
  };
  service.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  service.addHook('preClose', async () => {
    closing = true;
    const timer = setInterval(sweep, SWEEP_MS);
    server.once('close', () => clearInterval(timer));
    // One that never listened has nobody to wait for, and no end that it tells of.
    if (!server.listening) clearInterval(timer);
  });
}
