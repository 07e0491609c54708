import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

/** What the page of the application finds out about itself in a browser. */
export interface PageFacts {
  readonly secureContext: boolean;
  readonly subtle: boolean;
  readonly cookies: string;
  readonly socket: string;
}

const COOKIES = [
  'plain=1; Path=/',
  'sid=42; Path=/; Secure; HttpOnly; SameSite=Lax',
  '__Host-csrf=7; Path=/; Secure; SameSite=Strict',
  '__Secure-seen=yes; Path=/; Secure',
];

const PAGE = `<!doctype html><title>intranet</title><script>
const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');
socket.onopen = () => socket.send('over ' + socket.url.split(':')[0]);
socket.onmessage = async ({ data }) => {
  const cookies = await (await fetch('/cookies')).text();
  document.body.dataset.facts = JSON.stringify({
    secureContext: isSecureContext, subtle: crypto.subtle !== undefined, cookies, socket: data });
};
</script><body>`;

/** An application that signs in by cookies which only https keeps, and sends its visitors about by its own address. */
export async function startSignInBackend(): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => answer(`127.0.0.1:${address().port}`, request, response));
  const address = (): AddressInfo => server.address() as AddressInfo;
  const sockets = new WebSocketServer({ server, path: '/ws' });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${address().port}`, close };
}

function answer(own: string, request: IncomingMessage, response: ServerResponse): void {
  const { url = '/', headers } = request;
  // By its own address, as an application does that knows no other.
  if (url === '/') return redirect(response, `http://${own}/login`);
  if (url === '/login')
    return redirect(response, '/home', [
      ...COOKIES,
      `wide=1; Path=/; Domain=127.0.0.1; Secure`,
      'theirs=1; Domain=other.example',
    ]);
  if (url === '/away') return redirect(response, 'https://other.example/');
  if (url === '/refresh') return void response.writeHead(200, { refresh: `0;url=http://${own}/cookies` }).end('wait');
  if (url === '/cookies') return void response.end(namesOf(headers.cookie));
  if (url === '/told') return void response.end(`${headers['forwarded']} ${headers['x-forwarded-proto'] ?? '-'}`);
  response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
}

function redirect(response: ServerResponse, location: string, cookies: readonly string[] = []): void {
  response.writeHead(302, { location, 'set-cookie': [...cookies] }).end();
}

function namesOf(cookie = ''): string {
  return cookie
    .split('; ')
    .map((pair) => pair.split('=')[0])
    .sort()
    .join(' ');
}
