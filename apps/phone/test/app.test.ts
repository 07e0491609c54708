import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createLog } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { createPhoneServer } from '../src/app.ts';
import { parsePhoneOrigins } from '../src/origins.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-phone-'));
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), '<!doctype html>page');
writeFileSync(join(folder, 'assets', 'index-1.js'), 'script');
mkdirSync(join(folder, '.sallyport'));
writeFileSync(join(folder, '.sallyport', 'open.html'), 'open %SHELL%');
writeFileSync(join(folder, '.sallyport', 'worker.js'), 'worker %SHELL%');
const origins = parsePhoneOrigins('http://phone.localhost:8480', 'http://*.phone.localhost:8480');
const server = createPhoneServer(folder, origins, createLog('phone', 'silent'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
const SHELL = 'phone.localhost:8480';
const RESOURCE = 'rabc.phone.localhost:8480';
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Asks for a path as a browser that has been told this host. */
function ask(
  path: string,
  host = SHELL,
  options: { method?: string; headers?: OutgoingHttpHeaders } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { ...options.headers, host };
    const asked = request({ port, host: '127.0.0.1', path, method: options.method ?? 'GET', headers }, (response) => {
      const { statusCode: status = 0, headers } = response;
      text(response).then((content) => resolve({ status, headers, text: content }), reject);
    });
    asked.on('error', reject).end();
  });
}

/** Sends raw bytes and gives the first line of the answer. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.end(bytes);
  return (await text(socket)).split('\r\n')[0]!;
}

test('serves its page and its built files, and nothing else', async () => {
  for (const path of ['/', '/enroll', '/signed-in?code=1', '/assets/index-1.js'])
    expect((await ask(path)).status, path).toBe(200);
  const none = ['/robots.txt', '/assets/', '/assets/none.js', '/../package.json', '/assets/..%2findex.html'];
  for (const path of [...none, '/.sallyport/worker.js']) expect((await ask(path)).status, path).toBe(404);
});

test('at the origin of a resource it serves what brings the service worker, and no page of the shell', async () => {
  expect((await ask('/.sallyport/worker.js', RESOURCE)).text).toBe('worker http://phone.localhost:8480');
  for (const path of ['/', '/index.html', '/assets/index-1.js', '/wiki/page', '/.sallyport/none'])
    expect((await ask(path, RESOURCE)).status, path).toBe(404);
  const opened = await ask('/wiki/page?x=1', RESOURCE, { headers: { 'sec-fetch-dest': 'iframe' } });
  expect([opened.status, opened.text]).toEqual([200, 'open http://phone.localhost:8480']);
  expect(opened.headers['content-security-policy']).toContain('frame-ancestors http://phone.localhost:8480');
});

test('leads on from plain localhost, where providers send people back to', async () => {
  const back = await ask('/signed-in?code=1&state=2', 'localhost:8480');
  expect([back.status, back.headers.location]).toEqual([308, 'http://phone.localhost:8480/signed-in?code=1&state=2']);
  for (const path of ['/assets/index-1.js', '/.sallyport/worker.js', '//evil.example/enroll'])
    expect((await ask(path, 'localhost:8480')).status, path).toBe(404);
});

test('answers for its own hosts only', async () => {
  for (const host of [
    'localhost',
    '127.0.0.1:8480',
    'a.b.phone.localhost:8480',
    'phone.localhost',
    'x-.phone.localhost:8480',
  ])
    expect((await ask('/', host)).status, host).toBe(421);
});

test('takes GET and HEAD only', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
    expect((await ask('/', SHELL, { method })).status, method).toBe(405);
  const head = await ask('/', SHELL, { method: 'HEAD' });
  expect([head.status, head.text]).toEqual([200, '']);
  const trace = `TRACE / HTTP/1.1\r\nhost: ${SHELL}\r\nconnection: close\r\n\r\n`;
  expect(await raw(trace)).toBe('HTTP/1.1 405 Method Not Allowed');
});

test('gives the browser every rule it can keep', async () => {
  const { headers } = await ask('/');
  for (const name of [
    'content-security-policy',
    'permissions-policy',
    'cross-origin-opener-policy',
    'cross-origin-resource-policy',
    'origin-agent-cluster',
    'x-content-type-options',
    'referrer-policy',
  ])
    expect(headers[name], name).toBeTruthy();
});

test.each([
  ['http://phone.example.com', 'https://*.phone.example.com', 'not https'],
  ['https://phone.example.com/', 'https://*.phone.example.com', 'no origin'],
  ['https://phone.example.com', 'https://phone.example.com', 'no pattern'],
  ['https://phone.example.com', 'https://*.example.com', 'must not fit'],
  ['https://phone.example.com', 'https://*.phone.example.org', 'not of one site'],
  ['https://phone.github.io', 'https://*.apps.github.io', 'not of one site'],
])('refuses %s with resources at %s: %s', (shell, resources, why) => {
  expect(() => parsePhoneOrigins(shell, resources)).toThrow(why);
});

test.each([
  '//',
  '//[',
  '//[::1',
  '/%',
  '/%zz',
  'http://[/',
  'http://%/',
  '*',
  '?',
  '/\\',
  '/a?b#c',
  '//localhost:99999999/',
  `/${'a'.repeat(7_000)}`,
])('a request for %s gets an answer, and the server goes on', async (target) => {
  const line = await raw(`GET ${target} HTTP/1.1\r\nhost: ${SHELL}\r\nconnection: close\r\n\r\n`);
  expect(line).toMatch(/^HTTP\/1\.1 (200|4\d\d) /);
  expect((await ask('/')).status).toBe(200);
});

test('bytes that are no request are answered with 400', async () => {
  expect(await raw('\x16\x03\x01\r\n\r\n')).toBe('HTTP/1.1 400 Bad Request');
});
