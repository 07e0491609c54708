import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Wish } from './desk.ts';
import type { DeskSessions } from './desk-sessions.ts';

const KEPT_MESSAGES = 20;
const MAX_MESSAGE_BYTES = 64 * 1024;

/**
 * The WebSockets: a chat for everybody at `/chat`, which knows the names of those who are signed in, and what happens at the desk
 * at `/desk/live`, for them alone. Gives what tells the desk of a wish.
 */
export function addSockets(service: FastifyInstance, sessions: DeskSessions): (wish: Wish) => void {
  const chat = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  const desk = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  chat.on('connection', chatter(chat, sessions));
  desk.on('connection', (socket) => socket.on('error', () => socket.terminate()));
  service.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const path = request.url?.split('?', 1)[0];
    const server = path === '/chat' ? chat : path === '/desk/live' ? desk : undefined;
    if (!server) return refuse(socket, '404 Not Found');
    if (isForeign(request)) return refuse(socket, '403 Forbidden');
    if (server === desk && !sessions.find(request.headers.cookie)) return refuse(socket, '401 Unauthorised');
    server.handleUpgrade(request, socket, head, (open) => server.emit('connection', open, request));
  });
  service.addHook('onClose', async () => {
    for (const socket of [...chat.clients, ...desk.clients]) socket.terminate();
  });
  return (wish) => {
    for (const socket of desk.clients) socket.send(JSON.stringify(wish));
  };
}

function chatter(chat: WebSocketServer, sessions: DeskSessions) {
  const kept: string[] = [];
  return (socket: WebSocket, { headers }: IncomingMessage): void => {
    const name = sessions.find(headers.cookie)?.name;
    socket.on('error', () => socket.terminate());
    for (const message of kept) socket.send(message);
    socket.on('message', (data) => {
      const text = String(data).slice(0, 2_000);
      const message = name === undefined ? text : `${name}: ${text}`;
      kept.push(message);
      if (kept.length > KEPT_MESSAGES) kept.shift();
      for (const other of chat.clients) other.send(message);
    });
  };
}

/** True for a page of another origin: it would act with this user's cookie. */
function isForeign({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host;
}

function refuse(socket: Duplex, status: string): void {
  const text = `${status}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
}
