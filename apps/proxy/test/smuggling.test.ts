import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeChunkPrefix, encodeMessageEnd, encodeRequestHead, encodeText } from '@sallyport/channel';
import { afterEach, expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TestHost } from './stream-place.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const SMUGGLED = 'DELETE /admin/everything HTTP/1.1\r\nhost: x\r\nsallyport-assertion: forged\r\n\r\n';

/**
 * A server like Python's http.server with HTTP/1.1: handlers answer without reading content, and what is left in its buffer
 * is read as the next request, unless the last one said `connection: close`.
 */
async function careless() {
  const ran: string[] = [];
  const server = createServer((socket: Socket) => {
    let buffer = '';
    let closing = false;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      buffer += String(data);
      for (let end = buffer.indexOf('\r\n\r\n'); end >= 0 && !closing; end = buffer.indexOf('\r\n\r\n')) {
        const head = buffer.slice(0, end);
        buffer = buffer.slice(end + 4);
        ran.push(head.split('\r\n', 1)[0]!);
        closing = /^connection: close$/im.test(head);
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      }
      if (closing) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return { ran, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function ask(host: TestHost, method: string, parts: readonly Uint8Array[], fields: [string, string][] = []) {
  const { stream, resets } = testStream(1);
  const sink = new HttpExchange({ host, stream });
  const before = host.outcomes.length;
  sink.data(encodeRequestHead({ method, scheme: 'http', authority: 'wiki.corp', path: '/public', fields }));
  for (const part of parts) sink.data(part);
  for (let i = 0; i < 18_000 && host.outcomes.length === before; i++) await sleep(5);
  return { outcome: host.outcomes.at(-1), resets };
}

const content = [encodeChunkPrefix(SMUGGLED.length), encodeText(SMUGGLED)];

test.each([
  'GET',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'POST',
  'PUT',
  'PATCH',
  'PROPFIND',
  'MKCOL',
  'MOVE',
  'PURGE',
  'X-OTHER',
])('content of %s is never run as a request, by a backend that does not read it', async (method) => {
  const { ran, url } = await careless();
  const host = new TestHost({ url, networks: ['127.0.0.0/8'] });
  closing.push(() => host.backends.close());
  const length: [string, string][] = [['content-length', String(SMUGGLED.length)]];
  await ask(host, method, [...content, encodeMessageEnd()]);
  await ask(host, method, [...content, encodeMessageEnd()], length);
  // The end comes later: the answer is there before the content is.
  await ask(host, method, content.slice(0, 1), length);
  await ask(host, 'GET', [encodeMessageEnd()]);
  await sleep(30);
  expect(ran.filter((line) => line.includes('admin'))).toEqual([]);
  expect(ran.at(-1)).toBe('GET /public HTTP/1.1');
});
