import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createLog } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { createPhoneServer } from '../src/app.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-phone-'));
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), '<!doctype html>page');
writeFileSync(join(folder, 'assets', 'index-1.js'), 'script');
const server = createPhoneServer(folder, createLog('phone', 'silent'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
const origin = `http://127.0.0.1:${port}`;
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends raw bytes and gives the first line of the answer. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.end(bytes);
  return (await text(socket)).split('\r\n')[0]!;
}

test('serves its page and its built files, and nothing else', async () => {
  for (const path of ['/', '/enroll', '/signed-in?code=1', '/assets/index-1.js'])
    expect((await fetch(`${origin}${path}`)).status, path).toBe(200);
  for (const path of ['/robots.txt', '/assets/', '/assets/none.js', '/../package.json', '/assets/..%2findex.html'])
    expect((await fetch(`${origin}${path}`)).status, path).toBe(404);
});

test('takes GET and HEAD only', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
    expect((await fetch(origin, { method })).status, method).toBe(405);
  const head = await fetch(origin, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
  expect(await raw('TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')).toBe('HTTP/1.1 405 Method Not Allowed');
});

test('gives the browser every rule it can keep', async () => {
  const { headers } = await fetch(origin);
  for (const name of [
    'content-security-policy',
    'permissions-policy',
    'cross-origin-opener-policy',
    'cross-origin-resource-policy',
    'x-content-type-options',
    'referrer-policy',
  ])
    expect(headers.get(name), name).toBeTruthy();
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
  expect(await raw(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 (200|4\d\d) /,
  );
  expect((await fetch(origin)).status).toBe(200);
});

test('bytes that are no request are answered with 400', async () => {
  expect(await raw('\x16\x03\x01\r\n\r\n')).toBe('HTTP/1.1 400 Bad Request');
});
