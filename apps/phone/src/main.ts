import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenAddress, readSettings } from '@sallyport/settings';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

/** Nothing but our own files runs; connections go to the gateway only; frames show what we put into them. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src ws: wss: http: https:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

const settings = readSettings({
  SALLYPORT_LISTEN: listenAddress('where the phone page is served', { host: '127.0.0.1', port: 8480 }),
});
const folder = fileURLToPath(new URL('../dist', import.meta.url));
if (!existsSync(join(folder, 'index.html')))
  throw new Error('the phone page is not built: run npm run build -w apps/phone');

/** The file for a path: a built file by its plain name, the page itself for everything else. */
function fileFor(path: string): string {
  const name = /^\/(?:assets\/)?[A-Za-z0-9_.-]+\.(?:js|css)$/.test(path) ? path : '/index.html';
  const file = join(folder, name);
  return existsSync(file) ? file : join(folder, 'index.html');
}

const server = createServer((request, response) => {
  const file = fileFor(new URL(request.url ?? '/', 'http://phone').pathname);
  response.writeHead(200, { ...HEADERS, 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
  createReadStream(file).pipe(response);
});
const { host, port } = settings.SALLYPORT_LISTEN;
server.listen({ host, port }, () => {
  if (process.send) process.send({ type: 'ready', url: `http://${host}:${port}` });
});
const stop = (): void => {
  server.closeAllConnections();
  server.close(() => process.exit(0));
};
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
process.on('disconnect', stop);
