import { createServer, type Server, type Socket } from 'node:net';
import type { LocalAccess } from './access.ts';
import type { Crossing } from './crossing.ts';
import { guarded } from './http-server.ts';
import type { Answer } from './refusal.ts';
import { deadline, readBytes } from './socket-reader.ts';
import { encodeSocksReply, isAddress, readSocksRequest, type SocksReply } from './socks.ts';

/** Connections of local programs at once, of each port. */
export const MAX_LOCAL_CONNECTIONS = 512;
/** How long a client may take to say what it wants, ms. */
const REQUEST_MS = 30_000;

/** How a SOCKS client is told what an HTTP client would be told by a status. */
const REPLIES: Readonly<Record<number, SocksReply>> = {
  401: 'notAllowed',
  403: 'notAllowed',
  404: 'notAllowed',
  502: 'hostUnreachable',
  503: 'networkUnreachable',
  504: 'timedOut',
};

/** What the servers of local ports need. */
export interface LocalPorts {
  readonly crossing: Crossing;
  readonly access: LocalAccess;
  /** Says to people why a connection was refused, where the protocol has no words for it. */
  say(text: string): void;
}

/** A SOCKS5 server for TCP connections to the user's resources. */
export function createSocksServer(ports: LocalPorts): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, () => serve(socket, ports));
  });
  server.maxConnections = MAX_LOCAL_CONNECTIONS;
  return server;
}

async function serve(socket: Socket, { crossing, access, say }: LocalPorts): Promise<void> {
  const refused = access.byPassword ? undefined : await access.ofSocket(socket);
  if (refused) {
    say(refused.text);
    return void socket.destroy();
  }
  const met = deadline(socket, REQUEST_MS);
  const client = {
    read: (count: number) => readBytes(socket, count),
    write: (bytes: Uint8Array) => void socket.write(bytes),
  };
  const request = await readSocksRequest(client, access);
  met();
  if ('refused' in request) return refuse(socket, () => say(request.refused));
  const found = await crossing.find(request.destination);
  if (typeof found === 'function') {
    socket.write(encodeSocksReply('succeeded'));
    return found(socket);
  }
  const resolved = isAddress(request.destination) ? '; set the client to leave names to the proxy (socks5h)' : '';
  refuse(socket, () => say(`${found.text}${resolved}`), found);
}

/** Lets the client read its refusal, and no more come. */
function refuse(socket: Socket, tell: () => void, answer?: Answer): void {
  tell();
  if (answer) socket.write(encodeSocksReply(REPLIES[answer.status] ?? 'failed'));
  socket.end();
  socket.resume();
  deadline(socket, REQUEST_MS);
}
