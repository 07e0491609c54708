import type { Readable } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import { addBerths } from './berths.ts';
import { addDav } from './dav/routes.ts';
import { addDesk } from './desk.ts';
import { DeskSessions } from './desk-sessions.ts';
import { FileShare } from './files.ts';
import type { Identity } from './identity.ts';
import { CHAT, DAV_PAGE, escapeHtml, HOME, IMAGES, NEWS, page, SCRIPTS, STYLE, UPLOAD } from './pages.ts';
import { addSockets } from './sockets.ts';

/** What the sample intranet is made of. */
export interface IntranetOptions {
  /** Where the files of the share lie, and beside it those of the WebDAV folder. */
  readonly shareFolder: string;
  readonly identify: (assertion: unknown) => Promise<Identity | undefined>;
}

const HTML = 'text/html; charset=utf-8';
const EVENT_MS = 1_000;

/**
 * The sample intranet, with a bit of everything that companies run: pages with images, a file share, an application that is signed in
 * to by a form and a cookie, WebSockets, server-sent events, a WebDAV folder and a page of one large table.
 */
export async function createIntranet({ shareFolder, identify }: IntranetOptions): Promise<FastifyInstance> {
  const service = Fastify({ bodyLimit: 8 * 1024 ** 3 });
  // Whatever a file is, it is taken as it is.
  service.removeAllContentTypeParsers();
  service.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  service.get('/', (_request, reply) => reply.type(HTML).send(HOME));
  service.get('/news', (_request, reply) => reply.type(HTML).send(NEWS));
  service.get('/talk', (_request, reply) => reply.type(HTML).send(CHAT));
  for (const [name, script] of Object.entries(SCRIPTS))
    service.get(`/${name}`, (_request, reply) => reply.type('text/javascript').send(script));
  service.get('/style.css', (_request, reply) => reply.type('text/css').send(STYLE));
  service.get<{ Params: { name: string } }>('/images/:name', (request, reply) => {
    const image = IMAGES[request.params.name];
    return image ? reply.type('image/svg+xml').send(image) : reply.code(404).send();
  });
  service.get('/whoami', async (request, reply) => {
    const identity = await identify(request.headers['sallyport-assertion']);
    const text = identity
      ? `You are <strong>${escapeHtml(identity.name)}</strong>, in ${identity.groups.map(escapeHtml).join(', ')}.`
      : 'The gateway said nothing that could be verified.';
    return reply.type(HTML).send(page('Who am I', `<p>${text}</p>`));
  });
  addFiles(service, new FileShare(shareFolder));
  addEvents(service);
  addBerths(service);
  const sessions = new DeskSessions();
  addDesk(service, sessions, addSockets(service, sessions));
  service.get('/folder', (_request, reply) => reply.type(HTML).send(DAV_PAGE));
  await addDav(service, '/dav', `${shareFolder}-dav`);
  return service;
}

function addFiles(service: FastifyInstance, share: FileShare): void {
  service.get('/files', async (_request, reply) => {
    const rows = (await share.list()).map(
      ({ name, bytes }) =>
        `<tr><td><a href="/files/${encodeURIComponent(name)}" download>${escapeHtml(name)}</a></td><td>${bytes.toLocaleString('en')}</td></tr>`,
    );
    return reply
      .type(HTML)
      .send(page('Files', `<table><tr><th>Name</th><th>Bytes</th></tr>${rows.join('')}</table>${UPLOAD}`));
  });
  service.get('/files.json', () => share.list());
  service.get<{ Params: { name: string } }>('/files/:name', async (request, reply) => {
    const { name } = request.params;
    const found = FileShare.allows(name) ? await share.read(name) : undefined;
    if (!found) return reply.code(404).send({ error: 'no such file' });
    return reply.header('content-length', found.bytes).type('application/octet-stream').send(found.content);
  });
  service.put<{ Params: { name: string }; Body: Readable }>('/files/:name', async (request, reply) => {
    const { name } = request.params;
    if (!FileShare.allows(name)) return reply.code(400).send({ error: 'the name is not allowed' });
    return { name, bytes: await share.write(name, request.raw) };
  });
}

function addEvents(service: FastifyInstance): void {
  service.get('/events', (request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    let count = 0;
    const send = (): void =>
      void reply.raw.write(`id: ${++count}\ndata: tide ${(2 + Math.sin(Date.now() / 60_000)).toFixed(2)} m\n\n`);
    send();
    const timer = setInterval(send, EVENT_MS);
    request.raw.on('close', () => clearInterval(timer));
  });
}
