import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { DavFolder, type Entry } from './folder.ts';
import { type Lock, Locks, MAX_LOCK_MS } from './locks.ts';
import { document, emptyElement, escapeXml, type PropertyName, readPropertyNames, readText } from './xml.ts';

/** Methods of WebDAV beside those of HTTP (RFC 4918, section 9). */
const DAV_METHODS: readonly string[] = ['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK'];
const METHODS = ['OPTIONS', 'GET', 'HEAD', 'PUT', 'DELETE', ...DAV_METHODS];
const XML = 'application/xml; charset=utf-8';
const MAX_XML_BYTES = 65_536;

/** Ends a request with a status and no words. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`${status}`);
    this.status = status;
  }
}

function demand(condition: boolean, status: number): asserts condition {
  if (!condition) throw new Refusal(status);
}

/** A request in the folder: its path there, and the lock tokens that it shows. */
interface Call {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly path: string;
  readonly tokens: readonly string[];
}

/**
 * A folder for WebDAV clients (RFC 4918, classes 1 and 2) under a path of the service, for instance cadaver, rclone or a file manager.
 * Properties of clients are not kept.
 */
export async function addDav(service: FastifyInstance, at: string, root: string): Promise<void> {
  const folder = new DavFolder(root);
  await folder.open();
  const dav = new Dav(folder, at);
  for (const method of DAV_METHODS) service.addHttpMethod(method, { hasBody: true });
  for (const url of [at, `${at}/*`])
    service.route({ method: METHODS, url, exposeHeadRoute: false, handler: dav.handle });
}

class Dav {
  readonly #folder: DavFolder;
  readonly #at: string;
  readonly #locks = new Locks();
  readonly #handlers: Readonly<Record<string, (call: Call) => unknown>> = {
    OPTIONS: ({ reply }) => reply.header('allow', METHODS.join(', ')).send(),
    PROPFIND: (call) => this.#propfind(call),
    PROPPATCH: (call) => this.#proppatch(call),
    GET: (call) => this.#get(call),
    HEAD: (call) => this.#get(call),
    PUT: (call) => this.#put(call),
    DELETE: (call) => this.#delete(call),
    MKCOL: (call) => this.#mkcol(call),
    COPY: (call) => this.#transfer(call, false),
    MOVE: (call) => this.#transfer(call, true),
    LOCK: (call) => this.#lock(call),
    UNLOCK: (call) => this.#unlock(call),
  };

  constructor(folder: DavFolder, at: string) {
    this.#folder = folder;
    this.#at = at;
  }

  readonly handle = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    reply.header('dav', '1, 2').header('ms-author-via', 'DAV');
    try {
      const path = this.#pathOf(request.raw.url ?? '');
      const tokens = [...String(request.headers.if ?? '').matchAll(/<(urn:uuid:[^>]+)>/g)].map(([, token]) => token!);
      return await this.#handlers[request.method]!({ request, reply, path, tokens });
    } catch (error) {
      if (error instanceof Refusal) return reply.code(error.status).send();
      throw error;
    }
  };

  #pathOf(url: string): string {
    const path = DavFolder.pathOf(url.split('?', 1)[0]!.slice(this.#at.length));
    demand(path !== undefined, 400);
    return path;
  }

  async #propfind({ request, reply, path }: Call): Promise<unknown> {
    const entry = await this.#existing(path);
    const { depth = 'infinity' } = request.headers;
    demand(depth === '0' || depth === '1', 403);
    const names = readPropertyNames(await textOf(request.raw));
    const entries = entry.isFolder && depth === '1' ? [entry, ...(await this.#folder.list(path))] : [entry];
    const responses = entries.map((one) => this.#response(one, names));
    return reply
      .code(207)
      .type(XML)
      .send(document('multistatus', responses.join('')));
  }

  #response(entry: Entry, names: readonly PropertyName[] | undefined): string {
    const all = this.#properties(entry);
    const isKnown = ({ namespace, name }: PropertyName): boolean => namespace === 'DAV:' && name in all;
    const known = names ? names.filter(isKnown).map(({ name }) => name) : Object.keys(all);
    const unknown = names?.filter((name) => !isKnown(name)) ?? [];
    const found = known.map((name) => `<D:${name}>${all[name]}</D:${name}>`).join('');
    const missing = unknown.map(emptyElement).join('');
    const href = escapeXml(this.#hrefOf(entry));
    return `<D:response><D:href>${href}</D:href>${propstat(found, '200 OK')}${propstat(missing, '404 Not Found')}</D:response>`;
  }

  #properties(entry: Entry): Record<string, string> {
    const { path, isFolder, bytes, changedAt, etag } = entry;
    const kinds = ['exclusive', 'shared'].map(
      (scope) =>
        `<D:lockentry><D:lockscope><D:${scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>`,
    );
    const common = {
      displayname: escapeXml(path.slice(path.lastIndexOf('/') + 1)),
      resourcetype: isFolder ? '<D:collection/>' : '',
      creationdate: changedAt.toISOString(),
      getlastmodified: changedAt.toUTCString(),
      supportedlock: kinds.join(''),
      lockdiscovery: this.#locks
        .of(path)
        .map((lock) => this.#activeLock(lock))
        .join(''),
    };
    if (isFolder) return common;
    return {
      ...common,
      getcontentlength: String(bytes),
      getcontenttype: 'application/octet-stream',
      getetag: escapeXml(etag),
    };
  }

  /** Properties are not a client's to change here: each one that it names is refused (RFC 4918, section 9.2). */
  async #proppatch({ request, reply, path, tokens }: Call): Promise<unknown> {
    const entry = await this.#existing(path);
    demand(this.#locks.allows(path, tokens), 423);
    const names = readPropertyNames(await textOf(request.raw)) ?? [];
    const refused = propstat(names.map(emptyElement).join(''), '403 Forbidden');
    const response = `<D:response><D:href>${escapeXml(this.#hrefOf(entry))}</D:href>${refused}</D:response>`;
    return reply.code(207).type(XML).send(document('multistatus', response));
  }

  async #get({ request, reply, path }: Call): Promise<unknown> {
    const entry = await this.#existing(path);
    demand(!entry.isFolder, 405);
    reply.header('etag', entry.etag).header('last-modified', entry.changedAt.toUTCString());
    reply.header('content-length', entry.bytes).type('application/octet-stream');
    return reply.send(request.method === 'HEAD' ? null : this.#folder.read(path));
  }

  async #put({ request, reply, path, tokens }: Call): Promise<unknown> {
    const before = await this.#folder.find(path);
    demand(path !== '' && !before?.isFolder, 405);
    demand(await this.#folder.hasParent(path), 409);
    demand(this.#locks.allows(path, tokens), 423);
    demand(meetsConditions(request, before), 412);
    await this.#folder.write(path, request.raw);
    return reply.code(before ? 204 : 201).send();
  }

  async #delete({ reply, path, tokens }: Call): Promise<unknown> {
    await this.#existing(path);
    demand(path !== '', 403);
    demand(this.#locks.allows(path, tokens, true), 423);
    await this.#folder.remove(path);
    this.#locks.forget(path);
    return reply.code(204).send();
  }

  async #mkcol({ request, reply, path, tokens }: Call): Promise<unknown> {
    demand((await textOf(request.raw)) === '', 415);
    demand(path !== '' && !(await this.#folder.find(path)), 405);
    demand(await this.#folder.hasParent(path), 409);
    demand(this.#locks.allows(path, tokens), 423);
    await this.#folder.makeFolder(path);
    return reply.code(201).send();
  }

  async #transfer({ request, reply, path, tokens }: Call, moves: boolean): Promise<unknown> {
    await this.#existing(path);
    const to = this.#destinationOf(request);
    demand(path !== '' && to !== '' && to !== path && !to.startsWith(`${path}/`) && !path.startsWith(`${to}/`), 403);
    demand(await this.#folder.hasParent(to), 409);
    const before = await this.#folder.find(to);
    demand(!before || request.headers.overwrite !== 'F', 412);
    demand(this.#locks.allows(to, tokens, true) && (!moves || this.#locks.allows(path, tokens, true)), 423);
    if (before) await this.#folder.remove(to);
    if (moves) await this.#folder.move(path, to);
    else await this.#folder.copy(path, to, request.headers.depth !== '0');
    if (moves) this.#locks.forget(path);
    return reply.code(before ? 204 : 201).send();
  }

  /** The destination, whatever a client or a gateway calls this server. */
  #destinationOf({ headers }: FastifyRequest): string {
    const [, path] = /^(?:https?:\/\/[^/]*)?(\/.*)$/.exec(String(headers.destination ?? '')) ?? [];
    demand(path !== undefined, 400);
    demand(path === this.#at || path.startsWith(`${this.#at}/`), 502);
    return this.#pathOf(path);
  }

  async #lock({ request, reply, path, tokens }: Call): Promise<unknown> {
    const [, seconds] = /Second-(\d{1,9})/i.exec(String(request.headers.timeout ?? '')) ?? [];
    const ms = seconds === undefined ? MAX_LOCK_MS : Number(seconds) * 1_000;
    const text = await textOf(request.raw);
    if (text === '') {
      const refreshed = this.#locks.refresh(path, tokens, ms);
      demand(refreshed !== undefined, 412);
      return reply.type(XML).send(this.#discovery(refreshed));
    }
    const before = await this.#folder.find(path);
    demand(before !== undefined || (await this.#folder.hasParent(path)), 409);
    const shared = /<(?:[\w.-]+:)?shared\s*\/>/.test(text);
    const owner = readText(text, 'owner').slice(0, 256);
    const lock = this.#locks.lock({ path, deep: request.headers.depth !== '0', shared, owner }, ms);
    demand(lock !== undefined, 423);
    // What is not there yet is made (RFC 4918, section 7.3).
    if (!before) await this.#folder.write(path, emptyStream());
    reply.header('lock-token', `<${lock.token}>`).code(before ? 200 : 201);
    return reply.type(XML).send(this.#discovery(lock));
  }

  #unlock({ request, reply, path }: Call): unknown {
    const [, token = ''] = /^<(.*)>$/.exec(String(request.headers['lock-token'] ?? '').trim()) ?? [];
    demand(this.#locks.unlock(path, token), 409);
    return reply.code(204).send();
  }

  #discovery(lock: Lock): string {
    return document('prop', `<D:lockdiscovery>${this.#activeLock(lock)}</D:lockdiscovery>`);
  }

  #activeLock({ token, path, deep, shared, owner, endsAt }: Lock): string {
    const root = escapeXml(this.#at + encodePath(path));
    return (
      `<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:${shared ? 'shared' : 'exclusive'}/></D:lockscope>` +
      `<D:depth>${deep ? 'infinity' : '0'}</D:depth><D:owner>${escapeXml(owner)}</D:owner>` +
      `<D:timeout>Second-${Math.max(0, Math.ceil((endsAt - Date.now()) / 1_000))}</D:timeout>` +
      `<D:locktoken><D:href>${token}</D:href></D:locktoken><D:lockroot><D:href>${root}</D:href></D:lockroot></D:activelock>`
    );
  }

  async #existing(path: string): Promise<Entry> {
    const entry = await this.#folder.find(path);
    demand(entry !== undefined, 404);
    return entry;
  }

  #hrefOf({ path, isFolder }: Entry): string {
    return `${this.#at}${encodePath(path)}${isFolder ? '/' : ''}`;
  }
}

/** `If-Match: *` and the like: only what is, or is not, there (RFC 9110, section 13.1). */
function meetsConditions({ headers }: FastifyRequest, before: Entry | undefined): boolean {
  const [match, none] = [headers['if-match'], headers['if-none-match']];
  if (match !== undefined && !(before && (match === '*' || match.includes(before.etag)))) return false;
  return none === undefined || !(before && (none === '*' || none.includes(before.etag)));
}

function propstat(properties: string, status: string): string {
  if (properties === '') return '';
  return `<D:propstat><D:prop>${properties}</D:prop><D:status>HTTP/1.1 ${status}</D:status></D:propstat>`;
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

async function textOf(content: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of content) {
    bytes += (part as Buffer).length;
    demand(bytes <= MAX_XML_BYTES, 413);
    parts.push(part as Buffer);
  }
  const text = Buffer.concat(parts).toString();
  demand(!/<!DOCTYPE/i.test(text), 400);
  return text;
}

function emptyStream(): Readable {
  return Readable.from([]);
}
