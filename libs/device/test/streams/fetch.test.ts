import type { RequestHead } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { DeviceError, remoteError } from '../../src/errors.ts';
import { fetchOver, mayRetry } from '../../src/streams/fetch.ts';
import { type RequestBody, withoutOffer } from '../../src/streams/http-call.ts';

function recording(status = 200) {
  const sent: { head: RequestHead; body: RequestBody }[] = [];
  const fetch = fetchOver(async (head, body) => {
    sent.push({ head, body });
    return {
      status,
      fields: [
        ['x-a', '1'],
        ['x-a', '2'],
      ],
      body: new Blob(['answer']).stream() as ReadableStream<Uint8Array>,
    };
  });
  return { sent, fetch };
}

test('takes what fetch takes and gives a Response', async () => {
  const { sent, fetch } = recording();
  const response = await fetch(new URL('http://wiki.corp:8080/a?b=c'), {
    method: 'post',
    body: 'hello',
    headers: { 'X-Case': 'Kept' },
  });
  expect(await response.text()).toBe('answer');
  expect(response.headers.get('x-a')).toBe('1, 2');
  expect(response.url).toBe('http://wiki.corp:8080/a?b=c');
  const { head, body } = sent[0]!;
  expect(head).toMatchObject({ method: 'POST', scheme: 'http', authority: 'wiki.corp:8080', path: '/a?b=c' });
  expect(head.fields).toEqual(
    expect.arrayContaining([
      ['x-case', 'Kept'],
      ['content-length', '5'],
    ]),
  );
  expect(Buffer.from(body as Uint8Array).toString()).toBe('hello');
});

test('streams a body that is a stream, without a length', async () => {
  const { sent, fetch } = recording();
  await fetch('http://wiki.corp/', { method: 'PUT', body: new Blob(['streamed']).stream() });
  const parts: Uint8Array[] = [];
  for await (const part of sent[0]!.body as AsyncIterable<Uint8Array>) parts.push(part);
  expect(Buffer.concat(parts).toString()).toBe('streamed');
  expect(sent[0]!.head.fields.some(([name]) => name === 'content-length')).toBe(false);
});

test.each([204, 304])('status %i has no body', async (status) => {
  expect((await recording(status).fetch('http://wiki.corp/')).body).toBeNull();
});

const lost = new DeviceError('CONNECTION_LOST', 'x');
const never = new DeviceError('CONNECTION_LOST', 'x', { mayHaveRun: false });
test.each([
  ['a GET that was lost', lost, 'GET', undefined, true],
  ['a POST that may have run', lost, 'POST', undefined, false],
  ['a POST that certainly did not run', never, 'POST', new Uint8Array(1), true],
  ['a PUT with a stream that is used up', lost, 'PUT', (async function* () {})(), false],
  ['a POST that was told to calm down', remoteError('CALM_DOWN'), 'POST', new Uint8Array(1), true],
  ['a refusal', remoteError('REQUEST_REFUSED'), 'GET', undefined, false],
  ['a backend that failed', remoteError('BACKEND_FAILED'), 'GET', undefined, false],
  ['an error of the app', new TypeError('x'), 'GET', undefined, false],
])('sent again: %s', (_what, error, method, body, expected) => {
  expect(mayRetry(error, method, body)).toBe(expected);
});

test('codes say whether a request may have run', () => {
  const ran = (code: Parameters<typeof remoteError>[0]): boolean => remoteError(code).mayHaveRun;
  expect(
    ['RESOURCE_UNKNOWN', 'BACKEND_UNREACHABLE', 'NOT_PROCESSED', 'CONTEXT_DENIED'].map((code) =>
      ran(code as 'NOT_PROCESSED'),
    ),
  ).toEqual([false, false, false, false]);
  expect(
    ['BACKEND_FAILED', 'BACKEND_TIMEOUT', 'REVOKED', 'LEASE_LOST', 'SESSION_EXPIRED'].map((code) =>
      ran(code as 'REVOKED'),
    ),
  ).toEqual([true, true, true, true, true]);
});

test('an offer to change the protocol is taken out of a request; what it stands beside stays, and a WebSocket is no offer', () => {
  const head = { method: 'GET', scheme: 'http', authority: 'wiki.corp', path: '/' };
  const left = (...fields: [string, string][]) => withoutOffer({ ...head, fields }).fields.map(([name]) => name);
  const offer: [string, string][] = [
    ['connection', 'Upgrade, HTTP2-Settings'],
    ['upgrade', 'h2c'],
    ['http2-settings', 'AAMAAABk'],
  ];
  expect(left(...offer, ['accept', '*/*'])).toEqual(['accept']);
  expect(left(['upgrade', 'TLS/1.2'], ['connection', 'upgrade, x-other'])).toEqual(['connection']);
  expect(left(['upgrade', 'websocket'], ['connection', 'Upgrade'])).toEqual(['upgrade', 'connection']);
  expect(left(['connection', 'keep-alive'])).toEqual(['connection']);
});

test('an unknown method is not sent again when it may have run, a registered idempotent one is', () => {
  for (const method of ['PROPFIND', 'REPORT', 'MKCOL']) expect(mayRetry(lost, method, undefined)).toBe(true);
  for (const method of ['LOCK', 'PURGE', 'X-ANY']) expect(mayRetry(lost, method, undefined)).toBe(false);
});
