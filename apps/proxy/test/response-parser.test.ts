import { existsSync, readFileSync } from 'node:fs';
import type { Field } from '@sallyport/channel';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { BackendError } from '../src/backend/errors.ts';
import { ResponseParser } from '../src/backend/response-parser.ts';
import { readSlowly, type SlowResponse } from './slow-response.ts';

const SHARED = new URL('../../../../shared/corpora/', import.meta.url);

/** Reads what a backend sent in these pieces before it closed the connection. */
function read(pieces: readonly Buffer[], method = 'GET'): SlowResponse {
  let head: { status: number; fields: readonly Field[] } | undefined;
  let ends = 0;
  const body: string[] = [];
  const parser = new ResponseParser({
    head: (status, fields) => {
      head = { status, fields };
    },
    body: (bytes) => void body.push(Buffer.from(bytes).toString('latin1')),
    end: () => {
      ends += 1;
    },
  });
  parser.expect(method);
  try {
    for (const piece of pieces) {
      const lent = Buffer.from(piece);
      parser.push(lent);
      // The parser must not keep what it was lent.
      lent.fill(0xee);
    }
    parser.finish();
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    return 'refused';
  }
  expect(ends).toBe(1);
  return { ...head!, body: body.join('') };
}

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const once = (text: string, method?: string): SlowResponse => read([latin(text)], method);

test('reads the framings of RFC 9112', () => {
  expect(once('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A:  b \t\r\n\r\nabc')).toEqual({
    status: 200,
    fields: [
      ['content-length', '3'],
      ['x-a', 'b'],
    ],
    body: 'abc',
  });
  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
  expect(once(`${chunked}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-t: 1\r\n\r\n`)).toMatchObject({ body: 'abcde' });
  expect(once('HTTP/1.0 200 OK\r\n\r\nuntil the end')).toMatchObject({ body: 'until the end' });
  expect(once('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n', 'HEAD')).toMatchObject({ body: '' });
  expect(once('HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n')).toMatchObject({ status: 304, body: '' });
  expect(once('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n')).toMatchObject({
    status: 204,
  });
});

const OK = 'HTTP/1.1 200 OK\r\n';

test.each([
  ['two lengths', `${OK}content-length: 1\r\ncontent-length: 2\r\n\r\na`],
  ['the same length twice, written in two ways', `${OK}content-length: 1\r\ncontent-length: 01\r\n\r\na`],
  ['a list of lengths', `${OK}content-length: 1, 1\r\n\r\na`],
  ['a signed length', `${OK}content-length: +1\r\n\r\na`],
  ['a length in hexadecimal', `${OK}content-length: 0x1\r\n\r\na`],
  ['a length with a zero in front', `${OK}content-length: 01\r\n\r\na`],
  ['length and coding', `${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['another coding', `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['identity', `${OK}transfer-encoding: identity\r\n\r\nabc`],
  ['the coding twice', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a coding in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a space before the colon', `${OK}content-length : 1\r\n\r\na`],
  ['a folded line', `${OK}x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n`],
  ['a field without a name', `${OK}: b\r\n\r\n`],
  ['a line without a colon', `${OK}nothing\r\n\r\n`],
  ['a bare LF', `${OK}x-a: b\nx-c: d\r\n\r\n`],
  ['a bare CR', `${OK}x-a: b\rx-c: d\r\n\r\n`],
  ['a NUL', `${OK}x-a: b\0\r\n\r\n`],
  ['lines that end with LF', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['no status', 'HTTP/1.1 OK\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
  ['switching protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
  ['content with 204', 'HTTP/1.1 204 No Content\r\ncontent-length: 1\r\n\r\na'],
  ['more than the length', `${OK}content-length: 1\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n`],
  ['less than the length', `${OK}content-length: 2\r\n\r\na`],
  ['an empty chunk size', `${OK}transfer-encoding: chunked\r\n\r\n\r\nabc`],
  ['a chunk size with a sign', `${OK}transfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n`],
  ['a chunk size with 0x', `${OK}transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`],
  ['a huge chunk size', `${OK}transfer-encoding: chunked\r\n\r\nfffffffff\r\na`],
  ['a chunk that ends with LF', `${OK}transfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`],
  ['a chunk longer than its size', `${OK}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
  ['chunks without an end', `${OK}transfer-encoding: chunked\r\n\r\n1\r\na\r\n`],
  ['five informational responses', `${'HTTP/1.1 103 Early\r\n\r\n'.repeat(5)}${OK}content-length: 0\r\n\r\n`],
  ['nothing at all', ''],
])('refuses %s', (_name, text) => {
  expect(once(text)).toBe('refused');
  expect(readSlowly(latin(text), 'GET')).toBe('refused');
});

test('heads, lines of chunks and trailers are bounded', () => {
  const parser = new ResponseParser({ head: () => undefined, body: () => undefined, end: () => undefined });
  parser.expect('GET');
  expect(() => parser.push(latin(`${OK}x: ${'a'.repeat(40_000)}`))).toThrow('the header section is too large');
  expect(once(`${OK}${'x: y\r\n'.repeat(101)}content-length: 0\r\n\r\n`)).toBe('refused');
  const chunked = `${OK}transfer-encoding: chunked\r\n\r\n`;
  expect(once(`${chunked}1;${'x'.repeat(300)}\r\na\r\n0\r\n\r\n`)).toBe('refused');
  expect(once(`${chunked}0\r\n${`x: ${'y'.repeat(1_000)}\r\n`.repeat(10)}\r\n`)).toBe('refused');
});

test('a head that comes byte by byte is looked at once, and once more when it is whole', () => {
  const head = latin(`${OK}${`x-a: ${'b'.repeat(400)}\r\n`.repeat(70)}content-length: 0\r\n\r\n`);
  let read = 0;
  const whole = Buffer.prototype.toString;
  const texts = vi.spyOn(Buffer.prototype, 'toString').mockImplementation(function (this: Buffer, ...args) {
    const [, start = 0, end = this.length] = args as [string?, number?, number?];
    read += Math.min(end, this.length) - start;
    return whole.apply(this, args);
  });
  const indexOf = vi.spyOn(Buffer.prototype, 'indexOf');
  const joined = vi.spyOn(Buffer, 'concat');
  try {
    const pieces = Array.from(head, (byte) => Buffer.of(byte));
    const parser = new ResponseParser({ head: () => undefined, body: () => undefined, end: () => undefined });
    parser.expect('GET');
    for (const piece of pieces) parser.push(piece);
    expect(parser.idle).toBe(true);
    const searched = indexOf.mock.contexts.map((data, i) => data.length - Number(indexOf.mock.calls[i]![1] ?? 0));
    expect(searched.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(5 * head.length);
    // Seven for the beginning of the status line, one or two that are new, each time; and all of it at the end.
    expect(read).toBeLessThan(11 * head.length);
    expect(joined).not.toHaveBeenCalled();
  } finally {
    texts.mockRestore();
    indexOf.mockRestore();
    joined.mockRestore();
  }
});

test('small chunks that come together are told together, in their place', () => {
  const told: string[] = [];
  const parser = new ResponseParser({
    head: () => undefined,
    body: (bytes) => void told.push(Buffer.from(bytes).toString('latin1')),
    end: () => void told.push('end'),
  });
  const big = 'B'.repeat(300);
  parser.expect('GET');
  parser.push(latin(`${OK}transfer-encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(5_000)}12c\r\n${big}\r\n1\r\nc\r\n`));
  expect(told).toEqual(['a'.repeat(5_000), big, 'c']);
  expect(parser.smallChunks).toBe(5_001);
  parser.push(latin('1\r\nd\r\n2\r\ne'));
  parser.push(latin('f\r\n0\r\n\r\n'));
  expect(told.slice(3)).toEqual(['de', 'f', 'end']);
  expect(parser.smallChunks).toBe(1);
});

const value = fc.stringMatching(/^[ -~]{0,30}$/);
const field = fc.tuple(fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,12}$/), value).map(([name, text]) => `${name}: ${text}`);
const framed = fc.oneof(
  fc.string({ maxLength: 50 }).map((body) => [`content-length: ${latin(body).length}`, latin(body).toString('latin1')]),
  fc
    .array(fc.stringMatching(/^[a-z]{1,20}$/), { maxLength: 3 })
    .map((chunks) => [
      'transfer-encoding: chunked',
      `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`,
    ]),
  fc.constant(['x-none: 1', 'until the end']),
);
const responses = fc
  .tuple(
    fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 200 OK', 'HTTP/1.1 404', 'HTTP/1.1 204 No', 'HTTP/1.1 304 Not'),
    fc.array(field, { maxLength: 4 }),
    framed,
  )
  .map(([status, fields, [framing, body]]) => `${status}\r\n${[...fields, framing].join('\r\n')}\r\n\r\n${body}`);
const splice = fc.tuple(
  fc.nat(400),
  fc.nat(2),
  fc.constantFrom('', '\r', '\n', '\r\n', ' ', '\t', ':', '\0', '0', 'x', ';', '\r\ncontent-length: 1', '\x80'),
);

test('says of any bytes, in any pieces, what its readable twin says', () => {
  fc.assert(
    fc.property(
      responses,
      fc.array(splice, { maxLength: 3 }),
      fc.array(fc.nat(500), { maxLength: 5 }),
      fc.constantFrom('GET', 'HEAD', 'POST'),
      (text, splices, cuts, method) => {
        let damaged = text;
        for (const [at, removed, added] of splices) {
          const place = at % (damaged.length + 1);
          damaged = damaged.slice(0, place) + added + damaged.slice(place + removed);
        }
        const bytes = latin(damaged);
        const sorted = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const pieces = [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
        expect(read(pieces, method)).toEqual(readSlowly(bytes, method));
      },
    ),
    { numRuns: 20_000 },
  );
});

test.runIf(existsSync(SHARED))('takes no response of the llhttp corpus that llhttp itself refuses', () => {
  const { cases } = JSON.parse(readFileSync(new URL('http-llhttp/cases.json', SHARED), 'utf8')) as {
    cases: { file: string; name: string; type: string; expectError: boolean; rawHex: string }[];
  };
  const strict = cases.filter(({ type }) => type === 'response' || type === 'response-finish');
  expect(strict.length).toBeGreaterThan(70);
  for (const { file, name, expectError, rawHex } of strict) {
    const bytes = Buffer.from(rawHex, 'hex');
    const whole = read([bytes]);
    const bytewise = read(Array.from(bytes, (byte) => Buffer.from([byte])));
    expect(bytewise, `${file}: ${name}`).toEqual(whole);
    expect(whole, `${file}: ${name}`).toEqual(readSlowly(bytes, 'GET'));
    if (expectError) expect(whole, `${file}: ${name}`).toBe('refused');
  }
});

/** Ways to write Transfer-Encoding that one reader takes for chunked and another does not. */
const CODINGS = [
  ' transfer-encoding: chunked',
  '\ttransfer-encoding: chunked',
  'transfer-encoding : chunked',
  'transfer-encoding\t: chunked',
  'transfer_encoding: chunked',
  'transfer-encoding; chunked',
  'transfer-encoding chunked',
  'transfer-encoding:\x0bchunked',
  'transfer-encoding: \x0cchunked',
  'transfer-encoding: \0chunked',
  'transfer-encoding: chunked\0',
  'transfer-encoding: xchunked',
  'transfer-encoding: chunked x',
  'transfer-encoding: chunked;',
  'transfer-encoding: chunked, identity',
  'transfer-encoding: identity, chunked',
  'transfer-encoding: "chunked"',
  "transfer-encoding: 'chunked'",
  'transfer-encoding: chunk\xe9d',
  'transfer-encoding: chunked\x85',
  'transfer-encoding:\r\n chunked',
  'transfer-encoding: chunked\r\n x',
  'x: y\rtransfer-encoding: chunked',
  'x: y\ntransfer-encoding: chunked',
  '\xfftransfer-encoding: chunked',
  'transfer-encoding\xa0: chunked',
  'TRANSFER-ENCODING: CHUNKED, CHUNKED',
  'content-encoding: chunked',
  'x-transfer-encoding: chunked',
];

test.each(CODINGS)('beside a length %j is no coding: refused, or the length alone counts', (line) => {
  const bytes = latin(`${OK}content-length: 5\r\n${line}\r\n\r\n0\r\n\r\n`);
  const response = read([bytes]);
  expect(response).toEqual(readSlowly(bytes, 'GET'));
  if (response !== 'refused') expect(response.body).toBe('0\r\n\r\n');
});

test.runIf(existsSync(SHARED))('takes no mutation of Transfer-Encoding for chunked that is not exactly that', () => {
  const { mutations } = JSON.parse(readFileSync(new URL('smuggling/smuggler-te-mutations.json', SHARED), 'utf8')) as {
    mutations: Record<string, string>;
  };
  expect(Object.keys(mutations).length).toBeGreaterThan(30);
  for (const [name, hex] of Object.entries(mutations)) {
    const line = Buffer.from(hex, 'hex');
    const bytes = Buffer.concat([latin(`${OK}content-length: 5\r\n`), line, latin('\r\n\r\n0\r\n\r\n')]);
    const response = read([bytes]);
    expect(response, name).toEqual(readSlowly(bytes, 'GET'));
    // Where the line is harmless, the length alone counts.
    if (response !== 'refused') expect(response.body, name).toBe('0\r\n\r\n');
  }
});

function parserOf(ended: () => void = () => undefined): ResponseParser {
  const parser = new ResponseParser({ head: () => undefined, body: () => undefined, end: ended });
  parser.expect('GET');
  return parser;
}

test.each([
  ['line feeds alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
  ['the settings of HTTP/2', '\0\0\x12\x04\0\0\0\0\0'],
  ['a greeting of another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a line break in the middle', 'HTTP/1.1 200 OK\r\nx: a\rb'],
])('%s: refused at once, without waiting for the end of a head', (_what, text) => {
  expect(() => parserOf().push(latin(text))).toThrow(BackendError);
});

test.each(['H', 'HTTP/1', 'HTTP/1.1 200 OK\r', 'HTTP/1.1 200 OK\r\nx: y\r'])('%j may still become a head', (text) => {
  expect(() => parserOf().push(latin(text))).not.toThrow();
});

test.each(['transfer-encoding: chunked', 'content-length: 5'])(
  'a 204 with %s is a 204, and its connection ends',
  (field) => {
    let ends = 0;
    const parser = parserOf(() => {
      ends += 1;
    });
    parser.push(latin(`HTTP/1.1 204 No Content\r\n${field}\r\n\r\n`));
    expect([ends, parser.reusable]).toEqual([1, false]);
  },
);

test('two equal lengths are one, and their connection ends; two different ones are refused with the rule', () => {
  let ends = 0;
  const parser = parserOf(() => {
    ends += 1;
  });
  parser.push(latin(`${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`));
  expect([ends, parser.reusable]).toEqual([1, false]);
  expect(() => parserOf().push(latin(`${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`))).toThrow(
    'content-length stands twice',
  );
});

test.each([
  ['keep-alive', true],
  ['Keep-Alive, Upgrade', true],
  ['Upgrade', true],
  ['close', false],
  ['keep-alive, close', false],
  ['x-other', false],
])('a connection with "connection: %s" is used again: %s', (value, again) => {
  const parser = parserOf();
  parser.push(latin(`${OK}Upgrade: h2,h2c\r\nConnection: ${value}\r\nContent-Length: 0\r\n\r\n`));
  expect(parser.reusable).toBe(again);
});

test('heads are as long as their resource allows, and what is too much is named with its limit', () => {
  const limits = { sectionBytes: 1_048_576, fields: 200, valueBytes: 65_536, pathBytes: 65_536 };
  const readWith = (text: string): void => {
    const parser = new ResponseParser({ head() {}, body() {}, end() {} }, limits);
    parser.expect('GET');
    parser.push(latin(`${OK}${text}content-length: 0\r\n\r\n`));
  };
  expect(() => readWith(`x: ${'a'.repeat(65_536)}\r\n`.repeat(3))).not.toThrow();
  expect(() => readWith('x: y\r\n'.repeat(199))).not.toThrow();
  expect(() => readWith('x: y\r\n'.repeat(200))).toThrow(
    'a field (content-length) is one more than the 200 that may be',
  );
  expect(() => readWith(`x-long: ${'a'.repeat(65_537)}\r\n`)).toThrow(
    'the value of a field (x-long) is longer than 65536 bytes',
  );
  expect(() => readWith(`x: ${'a'.repeat(65_000)}\r\n`.repeat(20))).toThrow('more than 1048576 bytes');
});

test.each([
  ['NTLM', 'wanted'],
  ['Basic realm="x", Negotiate', 'wanted'],
  ['nTlM TlRMTVNTUAACAAAA', 'next'],
  ['Basic realm="x"', 'none'],
  ['Bearer', 'none'],
])('www-authenticate: %s says of a login of the connection: %s', (value, expected) => {
  const parser = parserOf();
  parser.push(latin(`HTTP/1.1 401 Unauthorised\r\nWWW-Authenticate: ${value}\r\ncontent-length: 0\r\n\r\n`));
  expect(parser.login).toBe(expected);
});
