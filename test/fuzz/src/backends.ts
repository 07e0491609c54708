import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { WebSocketServer } from 'ws';

/** A backend, and how to end it. */
export interface Backend {
  readonly url: string;
  close(): void;
}

/** Listens on a free port of this machine; gives the URL. */
export async function listening(server: Server, scheme: string): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Says who is asking, by the assertion of the gateway, and what was sent. */
export async function honestBackend(): Promise<Backend> {
  const server = createHttpServer((request, response) => {
    const assertion = String(request.headers['sallyport-assertion'] ?? '..');
    const parts: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (part) => void parts.push(part));
    request.on('end', () => {
      response.setHeader('x-name', nameIn(assertion));
      response.end(Buffer.concat(parts));
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    const name = nameIn(String(request.headers['sallyport-assertion'] ?? '..'));
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => socket.send(`${name} ${String(data)}`));
  });
  return { url: await listening(server, 'http'), close: () => server.close() };
}

function nameIn(assertion: string): string {
  try {
    return String(JSON.parse(Buffer.from(assertion.split('.')[1]!, 'base64url').toString()).name);
  } catch {
    return '';
  }
}

/** Gives every byte back. */
export async function echoBackend(): Promise<Backend> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  return { url: await listening(server, 'tcp'), close: () => server.close() };
}
