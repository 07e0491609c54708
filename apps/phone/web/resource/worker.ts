import {
  DOWNLOAD_PATH,
  KEEPER_PATH,
  OURS,
  type PageFacts,
  type PageRequest,
  type ShellAnswer,
  type WorkerWord,
} from '../messages.ts';
import { attributeOf, type DocumentPolicy, insertAtStart, pageHeaders } from './documents.ts';
import { errorPage } from './error-page.ts';

/** What a service worker has that a window has not; TypeScript keeps the two apart. */
interface FetchEvent extends Event {
  readonly request: Request & { readonly isHistoryNavigation?: boolean; readonly isReloadNavigation?: boolean };
  readonly clientId: string;
  readonly resultingClientId: string;
  respondWith(response: Promise<Response>): void;
}
interface WindowClient {
  readonly url: string;
  readonly visibilityState: string;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}
interface WorkerScope extends EventTarget {
  readonly location: Location;
  readonly clients: {
    claim(): Promise<void>;
    get(id: string): Promise<WindowClient | undefined>;
    matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<WindowClient[]>;
  };
  skipWaiting(): Promise<void>;
}

/** Text of our script for documents, and its hash; the build puts them in. */
declare const PAGE_SCRIPT: string;
declare const PAGE_SCRIPT_HASH: string;

// The types of a worker and of a page cannot be had at once.
const scope = globalThis as unknown as WorkerScope;
const POLICY: DocumentPolicy = {
  origin: scope.location.origin,
  shell: '%SHELL%',
  scriptHash: PAGE_SCRIPT_HASH,
};

/** How long a shell may take to say that it heard a request, ms: one in a tab that sleeps does not. */
const HEARD_WITHIN_MS = 3_000;
/** How often all of them are asked. */
const MAX_ROUNDS = 10;
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);
const READ_AHEAD_PARTS = 4;

scope.addEventListener('install', () => void scope.skipWaiting());
scope.addEventListener('activate', (event) => {
  (event as Event & { waitUntil(done: Promise<void>): void }).waitUntil(scope.clients.claim());
});
scope.addEventListener('fetch', (event) => take(event as FetchEvent));

/** Answers every request of the origin's pages, whatever its address: none of them goes to the network from here. */
function take(event: FetchEvent): void {
  const { request } = event;
  const url = new URL(request.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return;
  if (url.origin === scope.location.origin && url.pathname.startsWith(OURS) && url.pathname !== DOWNLOAD_PATH) return;
  event.respondWith(answer(event, url).catch(() => Response.error()));
}

async function answer(event: FetchEvent, url: URL): Promise<Response> {
  const { request } = event;
  // In a window of its own nothing would hold a page: it could go, and so send, anywhere.
  if (request.destination === 'document') return withoutShell(request);
  const saved = url.pathname === DOWNLOAD_PATH && url.origin === scope.location.origin;
  const target = saved ? new URL(url.searchParams.get('path') ?? '/', url.origin) : url;
  const asked = await pageRequest(request, target);
  const exchange = await ask(asked, request.signal);
  if (exchange === undefined) return withoutShell(request);
  const head = await exchange.head;
  if (head.type === 'failed') return failed(request, head);
  await tellCookies(event.clientId, head.facts);
  const response = toResponse(request, head, exchange.body);
  if (saved) response.headers.set('content-disposition', attachment(url.searchParams.get('name') ?? ''));
  return response;
}

async function pageRequest(request: FetchEvent['request'], url: URL): Promise<PageRequest> {
  const { method, mode, destination, referrer } = request;
  const again = request.isHistoryNavigation === true || request.isReloadNavigation === true;
  const body = method === 'GET' || method === 'HEAD' ? undefined : await request.blob();
  const content = body && (body.size > 0 || request.headers.has('content-type')) ? body : undefined;
  const headers = [...request.headers];
  return { type: 'request', method, url: url.href, headers, mode, destination, referrer, again, body: content };
}

type Head = Extract<ShellAnswer, { type: 'head' }>;
type Failure = Extract<ShellAnswer, { type: 'failed' }>;

interface Exchange {
  readonly head: Promise<Head | Failure>;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Asks a shell through one of its keepers: whichever hears it. Undefined when there is none. */
async function ask(request: PageRequest, signal: AbortSignal): Promise<Exchange | undefined> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const keepers = await listKeepers();
    if (keepers.length === 0) return undefined;
    for (const keeper of keepers) {
      const { port1, port2 } = new MessageChannel();
      const exchange = openExchange(port1, signal);
      keeper.postMessage(request, [port2]);
      const heard = await exchange.heard;
      port1.postMessage({ type: heard ? 'go' : 'cancel' } satisfies WorkerWord);
      if (heard) return exchange;
    }
  }
  return undefined;
}

/** Keepers of shells that are open, those that somebody looks at first. Some may be closing, or busy. */
async function listKeepers(): Promise<WindowClient[]> {
  const windows = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const keepers = windows.filter(({ url }) => new URL(url).pathname === KEEPER_PATH);
  return keepers.sort((a, b) => Number(b.visibilityState === 'visible') - Number(a.visibilityState === 'visible'));
}

function openExchange(port: MessagePort, signal: AbortSignal): Exchange & { heard: Promise<boolean> } {
  const heard = Promise.withResolvers<boolean>();
  const head = Promise.withResolvers<Head | Failure>();
  const timer = setTimeout(() => heard.resolve(false), HEARD_WITHIN_MS);
  let pulled: PromiseWithResolvers<void> | undefined;
  let controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const say = (word: WorkerWord): void => port.postMessage(word);
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start: (given) => {
        controller = given;
      },
      pull: () => {
        pulled = Promise.withResolvers<void>();
        say({ type: 'pull' });
        return pulled.promise;
      },
      cancel: () => say({ type: 'cancel' }),
    },
    { highWaterMark: 0 },
  );
  port.onmessage = ({ data }: MessageEvent<ShellAnswer>) => {
    clearTimeout(timer);
    heard.resolve(true);
    if (data.type === 'head') head.resolve(data);
    if (data.type === 'part') controller.enqueue(data.bytes);
    if (data.type === 'end') controller.close();
    if (data.type === 'failed') {
      head.resolve(data);
      controller.error(new TypeError(data.text));
    }
    pulled?.resolve();
  };
  signal.addEventListener('abort', () => say({ type: 'cancel' }));
  return { heard: heard.promise, head: head.promise, body };
}

function toResponse(request: Request, head: Head, body: ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  const { status, facts } = head;
  const headers = pageHeaders(head.headers, facts, POLICY);
  if (NULL_BODY.has(status) || request.method === 'HEAD') {
    void body.cancel();
    return new Response(null, { status, headers });
  }
  const ahead = body.pipeThrough(
    new TransformStream(undefined, { highWaterMark: READ_AHEAD_PARTS }, { highWaterMark: READ_AHEAD_PARTS }),
  );
  if (!isDocument(request)) return new Response(ahead, { status, headers });
  const type = headers.get('content-type') ?? '';
  // The viewer of the browser does not run in a frame as closed as this one.
  if (/^application\/pdf\b/i.test(type) && !headers.has('content-disposition'))
    headers.set('content-disposition', 'attachment');
  if (!/^text\/html\b/i.test(type)) return new Response(ahead, { status, headers });
  headers.delete('content-length');
  return new Response(ahead.pipeThrough(insertAtStart(startOf(facts))), { status, headers });
}

function isDocument({ destination, mode }: Request): boolean {
  return mode === 'navigate' || destination === 'document' || destination === 'iframe' || destination === 'frame';
}

function startOf(facts: PageFacts): string {
  const value = attributeOf({ ...facts, shell: POLICY.shell });
  return `<script data-sallyport="${value}">${PAGE_SCRIPT}</script>`;
}

/** The page hears of cookies before it hears of the response that set them. */
async function tellCookies(clientId: string, { cookies }: PageFacts): Promise<void> {
  if (clientId === '') return;
  (await scope.clients.get(clientId))?.postMessage({ sallyport: 'cookies', cookies });
}

/** No shell of this browser is around it, or open at all: only a page of ours can help. */
function withoutShell(request: Request): Promise<Response> {
  if (request.mode === 'navigate' && request.method === 'GET') return fetch(`${OURS}open.html`);
  return Promise.resolve(Response.error());
}

const SAID_TO_SCRIPTS: ReadonlySet<number> = new Set([401, 403, 404]);

function failed(request: Request, { status, code, text, facts }: Failure): Response {
  if (isDocument(request)) return errorPage({ status, code, text }, { ...POLICY, start: startOf(facts) });
  if (!SAID_TO_SCRIPTS.has(status)) return Response.error();
  return new Response(`${text} (${code})\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
}

function attachment(name: string): string {
  return `attachment; filename*=UTF-8''${encodeURIComponent(name)}`;
}
