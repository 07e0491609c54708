import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/**
 * A backend that signs the connection in, as IIS does by default (NTLM, Negotiate): when a connection has carried
 * `NTLM first` and then `NTLM last-<user>`, all its requests are that user's.
 */
export async function startBindingBackend(): Promise<{ url: string; users(): string[]; close(): void }> {
  const users = new Map<Socket, string>();
  const challenged = new WeakSet<Socket>();
  const server = createServer((request, response) => {
    const { socket } = request;
    const [, token] = /^NTLM (.*)$/.exec(request.headers.authorization ?? '') ?? [];
    if (token?.startsWith('last-') && challenged.has(socket)) users.set(socket, token.slice(5));
    else if (token !== undefined) challenged.add(socket);
    const user = users.get(socket);
    if (user === undefined) response.writeHead(401, { 'www-authenticate': 'NTLM' });
    response.end(`you are ${user ?? 'nobody'}`);
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket: Socket) => socket.on('close', () => users.delete(socket)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, users: () => [...users.values()], close };
}
