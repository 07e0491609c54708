import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { WebSocketServer } from 'ws';

/** A web application as companies have them, and what reached it. */
export interface Office {
  readonly url: string;
  readonly requests: { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers'] }[];
  close(): void;
}

const HTML = { 'content-type': 'text/html; charset=utf-8' };

const LOGIN = `<!doctype html><html lang="en"><title>Sign in · Office</title><h1>Sign in</h1>
<form method="post" action="http://office.corp/login"><input name="user" aria-label="User"><input type="hidden" name="csrf">
<button>Sign in</button></form><script>document.forms[0].csrf.value = document.cookie.split('csrf=')[1]</script></html>`;

const DESK = `<!doctype html>
<html lang="en"><head><title>Desk · Office</title><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/style.css">
<script src="http://office.corp/app.js" defer></script></head>
<body><h1>Desk</h1><p id="hello"></p><ul id="said"></ul><p id="tide"></p>
<form method="post" action="/upload" enctype="multipart/form-data"><input type="file" name="file" aria-label="File"><button id="send">Send</button></form>
<a id="next" href="/list?page=2">Next page</a> <a id="absolute" href="http://office.corp/list?page=3">Absolute</a>
<a id="window" target="_blank" href="/list?page=4">New window</a> <a id="other" href="http://wiki.corp/start">Wiki</a>
<a id="out" href="http://outside.example/">Outside</a> <a id="moved" href="/moved">Moved</a>
<a id="report" href="/report.csv">Report</a> <a id="save" download="plain.txt" href="/plain.txt">Save</a></body></html>`;

const APP = `
const say = (id, text) => { document.getElementById(id).textContent = text };
document.cookie = 'seen=yes; path=/';
fetch('/api/hello', { method: 'POST', body: JSON.stringify({ name: 'ada' }) }).then((r) => r.json())
  .then(({ text, cookie }) => say('hello', text + ' | ' + cookie + ' | ' + document.cookie));
const socket = new WebSocket('/live');
socket.onopen = () => socket.send('good morning');
socket.onmessage = ({ data }) => document.getElementById('said').append(Object.assign(document.createElement('li'), { textContent: data }));
new EventSource('http://office.corp/events').onmessage = ({ data }) => say('tide', data);
`;

/** Starts it: sign-in with cookies, forms, scripts, an event stream, a WebSocket, uploads, downloads and redirects. */
export async function startOffice(): Promise<Office> {
  const requests: Office['requests'] = [];
  const sessions = new Set<string>();
  const server = createServer((request, response) => {
    requests.push({ method: request.method!, url: request.url!, headers: request.headers });
    answer(request, response, sessions).catch(() => response.destroy());
  });
  addLive(server, sessions);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}

function isSignedIn({ headers }: IncomingMessage, sessions: ReadonlySet<string>): boolean {
  return sessions.has(/__Host-sid=([^;]+)/.exec(headers.cookie ?? '')?.[1] ?? '');
}

async function answer(request: IncomingMessage, response: ServerResponse, sessions: Set<string>): Promise<void> {
  const url = new URL(request.url!, 'http://office.corp');
  if (url.pathname === '/login') return signIn(request, response, sessions);
  if (!isSignedIn(request, sessions)) return redirect(response, 'http://office.corp/login');
  const page = PAGES[url.pathname];
  if (page) return page(request, response, url);
  response.writeHead(404, HTML).end('<!doctype html><title>404</title><h1>No such page</h1>');
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { location }).end();
}

async function signIn(request: IncomingMessage, response: ServerResponse, sessions: Set<string>): Promise<void> {
  if (request.method === 'GET')
    return void response.writeHead(200, { ...HTML, 'set-cookie': 'csrf=t-42; SameSite=Lax' }).end(LOGIN);
  const form = new URLSearchParams((await buffer(request)).toString());
  const { origin, cookie = '' } = request.headers;
  const good = form.get('csrf') === 't-42' && cookie.includes('csrf=t-42') && origin === 'http://office.corp';
  if (!good) return void response.writeHead(403, HTML).end('<h1>Forged</h1>');
  const sid = randomUUID();
  sessions.add(sid);
  const session = `__Host-sid=${sid}; Path=/; Secure; HttpOnly; SameSite=Strict`;
  response.writeHead(303, { location: '/', 'set-cookie': [session, 'theme=dark; Domain=corp; Max-Age=3600'] }).end();
}

type Page = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

const PAGES: Readonly<Record<string, Page>> = {
  '/': (_request, response) =>
    void response
      .writeHead(200, {
        ...HTML,
        'content-encoding': 'gzip',
        'content-security-policy': "default-src 'self' office.corp",
      })
      .end(gzipSync(DESK)),
  '/app.js': (_request, response) => void response.writeHead(200, { 'content-type': 'text/javascript' }).end(APP),
  '/style.css': (_request, response) =>
    void response.writeHead(200, { 'content-type': 'text/css' }).end('h1{color:rgb(1,2,3)}'),
  '/icon.svg': (_request, response) =>
    void response
      .writeHead(200, { 'content-type': 'image/svg+xml' })
      .end('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="teal"/></svg>'),
  '/api/hello': async (request, response) => {
    const { name } = JSON.parse((await buffer(request)).toString()) as { name: string };
    const { cookie = '', origin } = request.headers;
    const names = cookie.split('; ').map((one) => one.split('=')[0]);
    const answered = JSON.stringify({ text: `hello ${name} from ${origin}`, cookie: names.sort().join(',') });
    response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'fresh=1; Path=/' }).end(answered);
  },
  '/list': (_request, response, url) =>
    void response
      .writeHead(200, HTML)
      .end(`<!doctype html><title>List</title><h1>Page ${url.searchParams.get('page')}</h1><a href="/">Desk</a>`),
  '/moved': (_request, response) => redirect(response, 'http://office.corp/list?page=5'),
  '/upload': async (request, response) => {
    const bytes = await buffer(request);
    const sum = createHash('sha256').update(bytes).digest('hex');
    const declared = request.headers['content-length'];
    response
      .writeHead(200, HTML)
      .end(`<!doctype html><h1>Got ${bytes.length} of ${declared}</h1><p id="sum">${sum}</p>`);
  },
  '/report.csv': (_request, response) => {
    const content = 'day,boats\n'.padEnd(300_000, 'mon,7\n');
    const disposition = 'attachment; filename="report.csv"';
    response.writeHead(200, { 'content-type': 'text/csv', 'content-disposition': disposition }).end(content);
  },
  '/plain.txt': (_request, response) =>
    void response.writeHead(200, { 'content-type': 'text/plain' }).end('plain words'),
  '/locked': (request, response) => {
    const right = request.headers.authorization === `Basic ${Buffer.from('ada:s3cret').toString('base64')}`;
    if (!right)
      return void response
        .writeHead(401, { ...HTML, 'www-authenticate': 'Basic realm="Vault"' })
        .end('<h1>Closed</h1>');
    response.writeHead(200, HTML).end('<!doctype html><title>Vault</title><h1>Open</h1>');
  },
  '/events': (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: tide 2.1 m\n\n');
    request.on('close', () => response.end());
  },
};

function addLive(server: Server, sessions: ReadonlySet<string>): void {
  const sockets = new WebSocketServer({
    server,
    path: '/live',
    verifyClient: ({ req, origin }: { req: IncomingMessage; origin: string }) =>
      origin === 'http://office.corp' && isSignedIn(req, sessions),
  });
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => socket.send(`you said: ${data}`));
  });
}
