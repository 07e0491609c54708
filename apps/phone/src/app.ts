import { createReadStream, readdirSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { createPlainServer, pathOf } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

/** Where the page itself is: its start, where enrolment links lead, and where providers send people back to. */
const PAGE_PATHS: readonly string[] = ['/', '/index.html', '/enroll', '/signed-in'];

/**
 * Nothing but our own files runs; connections go to the gateway only; frames show what we put into them; no other page
 * shares our process or our features of the browser.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src ws: wss: http: https:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'permissions-policy':
    'accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

/** The server of the phone page: GET and HEAD of what was built, nothing else. `folder` holds the built page. */
export function createPhoneServer(folder: string, log: Log): Server {
  const files = filesOf(folder);
  return createPlainServer(log, (request, response) => serve(files, request, response));
}

/** The files by the paths that they are served at. */
function filesOf(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => TYPES[extname(name)]);
  const built = names.map((name) => [`/${name.replaceAll('\\', '/')}`, join(folder, name)] as const);
  return new Map([...built, ...PAGE_PATHS.map((path) => [path, join(folder, 'index.html')] as const)]);
}

function serve(files: ReadonlyMap<string, string>, request: IncomingMessage, response: ServerResponse): void {
  const { method } = request;
  const file = files.get(pathOf(request) ?? '');
  if (file === undefined) return refuse(response, 404, 'there is nothing here\n');
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return refuse(response, 405, 'only GET and HEAD\n');
  }
  response.writeHead(200, { ...HEADERS, 'content-type': TYPES[extname(file)] });
  if (method === 'HEAD') return void response.end();
  // A file that cannot be read cuts its own answer short; the server goes on.
  pipeline(createReadStream(file), response, () => undefined);
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}
