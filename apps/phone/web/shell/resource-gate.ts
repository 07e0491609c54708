import { type CallResponse, type Device, DeviceError } from '@sallyport/device';
import type { PageFacts, PageRequest, ShellAnswer, WorkerWord } from '../messages.ts';
import type { CookieJars } from './cookie-jars.ts';
import { browserFields, ownPath, readPageRequest } from './page-request.ts';
import { type AskPassword, type Passwords, passwordRealm } from './passwords.ts';
import { Turns } from './turns.ts';

/** One resource as it is shown here. */
export interface ShownResource {
  readonly authority: string;
  /** Its origin in this browser. */
  readonly origin: string;
  /** By which it is spoken to: https once it has sent us there. */
  scheme: 'http' | 'https';
}

/** What the gate works with. */
export interface GateOptions {
  readonly device: Device;
  readonly jars: CookieJars;
  readonly passwords: Passwords;
  readonly askPassword: AskPassword;
  /** A page of the resource at `authority` has come by this site. */
  readonly came: (site: string, authority: string) => void;
  /** A page of the resource at `authority` leads to an address outside of it. */
  readonly leave: (url: string, authority: string) => void;
  /** True, once, when the shell itself is taking its frame to this address; `link` when a page of another resource led there. */
  readonly expected: (url: string) => { readonly link: boolean } | undefined;
  /** The browser is sent on to this address, for whoever wanted the one before. */
  readonly expect: (url: string, how: { readonly link: boolean }) => void;
}

/** Statuses by which a gateway's refusal is told to a page. */
const STATUSES: Readonly<Record<string, number>> = {
  RESOURCE_UNKNOWN: 404,
  REQUEST_REFUSED: 403,
  BAD_REQUEST: 403,
  SIGNED_OUT: 401,
  BACKEND_TIMEOUT: 504,
};

class Refusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Answers what pages of resources ask, through the gateway: each page for its own resource only, whatever it says. */
export class ResourceGate {
  readonly #options: GateOptions;
  readonly #turns = new Turns();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Answers one request over the port that came with it. `data` may be anything. */
  async answer(shown: ShownResource, data: unknown, port: MessagePort): Promise<void> {
    const say = (answer: ShellAnswer, transfer: Transferable[] = []): void => port.postMessage(answer, transfer);
    const request = readPageRequest(data);
    if (!request) return;
    const stop = new AbortController();
    const told = new Promise<void>((resolve) => {
      port.onmessage = ({ data: word }: MessageEvent<WorkerWord>) => {
        if (word.type === 'cancel') stop.abort();
        resolve();
      };
    });
    port.addEventListener('close', () => stop.abort());
    say({ type: 'heard' });
    await told;
    if (stop.signal.aborted) return;
    const end = await this.#turns.take(shown.authority);
    try {
      const { response, site } = await this.#fetch(shown, request, stop.signal);
      const headers = await this.#pageFields(shown, { request, site }, response);
      say({ type: 'head', status: headers.status, headers: headers.fields, facts: await this.#facts(shown) });
      pour(headers.body, port, { stop, end });
    } catch (error) {
      end();
      const { code = 'FAILED', message } = error as Partial<DeviceError> & Error;
      const status = STATUSES[code] ?? 502;
      say({ type: 'failed', status, code, text: message, facts: await this.#facts(shown) });
    }
  }

  async #facts(shown: ShownResource): Promise<PageFacts> {
    return { address: resourceAddress(shown), cookies: await this.#options.jars.visible(shown.authority) };
  }

  async #fetch(
    shown: ShownResource,
    request: PageRequest,
    signal: AbortSignal,
  ): Promise<{ response: CallResponse; site: Site }> {
    const { passwords, askPassword } = this.#options;
    const path = ownPath(request.url, { address: resourceAddress(shown), origin: shown.origin });
    if (path === undefined) throw new Refusal('OTHER_ORIGIN', 'a page of a resource may ask that resource only');
    const site = this.#siteOf(shown, request);
    for (;;) {
      const authorization = await passwords.find(shown.authority);
      const response = await this.#send(shown, { request, path, site, authorization }, signal);
      const realm = request.mode === 'navigate' ? passwordRealm(response) : undefined;
      if (realm === undefined) return { response, site };
      const given = await askPassword({ authority: shown.authority, realm, again: authorization !== undefined });
      if (given === undefined) return { response, site };
      await response.body.cancel();
      await passwords.keep(shown.authority, given);
    }
  }

  async #send(
    shown: ShownResource,
    asked: { request: PageRequest; path: string; site: Site; authorization: string | undefined },
    signal: AbortSignal,
  ): Promise<CallResponse> {
    const { device, jars } = this.#options;
    const { request, path, site, authorization } = asked;
    const cookie = await jars.header(shown.authority, path, site === 'cross-site' ? 'lax' : 'strict');
    const facts = { address: resourceAddress(shown), origin: shown.origin, site, cookie, authorization };
    const fields = browserFields(request, facts);
    const head = { method: request.method, scheme: shown.scheme, authority: shown.authority, path, fields };
    const response = await device.request(head, request.body && partsOf(request.body), signal);
    if (request.mode === 'navigate') this.#options.came(response.site, shown.authority);
    for (const [name, value] of response.fields)
      if (name === 'set-cookie') await jars.take(shown.authority, value, { path, http: true });
    return response;
  }

  /**
   * Who began a request. Subresources are asked for by pages of their own origin only. Of a page that is opened it is known when its
   * own origin or the shell led to it, or when it was there before; otherwise another page may have, and it is only shown.
   */
  #siteOf(shown: ShownResource, { mode, method, referrer, url, again }: PageRequest): Site {
    if (mode !== 'navigate' || referrer.startsWith(`${shown.origin}/`)) return 'same-origin';
    const expected = this.#options.expected(url);
    if (method !== 'GET' && method !== 'HEAD')
      throw new Refusal('OTHER_ORIGIN', 'a page that is not of this resource wanted to send something to it');
    return (expected ? expected.link : again !== true) ? 'cross-site' : 'none';
  }

  /** The response as a page gets it: redirects lead to where the page is here, and content is not compressed. */
  async #pageFields(shown: ShownResource, asked: Asked, response: CallResponse): Promise<CallResponse> {
    const { status, fields } = response;
    const location = fields.find(([name]) => name === 'location')?.[1];
    if (location !== undefined && status >= 300 && status < 400)
      return this.#redirected(shown, asked, { ...response, location });
    return unpacked({ ...response, fields: fields.map(([name, value]) => fitRefresh(shown, name, value)) });
  }

  async #redirected(
    shown: ShownResource,
    { request, site }: Asked,
    { location, ...response }: CallResponse & { location: string },
  ): Promise<CallResponse> {
    const base =
      resourceAddress(shown) + (ownPath(request.url, { address: resourceAddress(shown), origin: shown.origin }) ?? '/');
    const target = URL.parse(escaped(location), base);
    if (!target || !/^https?:$/.test(target.protocol)) return response;
    if (target.host !== shown.authority)
      return this.#redirectedAway(shown, request, { ...response, location: target.href });
    if (target.protocol === 'https:') shown.scheme = 'https';
    const path = target.pathname + target.search;
    if (site === 'none') this.#options.expect(shown.origin + path, { link: false });
    const fields = response.fields.filter(([name]) => name !== 'location');
    return { ...response, fields: [...fields, ['location', path + target.hash]] };
  }

  async #redirectedAway(
    { authority }: ShownResource,
    request: PageRequest,
    { body, location }: CallResponse & { location: string },
  ): Promise<CallResponse> {
    await body.cancel();
    if (request.mode !== 'navigate') throw new Refusal('OTHER_ORIGIN', 'the resource sent a script to another address');
    this.#options.leave(location, authority);
    return { status: 204, fields: [], body: new ReadableStream() };
  }
}

type Site = 'same-origin' | 'cross-site' | 'none';

/** What was asked, and who began it. */
interface Asked {
  readonly request: PageRequest;
  readonly site: Site;
}

/** A location as browsers read it: what is beyond ASCII are bytes of the path, whatever they are in. */
function escaped(location: string): string {
  return location.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The resource's own address. */
export function resourceAddress({ scheme, authority }: ShownResource): string {
  return `${scheme}://${authority}`;
}

/** `refresh: 5; url=http://wiki.corp/next` leads to where the resource is here. */
function fitRefresh(shown: ShownResource, name: string, value: string): readonly [string, string] {
  if (name !== 'refresh') return [name, value];
  return [
    name,
    value.replace(/(url\s*=\s*['"]?)https?:\/\/([^/'"?#]+)/i, (all, start: string, host: string) =>
      host === shown.authority ? start : all,
    ),
  ];
}

function unpacked(response: CallResponse): CallResponse {
  const found = (wanted: string): string | undefined => response.fields.find(([name]) => name === wanted)?.[1];
  const encoding = found('content-encoding')?.toLowerCase();
  // Some name a coding for nothing at all.
  if (found('content-length') === '0') return response;
  if (encoding !== 'gzip' && encoding !== 'deflate' && encoding !== 'x-gzip') return response;
  const fields = response.fields.filter(([name]) => name !== 'content-encoding' && name !== 'content-length');
  const format = encoding === 'deflate' ? 'deflate' : 'gzip';
  const body = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(new DecompressionStream(format));
  return { ...response, fields, body };
}

async function* partsOf(blob: Blob): AsyncGenerator<Uint8Array> {
  const reader = blob.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

/** Sends a body over a port, one part for each that is asked for. */
function pour(
  body: ReadableStream<Uint8Array>,
  port: MessagePort,
  { stop, end }: { stop: AbortController; end: () => void },
): void {
  const reader = body.getReader();
  const say = (answer: Partial<ShellAnswer>, transfer: Transferable[] = []): void => port.postMessage(answer, transfer);
  stop.signal.addEventListener('abort', () => {
    end();
    void reader.cancel().catch(() => undefined);
  });
  if (stop.signal.aborted) end();
  const next = async (): Promise<void> => {
    try {
      const { done, value } = await reader.read();
      if (done) {
        end();
        return say({ type: 'end' });
      }
      const bytes = Uint8Array.from(value);
      say({ type: 'part', bytes }, [bytes.buffer]);
    } catch (error) {
      end();
      say({ type: 'failed', status: 502, code: codeOf(error), text: (error as Error).message });
    }
  };
  port.onmessage = ({ data }: MessageEvent<WorkerWord>) => {
    if (data.type === 'cancel') stop.abort();
    else void next();
  };
}

function codeOf(error: unknown): string {
  return error instanceof DeviceError ? error.code : 'FAILED';
}
