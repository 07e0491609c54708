import { createServer, request } from 'node:http';
import { runInNewContext } from 'node:vm';
import { afterAll, expect, test } from 'vitest';
import { forwardAccess } from '../src/device/forward/access.ts';
import { formatPac, PAC_PATH, pacAnswerer } from '../src/device/forward/proxy-pac.ts';
import { listening } from './fake-device.ts';

const RESOURCES = ['wiki.corp', 'odd.corp:8443', '*.apps.corp', '*.git.corp:2222', '[fd00::1]', 'db.corp:5432'].map(
  (authority) => ({ authority }),
);

test.each([
  ['http://wiki.corp/a', true],
  ['https://wiki.corp/', true],
  ['wss://WIKI.corp:443/', true],
  ['https://wiki.corp./', true],
  ['https://wiki.corp:8443/', false],
  ['https://odd.corp:8443/', true],
  ['https://odd.corp/', false],
  ['https://x.apps.corp/', true],
  ['https://a.b.apps.corp/', true],
  ['https://apps.corp/', false],
  ['https://xapps.corp/', false],
  ['https://x.apps.corp.evil.example/', false],
  ['http://x.git.corp:2222/', true],
  ['http://[fd00::1]/', true],
  ['ftp://db.corp:5432/', true],
  ['http://wiki.corp@evil.example/', false],
  ['http://evil.example/http://wiki.corp/', false],
  ['https://constructor/', false],
  ['https://__proto__/', false],
  ['data:text/html,x', false],
])('%s goes through the gateway: %s', (url, through) => {
  const script = `${formatPac(RESOURCES, '127.0.0.1:8488')};FindProxyForURL(${JSON.stringify(url)}, "unused")`;
  expect(runInNewContext(script)).toBe(through ? 'PROXY 127.0.0.1:8488' : 'DIRECT');
});

const server = createServer();
const port = await listening(server);
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function serve(peer: 'same-user' | 'other-user', password?: string): void {
  const answers = pacAnswerer({ access: forwardAccess(password, () => peer), port, resources: () => RESOURCES });
  server.removeAllListeners('request');
  server.on('request', async (request, response) => {
    if (!(await answers(request, response))) response.writeHead(418).end();
  });
}

const get = (headers: Record<string, string> = {}, path = PAC_PATH): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers });

/** Status for who asks for the file by another name of this machine. */
function statusAt(host: string): Promise<number> {
  return new Promise((resolve) => {
    request({ port, path: PAC_PATH, headers: { host } }, (answer) => resolve(answer.resume().statusCode!)).end();
  });
}

test('programs of the user get it, also where others give a password', async () => {
  for (const password of [undefined, 'secret']) {
    serve('same-user', password);
    const answer = await get();
    expect(answer.headers.get('content-type')).toBe('application/x-ns-proxy-autoconfig');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await answer.text()).toContain('wiki.corp:443');
    expect((await get({}, `${PAC_PATH}?1`)).status).toBe(200);
    expect((await get({}, '/')).status).toBe(418);
  }
});

test('other users, pages in a browser and other names of this machine do not get it', async () => {
  serve('other-user');
  expect((await get()).status).toBe(403);
  serve('same-user');
  for (const site of ['cross-site', 'same-site', 'same-origin']) {
    const answer = await get({ 'sec-fetch-site': site });
    expect(answer.status).toBe(403);
    expect(await answer.text()).not.toContain('wiki');
  }
  // A page has a name for this machine after it changed what its own name means.
  expect(await statusAt(`evil.example:${port}`)).toBe(403);
  expect(await statusAt(`localhost:${port}`)).toBe(200);
});
