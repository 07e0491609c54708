import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { createPlainServer, pathOf } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';
import { type Part, type PhoneOrigins, partOf, plainHostOf } from './origins.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

/** Where the page itself is: its start, where enrolment links lead, and where providers send people back to. */
const PAGE_PATHS: readonly string[] = ['/', '/index.html', '/enroll', '/signed-in'];

/** Keeps the shell in the browser. */
const SHELL_WORKER = '/shell-worker.js';

/** Folder, in what was built and at every origin of a resource, of what is ours there. */
const RESOURCE_FOLDER = '/.sallyport/';

type Headers = Readonly<Record<string, string>>;

interface ServedFile {
  readonly type: string;
  readonly content: Buffer;
}

type Served = Readonly<Record<Part, ReadonlyMap<string, ServedFile>>>;

/**
 * The server of the phone page: GET and HEAD of what was built, nothing else, by the host that is asked: the shell at its origin, and
 * at each origin of a resource only what starts the service worker, which answers everything else there. `folder` holds what was built.
 */
export function createPhoneServer(folder: string, origins: PhoneOrigins, log: Log): Server {
  const served = filesOf(folder, origins);
  const headers = { shell: shellHeaders(origins), resource: resourceHeaders(origins) };
  return createPlainServer(log, (request, response) => {
    const { host } = request.headers;
    if (host === plainHostOf(origins)) return lead(request, response, { origins, headers: headers.shell });
    const part = partOf(host, origins);
    if (part === undefined) return refuse(response, 421, `the phone page is at ${origins.shell}\n`, headers.shell);
    serve(fileFor(part, served, request), { request, response, headers: headers[part] });
  });
}

/**
 * On this machine the phone page is also known as plain `localhost`, the only name over http to which providers send people back:
 * whoever comes there is led on. The fragment of a link stays in the browser, and goes along.
 */
function lead(
  request: IncomingMessage,
  response: ServerResponse,
  { origins, headers }: { origins: PhoneOrigins; headers: Headers },
): void {
  if (!PAGE_PATHS.includes(pathOf(request) ?? '')) return refuse(response, 404, 'there is nothing here\n', headers);
  response.writeHead(308, { ...headers, location: origins.shell + request.url }).end();
}

/** The files by the paths that they are served at; what differs from place to place is put in. */
function filesOf(folder: string, origins: PhoneOrigins): Served {
  const shell = new Map<string, ServedFile>();
  const resource = new Map<string, ServedFile>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const path = `/${name.replaceAll('\\', '/')}`;
    const file = { type, content: withOrigins(readFileSync(join(folder, name)), type, origins) };
    (path.startsWith(RESOURCE_FOLDER) ? resource : shell).set(path, file);
  }
  const page = shell.get('/index.html');
  if (page) shell.set('/', page);
  const worker = shell.get(SHELL_WORKER);
  if (worker) shell.set(SHELL_WORKER, { ...worker, content: withFiles(worker.content, shell) });
  if (page) for (const path of PAGE_PATHS) shell.set(path, page);
  return { shell, resource };
}

/** The shell's worker is told what it keeps, and a digest of that: with any other file, or setting, it is another worker. */
function withFiles(worker: Buffer, shell: ReadonlyMap<string, ServedFile>): Buffer {
  const kept = [...shell].filter(([path]) => path !== SHELL_WORKER && path !== '/index.html');
  kept.sort(([one], [other]) => (one < other ? -1 : 1));
  const digest = createHash('sha256');
  for (const [path, { content }] of kept) digest.update(`${path} ${content.length}\n`).update(content);
  const files = kept.map(([path]) => path).join(' ');
  return Buffer.from(
    worker.toString().replace('%FILES%', files).replace('%DIGEST%', digest.digest('hex').slice(0, 16)),
  );
}

function withOrigins(content: Buffer, type: string, { shell, resources }: PhoneOrigins): Buffer {
  if (!/html|javascript/.test(type)) return content;
  return Buffer.from(content.toString().replaceAll('%SHELL%', shell).replaceAll('%RESOURCES%', resources));
}

/** At an origin of a resource, any address that somebody opens before the service worker is there shows the page that brings it. */
function fileFor(part: Part, served: Served, request: IncomingMessage): ServedFile | undefined {
  const path = pathOf(request) ?? '';
  const file = served[part].get(path);
  if (file || part === 'shell' || path === '' || path.startsWith(RESOURCE_FOLDER)) return file;
  const destination = request.headers['sec-fetch-dest'];
  return destination === 'document' || destination === 'iframe'
    ? served.resource.get(`${RESOURCE_FOLDER}open.html`)
    : undefined;
}

function serve(
  file: ServedFile | undefined,
  { request, response, headers }: { request: IncomingMessage; response: ServerResponse; headers: Headers },
): void {
  if (file === undefined) return refuse(response, 404, 'there is nothing here\n', headers);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return refuse(response, 405, 'only GET and HEAD\n', headers);
  }
  response.writeHead(200, { ...headers, 'content-type': file.type, 'content-length': file.content.length });
  response.end(request.method === 'HEAD' ? undefined : file.content);
}

function refuse(response: ServerResponse, status: number, text: string, headers: Headers): void {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}

const BOTH: Headers = {
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'cache-control': 'no-cache',
  'permissions-policy':
    'accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()',
};

/** Only our own files run; connections go to the gateway; frames show resources, and nothing that is on the internet. */
function shellHeaders({ resources }: PhoneOrigins): Headers {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    'connect-src ws: wss: http: https:',
    `frame-src ${resources}`,
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    ...BOTH,
    'content-security-policy': policy.join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
  };
}

/** Our own pages at a resource's origin: nobody but the shell frames them. */
function resourceHeaders({ shell }: PhoneOrigins): Headers {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'unsafe-inline'",
    "connect-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    `frame-ancestors ${shell}`,
  ];
  return {
    ...BOTH,
    'content-security-policy': policy.join('; '),
    'referrer-policy': 'same-origin',
    'service-worker-allowed': '/',
  };
}
