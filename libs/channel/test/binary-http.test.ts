import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeResponseHead,
  type Field,
  type RequestHead,
  type ResponseHead,
} from '../src/binary-http.ts';
import { concat, encodeText, parseHex } from '../src/bytes.ts';
import { requestDecoder, responseDecoder } from '../src/http-decoder.ts';
import { checkRequest, checkResponse, passedFields } from '../src/http-rules.ts';
import { checkPath, pathUnder } from '../src/path-grammar.ts';
import { HOSTILE_PATHS } from './hostile.ts';
import { hasShared, readShared } from './third-party.ts';

class Collected<Head> {
  readonly informationals: Head[] = [];
  readonly heads: Head[] = [];
  readonly parts: Uint8Array[] = [];
  trailer: readonly Field[] | undefined;
  informational = (head: Head): void => void this.informationals.push(head);
  head = (head: Head): void => void this.heads.push(head);
  content = (bytes: Uint8Array): void => void this.parts.push(Uint8Array.from(bytes));
  trailers = (fields: readonly Field[]): void => {
    this.trailer = fields;
  };
}

const HEAD: RequestHead = {
  method: 'POST',
  scheme: 'https',
  authority: 'wiki.corp',
  path: '/a?b=c',
  fields: [['accept', '*/*']],
};

test.runIf(hasShared)(
  'reads the examples of RFC 9292 of indeterminate length and refuses those of known length',
  () => {
    const { examples } = readShared<{ examples: { id: string; hex: string }[] }>('vectors/bhttp/rfc9292-examples.json');
    const hexOf = (id: string): Uint8Array => parseHex(examples.find((example) => example.id === id)!.hex);
    const request = new Collected<RequestHead>();
    const decoder = requestDecoder(request);
    decoder.push(hexOf('ex-bini-request'));
    decoder.finish();
    expect(request.heads[0]).toMatchObject({ method: 'GET', scheme: 'https', authority: '', path: '/hello.txt' });
    const response = new Collected<ResponseHead>();
    const responses = responseDecoder(response);
    responses.push(hexOf('ex-bini-response'));
    responses.finish();
    expect(response.informationals.map(({ status }) => status)).toEqual([102, 103]);
    expect(Buffer.concat(response.parts).toString()).toContain('Hello World!');
    expect(() => requestDecoder(new Collected()).push(hexOf('ex-bink-request'))).toThrow();
    expect(() => responseDecoder(new Collected()).push(hexOf('ex-bink-chunked'))).toThrow();
  },
);

function encodeWhole(head: RequestHead, chunks: readonly Uint8Array[], trailers: readonly Field[]): Uint8Array {
  const content = chunks
    .filter((chunk) => chunk.length > 0)
    .flatMap((chunk) => [encodeChunkPrefix(chunk.length), chunk]);
  return concat(encodeRequestHead(head), ...content, encodeMessageEnd(trailers));
}

test('a message reads the same however its bytes are cut', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
  const value = fc.stringMatching(/^[!-~]{0,40}$/);
  const fields = fc.array(fc.tuple(name, value), { maxLength: 8 });
  const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
  fc.assert(
    fc.property(fields, chunks, fields, fc.array(fc.nat(), { maxLength: 10 }), (headFields, parts, trailers, cuts) => {
      const head = { ...HEAD, fields: headFields };
      const bytes = encodeWhole(head, parts, trailers);
      const collected = new Collected<RequestHead>();
      const decoder = requestDecoder(collected);
      const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
      let start = 0;
      for (const end of ends) {
        decoder.push(bytes.subarray(start, end));
        start = end;
      }
      decoder.finish();
      expect(collected.heads).toEqual([head]);
      expect(Buffer.concat(collected.parts).equals(Buffer.concat(parts))).toBe(true);
      expect(collected.trailer).toEqual(trailers);
    }),
  );
});

test('a message cut anywhere is an error, never an empty body', () => {
  const bytes = encodeWhole(HEAD, [encodeText('content')], [['x-sum', '1']]);
  for (let length = 0; length < bytes.length; length++) {
    const decoder = requestDecoder(new Collected<RequestHead>());
    decoder.push(bytes.subarray(0, length));
    expect(() => decoder.finish()).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_HTTP' }));
  }
});

test('only messages of indeterminate length are read: every other framing is refused at its first byte', () => {
  const request = encodeWhole(HEAD, [encodeText('content')], []);
  expect(request[0]).toBe(2);
  for (let framing = 0; framing < 256; framing++) {
    // Above 63 the byte begins a longer number, which is no other way to write a framing.
    const bytes = concat(Uint8Array.of(framing), request.subarray(1));
    const read = (): void => {
      const decoder = requestDecoder(new Collected<RequestHead>());
      decoder.push(bytes);
      decoder.finish();
    };
    if (framing === 2) expect(read).not.toThrow();
    else expect(read, `${framing}`).toThrow();
    if (framing !== 3) expect(() => responseDecoder(new Collected<ResponseHead>()).push(bytes), `${framing}`).toThrow();
  }
});

test('padding must be zero', () => {
  const bytes = encodeWhole(HEAD, [], []);
  requestDecoder(new Collected<RequestHead>()).push(concat(bytes, new Uint8Array(9)));
  expect(() => requestDecoder(new Collected<RequestHead>()).push(concat(bytes, Uint8Array.of(0, 1)))).toThrow();
});

test('sections are bounded: names, values, counts, totals, informational responses', () => {
  const decode = (head: RequestHead) => () =>
    requestDecoder(new Collected<RequestHead>()).push(encodeRequestHead(head));
  const many = (count: number, size: number): Field[] =>
    Array.from({ length: count }, (_, i) => [`f${i}`, 'v'.repeat(size)]);
  expect(decode({ ...HEAD, fields: many(100, 1) })).not.toThrow();
  for (const head of [
    { ...HEAD, fields: many(101, 1) },
    { ...HEAD, fields: many(5, 8_000) },
    { ...HEAD, fields: [['n'.repeat(129), 'v']] as Field[] },
    { ...HEAD, fields: [['n', 'v'.repeat(8_193)]] as Field[] },
    { ...HEAD, path: `/${'p'.repeat(8_192)}` },
  ]) {
    expect(decode(head)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_HTTP' }));
  }
  const early = Array.from({ length: 5 }, () => ({ status: 103, fields: [] }));
  expect(() =>
    responseDecoder(new Collected<ResponseHead>()).push(encodeResponseHead({ status: 200, fields: [] }, early)),
  ).toThrow();
});

test.each<[string, Partial<RequestHead>]>([
  ['transfer-encoding', { fields: [['transfer-encoding', 'chunked']] }],
  ['connection', { fields: [['connection', 'close']] }],
  ['keep-alive', { fields: [['keep-alive', 'timeout=5']] }],
  ['te with more than trailers', { fields: [['te', 'gzip']] }],
  ['upgrade', { fields: [['upgrade', 'h2c']] }],
  ['expect', { fields: [['expect', '100-continue']] }],
  ['proxy-authorization', { fields: [['proxy-authorization', 'x']] }],
  ['a pseudo-field', { fields: [[':path', '/']] }],
  ['a host that differs', { fields: [['host', 'other.corp']] }],
  [
    'two content-lengths',
    {
      fields: [
        ['content-length', '1'],
        ['content-length', '1'],
      ],
    },
  ],
  ['a signed content-length', { fields: [['content-length', '+1']] }],
  ['an upper-case name', { fields: [['Accept', 'x']] }],
  ['an underscore name', { fields: [['x_y', 'x']] }],
  ['a prototype name', { fields: [['__proto__', 'x']] }],
  ['a line break in a value', { fields: [['x', 'a\r\nb: c']] }],
  ['a NUL in a value', { fields: [['x', 'a\0']] }],
  ['CONNECT', { method: 'CONNECT' }],
  ['TRACE', { method: 'TRACE' }],
  ['another scheme', { scheme: 'file' }],
  ['userinfo in the authority', { authority: 'a@wiki.corp' }],
  ['an upper-case authority', { authority: 'Wiki.corp' }],
])('refuses %s', (_what, change) => {
  expect(() => checkRequest({ ...HEAD, ...change })).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }),
  );
});

test('drops the fields that only the Proxy sets, and keeps the rest', () => {
  const fields: Field[] = [
    ['x-forwarded-for', '1.1.1.1'],
    ['forwarded', 'for=1'],
    ['sallyport-user', 'root'],
    ['host', 'wiki.corp'],
    ['cookie', 'a=b'],
  ];
  expect(() => checkRequest({ ...HEAD, fields })).not.toThrow();
  expect(passedFields(fields)).toEqual([['cookie', 'a=b']]);
});

test('drops hop-by-hop fields of a response and what Connection names', () => {
  const fields: Field[] = [
    ['connection', 'close, X-Secret'],
    ['x-secret', '1'],
    ['transfer-encoding', 'chunked'],
    ['etag', '"1"'],
  ];
  expect(checkResponse({ status: 200, fields })).toEqual([['etag', '"1"']]);
});

test.each(HOSTILE_PATHS)('refuses the hostile path %j', (path) => {
  expect(() => checkPath(path)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }));
});

test.runIf(hasShared)('refuses every hostile path but those whose dots are only in the query', () => {
  const own = readShared<string[]>('corpora/paths/own-paths.json');
  const passed = own.filter((path) => {
    try {
      checkPath(path);
      return true;
    } catch {
      return false;
    }
  });
  expect(passed).toEqual(['/app?x=/../admin']);
});

test.each([
  '/public/..%3b/admin',
  '/public/..%3Bx=1/admin',
  '/public/.%3b/admin',
  '/public/..%3f/admin',
  '/public/..%23/admin',
  '/public/..%20/admin',
  '/public/%20../admin',
  '/public/..%c2%a0/admin',
  '/public/..%ef%bc%9b/admin',
  '/public/..;%3b/admin',
])('%s hides a dot segment that shows after decoding', (path) => {
  expect(() => checkPath(path)).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_HTTP_REFUSED' }));
});

test.each(['/a%3bb/c', '/..a%3b', '/a..%3b', '/...%3b', '/%20/a'])('%s hides none', (path) => {
  expect(() => checkPath(path)).not.toThrow();
});

test.each<[Field, string]>([
  [['x_user', '1'], 'a field name (x_user) holds an underscore'],
  [['X-User', '1'], 'a field name is not a lower-case token'],
  [['upgrade', 'h2c'], 'a field (upgrade) steers a connection'],
  [['cookie', 'a\u0001'], 'the value of a field (cookie) holds a byte that is not allowed'],
])('%j is refused, and the message says which field and why', (field, message) => {
  expect(() => checkRequest({ ...HEAD, fields: [field] })).toThrow(message);
});

test('a value that is too long is refused by the name of its field, its limit, and nothing else of it', () => {
  const fields: Field[] = [['cookie', 'a'.repeat(8_193)]];
  const decoder = requestDecoder({ head: () => undefined, content: () => undefined, trailers: () => undefined });
  expect(() => decoder.push(encodeRequestHead({ ...HEAD, fields }))).toThrow(
    'the value of a field (cookie) is longer than 8192 bytes',
  );
});

test('ordinary paths pass', () => {
  for (const path of [
    '/',
    '/a',
    '/a/',
    '/a.b/c-d_e~f',
    '/a%20b',
    '/%C3%A4',
    '/a;v=1/b',
    '/a?x=%2F..',
    '/a,b:c@d!e$f',
    '/...',
  ]) {
    expect(() => checkPath(path), path).not.toThrow();
  }
});

test('no path that passes leaves its prefix, whoever normalises it', () => {
  const part = fc.constantFrom(
    '.',
    '..',
    '%2e',
    '%2E',
    '%2f',
    '%5c',
    '\\',
    ';',
    ';x',
    'a',
    '',
    '%',
    '%25',
    '%c0%ae',
    '%ef%bc%8f',
    '%00',
    '/',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const path = `/app/${parts.join('')}`;
      try {
        checkPath(path);
      } catch {
        return;
      }
      for (const read of [
        path,
        decodeURIComponent(path),
        decodeURIComponent(path).normalize('NFKC'),
        path.replace(/;[^/]*/g, ''),
      ]) {
        expect(new URL(read, 'http://h').pathname.startsWith('/app/')).toBe(true);
      }
    }),
    { numRuns: 20_000 },
  );
});

test('a prefix ends at a slash', () => {
  expect(pathUnder('/app', '/app')).toBe(true);
  expect(pathUnder('/app/x?y', '/app')).toBe(true);
  expect(pathUnder('/application', '/app')).toBe(false);
  expect(pathUnder('/app/x', '/app/')).toBe(true);
});
