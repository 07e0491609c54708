import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** While a service closes, connections on which nothing is under way are looked for this often, ms. */
const SWEEP_MS = 100;
/** So many times later whoever is left is cut off: hellos that stop half way, sockets that became something else. */
const LAST_SWEEP = 10;
/** So many times after the end began nobody is waited for who has not sent the whole of a request: Node has no limit for it any more. */
const UNFINISHED_SWEEP = 100;

/** What an HTTP server knows of its connections. */
type HttpServer = Server & { closeAllConnections(): void };

/**
 * Lets a service end as soon as its last answer is given. Node waits for connections as long as their clients like: for one whose answer
 * was under way when the end began, which it keeps alive, and for one on which nobody has ever asked anything, like that of a scanner.
 */
export function closeWithAnswers(service: FastifyInstance): void {
  const server = service.server as HttpServer;
  const sockets = new Set<Socket>();
  const underWay = new Set<IncomingMessage>();
  let [closing, sweeps, idleSweeps] = [false, 0, 0];
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    underWay.add(request);
    response.once('close', () => underWay.delete(request));
  });
  const sweep = (): void => {
    sweeps += 1;
    if (sweeps >= UNFINISHED_SWEEP) for (const { complete, socket } of underWay) if (!complete) socket.destroy();
    if (underWay.size > 0) return;
    idleSweeps += 1;
    server.closeAllConnections();
    if (idleSweeps >= LAST_SWEEP) for (const socket of sockets) socket.destroy();
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
