import type { Field, RequestHead } from '@sallyport/channel';
import { encodeMessageEnd, encodeRequestHead } from '@sallyport/channel';
import { afterAll, expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import type { Wanted } from '../src/serving/rights.ts';
import { davFields, secondPath } from '../src/streams/dav-fields.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TestHost } from './stream-place.ts';

const head = (fields: Field[], method = 'MOVE'): RequestHead => ({
  method,
  scheme: 'https',
  authority: 'files.corp',
  path: '/a',
  fields,
});

test.each([
  ['https://files.corp/b%20c', '/b%20c'],
  ['http://FILES.corp:80/b', '/b'],
  ['https://files.corp:443', '/'],
  ['/b', '/b'],
])('a destination %s is the path %s', (value, path) => {
  for (const method of ['COPY', 'MOVE', 'BMOVE', 'bcopy'])
    expect(secondPath(head([['destination', value]], method))).toBe(path);
  expect(secondPath(head([['destination', value]], 'GET'))).toBeUndefined();
});

test.each([
  ['another server', [['destination', 'https://other.corp/b']]],
  ['another port', [['destination', 'https://files.corp:8443/b']]],
  ['no scheme', [['destination', '//files.corp/b']]],
  ['a user name', [['destination', 'https://files.corp@other.corp/b']]],
  ['a query', [['destination', '/b?/../../admin']]],
  ['a fragment', [['destination', '/b#c']]],
  ['a broken escape', [['destination', '/b%2']]],
  [
    'two',
    [
      ['destination', '/b'],
      ['destination', '/c'],
    ],
  ],
] as [string, Field[]][])('a destination with %s is refused', (_what, fields) => {
  expect(() => secondPath(head(fields))).toThrow();
});

test('without a destination there is no second place', () => {
  expect(secondPath(head([]))).toBeUndefined();
});

test('a backend reads its own scheme, host and path, and every other URL as it came', () => {
  const lock = '(<opaquelocktoken:1-2> ["etag"])';
  const fields: Field[] = [
    ['destination', 'https://files.corp/b'],
    ['if', `<https://files.corp/a> ${lock} <http://other.corp/c> (Not <urn:uuid:3>)`],
    ['if-match', '"https://files.corp/b"'],
  ];
  const mapped = (backend: object): readonly Field[] =>
    davFields(fields, head(fields), { url: 'http://10.1.2.3:8080', networks: [], ...backend });
  expect(mapped({})).toEqual([
    ['destination', 'http://files.corp/b'],
    ['if', `<http://files.corp/a> ${lock} <http://other.corp/c> (Not <urn:uuid:3>)`],
    ['if-match', '"https://files.corp/b"'],
  ]);
  expect(mapped({ prefix: '/dav', host: 'inner.corp' })[0]).toEqual(['destination', 'http://inner.corp/dav/b']);
});

const closing: TestHost[] = [];
afterAll(() => {
  for (const host of closing) host.backends.close();
});

test('what is moved needs the right to the place that it goes to, also when rights change', () => {
  const asked: string[] = [];
  const host = new (class extends TestHost {
    override decide(wanted?: Wanted): ReturnType<TestHost['decide']> {
      asked.push(`${wanted?.method} ${wanted?.path}`);
      return wanted?.path.startsWith('/admin')
        ? { refused: 'REQUEST_REFUSED', rule: 'no policy opens it' }
        : super.decide();
    }
  })({ url: 'http://127.0.0.1:1', networks: ['127.0.0.0/8'] });
  closing.push(host);
  const { stream, resets } = testStream(1);
  const exchange = new HttpExchange({ host, stream });
  exchange.data(
    Buffer.concat([encodeRequestHead(head([['destination', 'https://files.corp/admin/b']])), encodeMessageEnd()]),
  );
  expect(asked).toEqual(['MOVE /a', 'MOVE /admin/b']);
  expect(resets).toEqual([{ code: 'REQUEST_REFUSED', words: 'no policy opens it' }]);
});
