import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeHint, formatBase64Url } from '@sallyport/channel';
import { PROXY_PATHS } from '@sallyport/security-api';
import { afterEach, expect, test, vi } from 'vitest';
import { NodeList, SecurityClient } from '../src/index.ts';

const AT_ONCE = 32;
const WAITING = 2_000;
const HS = Uint8Array.of(1, 2, 3);
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A Security server that keeps every handshake waiting until it is told to answer. */
async function busySecurity() {
  const held: { url: string; response: ServerResponse }[] = [];
  const server = createServer((request, response) => {
    if (request.url!.startsWith(PROXY_PATHS.handshakes)) return void held.push({ url: request.url!, response });
    response.end(JSON.stringify({ siteMap: 'map', rootKey: 'key' }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
  const identity = { name: 'p1', site: 'here', realm: 'main', urls, ca: '', certificate: '', key: '' };
  const client = new SecurityClient(identity, new NodeList(identity));
  ends.push(
    () => client.close(),
    () => server.closeAllConnections(),
    () => server.close(),
  );
  const answer = (): void => {
    const body = JSON.stringify({ message: formatBase64Url(HS), handshake: 'a' });
    for (const { response } of held.splice(0)) response.setHeader('content-type', 'application/json').end(body);
  };
  const full = () => vi.waitFor(() => expect(held).toHaveLength(AT_ONCE), { timeout: 90_000 });
  return { client, held, answer, full, url: urls[0]! };
}

test('strangers wait for each other, what has begun goes first, and nobody with a session waits for them', async () => {
  const { client, held, answer, full, url } = await busySecurity();
  const begun = Promise.all(Array.from({ length: 100 }, (_, i) => client.beginHandshake(HS, `192.0.2.${i}`)));
  await full();
  expect((await client.siteMap()).siteMap).toBe('map');
  expect(held).toHaveLength(AT_ONCE);
  const finished = client.finishHandshake({ url, id: 'a' }, HS, '192.0.2.1');
  answer();
  await full();
  expect(held.filter((one) => one.url.endsWith('/a'))).toHaveLength(1);
  const answering = setInterval(answer, 5);
  ends.push(() => clearInterval(answering));
  expect((await begun).every(({ message }) => message[0] === HS[0])).toBe(true);
  expect((await finished).message).toEqual(HS);
});

test('a line that is too long tells devices when to come back', async () => {
  const { client, full } = await busySecurity();
  const all = Array.from({ length: AT_ONCE + WAITING }, () => client.beginHandshake(HS, '192.0.2.1'));
  for (const one of all) one.catch(() => undefined);
  await full();
  const hint = decodeHint((await client.beginHandshake(HS, '192.0.2.1')).message);
  expect(hint.code).toBe('BUSY');
  expect(hint.retryAfterMs).toBeGreaterThan(0);
});
