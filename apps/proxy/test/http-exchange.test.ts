import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  type SignedCode,
} from '@sallyport/channel';
import type { Backend, ResourceGrant } from '@sallyport/security-api';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { Backends } from '../src/backend/backends.ts';
import { Tenant } from '../src/backend/tenant.ts';
import type { StreamHost } from '../src/streams/exchange.ts';
import { HeadBudget, HeadMemory } from '../src/streams/head-memory.ts';
import { HttpExchange } from '../src/streams/http.ts';

const seen: { method: string; headers: Record<string, unknown>; body: string }[] = [];
/** Requests whose head was read. */
let begun = 0;
/** Notes only requests that were complete. */
const server: Server = createServer((request, response) => {
  begun += 1;
  let body = '';
  request.on('data', (part) => {
    body += String(part);
  });
  request.on('error', () => undefined);
  request.on('end', () => {
    seen.push({ method: request.method!, headers: request.headers, body });
    response.end('ok');
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const backend = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, networks: ['127.0.0.0/8'] };
const backends = new Backends();
afterAll(() => {
  backends.close();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => void seen.splice(0));

/** An exchange on a stream that nothing carries: what it says to the backend is what counts. */
function exchange(over: Partial<StreamHost> = {}) {
  const outcomes: ('done' | SignedCode)[] = [];
  const words: string[] = [];
  const rules: string[] = [];
  const usual: StreamHost = {
    backends,
    deviceAddress: '192.0.2.1',
    decide: () => ({
      resource: { name: 'wiki', kind: 'http', authority: 'wiki.corp', backend, rules: [], assertion: 'signed' },
    }),
    rights: 1,
    tenant: new Tenant({ session: 's', user: 'ada' }),
    refused: (rule) => void rules.push(rule),
    whenReady: (work) => work(),
    whenProved: (work) => work(),
    mayServe: () => true,
    backendFailed: () => undefined,
    handlerFailed: (error) => {
      throw error;
    },
    spend: () => undefined,
    webSocketMessageBytes: 16_777_216,
    count: (_kind, outcome) => void outcomes.push(outcome),
  };
  const host = Object.defineProperties(usual, Object.getOwnPropertyDescriptors(over));
  const { stream } = testStream(1, { heard: (reset) => void words.push(reset.words) });
  const sink = new HttpExchange({ host, stream });
  stream.sink = sink;
  return { sink, stream, outcomes, words, rules };
}

const head = (method: string, fields: [string, string][] = []): Uint8Array =>
  encodeRequestHead({ method, scheme: 'https', authority: 'wiki.corp', path: '/a', fields });
const END = encodeMessageEnd();
const chunk = (text: string): Uint8Array[] => [encodeChunkPrefix(text.length), encodeText(text)];

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await sleep(10);
  expect(condition()).toBe(true);
}

test.each(['GET', 'HEAD', 'OPTIONS', 'DELETE'])(
  '%s whose end comes later is still sent as a request without content',
  async (method) => {
    const { sink, outcomes } = exchange();
    sink.data(head(method));
    await sleep(20);
    expect(seen).toEqual([]);
    sink.data(END);
    await until(() => outcomes.length > 0);
    expect(outcomes).toEqual(['done']);
    expect(seen[0]!.headers['transfer-encoding']).toBeUndefined();
    expect(seen[0]!.body).toBe('');
  },
);

test('a request whose empty end comes while its connection is made is whole', async () => {
  const { sink, outcomes } = exchange();
  // The connection stands in a later turn: until then there may be content, and then there is none.
  sink.data(head('POST'));
  sink.data(END);
  sink.end();
  await until(() => outcomes.length > 0);
  expect(outcomes).toEqual(['done']);
  expect(seen).toMatchObject([{ method: 'POST', body: '' }]);
});

test.each(['COPY', 'MOVE', 'UNLOCK', 'PURGE'])('%s, which has no content, goes without a length', async (method) => {
  const { sink, outcomes } = exchange();
  sink.data(head(method));
  await sleep(20);
  expect(seen).toEqual([]);
  sink.data(END);
  await until(() => outcomes.length > 0);
  expect(seen).toMatchObject([{ method, body: '' }]);
  expect(seen[0]!.headers['content-length']).toBeUndefined();
});

test.each(['PROPFIND', 'PROPPATCH', 'MKCOL', 'LOCK', 'REPORT', 'SEARCH', 'MKCALENDAR', 'M-SEARCH'])(
  '%s goes with its content, or with a length of nothing',
  async (method) => {
    const whole = exchange();
    for (const part of [head(method, [['content-length', '3']]), ...chunk('abc'), END]) whole.sink.data(part);
    const streamed = exchange();
    streamed.sink.data(head(method));
    for (const part of [...chunk('de'), END]) streamed.sink.data(part);
    const empty = exchange();
    empty.sink.data(Buffer.concat([head(method), END]));
    await until(() => seen.length === 3);
    expect(seen.map((one) => [one.method, one.body]).sort()).toEqual([
      [method, ''],
      [method, 'abc'],
      [method, 'de'],
    ]);
    expect(seen.find(({ body }) => body === '')!.headers['content-length']).toBe('0');
    expect(seen.find(({ body }) => body === 'abc')!.headers['connection']).toBe('close');
  },
);

test.each(['CONNECT', 'TRACE', 'TRACK', 'PRI', 'trace', 'Get', 'propfind', '*', 'GET /'])(
  'the method %s never reaches a backend, whatever a policy names',
  async (method) => {
    const { sink, outcomes, words } = exchange();
    sink.data(Buffer.concat([head(method), END]));
    expect(outcomes).toEqual(['REQUEST_REFUSED']);
    expect(words[0]).toContain('method');
    await sleep(20);
    expect(seen).toEqual([]);
  },
);

test('content-length 0 and the end that comes later are one request without content', async () => {
  const { sink, outcomes } = exchange();
  sink.data(head('PROPFIND', [['content-length', '0']]));
  await until(() => seen.length === 1);
  sink.data(END);
  await until(() => outcomes.length > 0);
  expect(outcomes).toEqual(['done']);
  const more = exchange();
  more.sink.data(head('POST', [['content-length', '0']]));
  await until(() => seen.length === 2);
  for (const part of chunk('x')) more.sink.data(part);
  await until(() => more.outcomes.length > 0);
  expect(more.outcomes).not.toEqual(['REQUEST_REFUSED']);
});

test('content whose length is known goes with it, other content in chunks as it comes', async () => {
  const whole = exchange();
  for (const part of [head('POST'), ...chunk('abc'), END]) whole.sink.data(part);
  await until(() => seen.length === 1);
  const begun = exchange();
  begun.sink.data(head('PUT', [['content-length', '5']]));
  for (const part of chunk('ab')) begun.sink.data(part);
  await sleep(20);
  for (const part of [...chunk('cde'), END]) begun.sink.data(part);
  await until(() => seen.length === 2);
  expect(seen.map(({ method, body }) => [method, body])).toEqual([
    ['POST', 'abc'],
    ['PUT', 'abcde'],
  ]);
  expect(seen[1]!.headers['content-length']).toBe('5');
  expect(seen[1]!.headers['transfer-encoding']).toBeUndefined();
});

test('the Proxy alone says where a request goes, for whom and from where', async () => {
  const { sink } = exchange();
  const forged: [string, string][] = [
    ['forwarded', 'for=6.6.6.6'],
    ['x-forwarded-for', '6.6.6.6'],
    ['sallyport-assertion', 'forged'],
    ['accept', '*/*'],
  ];
  sink.data(Buffer.concat([head('GET', forged), END]));
  await until(() => seen.length === 1);
  expect(seen[0]!.headers).toMatchObject({
    host: 'wiki.corp',
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=https',
    'sallyport-assertion': 'signed',
    accept: '*/*',
  });
  expect(seen[0]!.headers['x-forwarded-for']).toBeUndefined();
});

test('a lease that ended before the connection was there, or before the next part, stops the request', async () => {
  let serving = true;
  const fresh = new Backends();
  const late = exchange({ mayServe: () => serving, backends: fresh });
  late.sink.data(head('POST'));
  serving = false;
  await until(() => late.outcomes.length > 0);
  expect(late.outcomes).toEqual(['LEASE_LOST']);
  fresh.close();
  serving = true;
  const before = begun;
  const between = exchange({ mayServe: () => serving });
  between.sink.data(Buffer.concat([head('POST'), ...chunk('ab')]));
  await until(() => begun > before);
  serving = false;
  for (const part of chunk('cd')) between.sink.data(part);
  expect(between.outcomes).toEqual(['LEASE_LOST']);
  expect(seen).toEqual([]);
});

test('content that is more or less than declared ends the stream and never looks complete to the backend', async () => {
  const more = exchange();
  more.sink.data(Buffer.concat([head('POST', [['content-length', '1']]), ...chunk('ab')]));
  expect(more.outcomes).toEqual(['REQUEST_REFUSED']);
  const less = exchange();
  less.sink.data(Buffer.concat([head('POST', [['content-length', '3']]), ...chunk('ab'), END]));
  expect(less.outcomes).toEqual(['REQUEST_REFUSED']);
  const cut = exchange();
  cut.sink.data(Buffer.concat([head('POST'), ...chunk('ab')]));
  cut.sink.end();
  expect(cut.outcomes).toEqual(['REQUEST_REFUSED']);
  await sleep(50);
  expect(seen).toEqual([]);
});

/** An exchange at a resource with settings of its own. */
const at = (settings: Partial<Backend>, over: Partial<ResourceGrant> = {}) =>
  exchange({
    decide: () => ({
      resource: {
        name: 'wiki',
        kind: 'http',
        authority: 'wiki.corp',
        backend: { ...backend, ...settings },
        rules: [],
        ...over,
      },
    }),
  });

test.each(['GET', 'HEAD', 'OPTIONS', 'DELETE'])(
  '%s with content is refused by name, unless the backend reads it',
  async (method) => {
    const ways = [
      [head(method), ...chunk('abc'), END],
      [head(method, [['content-length', '3']])],
      [head(method, [['content-length', '3']]), ...chunk('abc'), END],
    ];
    for (const parts of ways) {
      const refused = exchange();
      for (const part of parts) refused.sink.data(part);
      expect(refused.outcomes).toEqual(['REQUEST_REFUSED']);
      expect(refused.words[0]).toContain(`${method} with content`);
    }
    await sleep(20);
    expect(seen).toEqual([]);
    const allowed = at({ readsContent: true });
    for (const part of ways[2]!) allowed.sink.data(part);
    await until(() => allowed.outcomes.length > 0);
    expect(allowed.outcomes).toEqual(['done']);
    expect(seen).toMatchObject([{ method, body: 'abc' }]);
  },
);

test('a content-length of nothing is no content', async () => {
  const { sink, outcomes } = exchange();
  sink.data(Buffer.concat([head('DELETE', [['content-length', '0']]), END]));
  await until(() => outcomes.length > 0);
  expect(outcomes).toEqual(['done']);
});

test('a backend is told to end the connection behind content, unless it is known to read it', async () => {
  const first = exchange();
  for (const part of [head('POST'), ...chunk('abc'), END]) first.sink.data(part);
  const second = at({ readsContent: true });
  for (const part of [head('PUT'), ...chunk('abc'), END]) second.sink.data(part);
  const third = exchange();
  third.sink.data(Buffer.concat([head('GET'), END]));
  await until(() => seen.length === 3);
  const connection = (method: string): unknown => seen.find((one) => one.method === method)!.headers['connection'];
  expect(connection('POST')).toBe('close');
  expect(connection('PUT')).not.toBe('close');
  expect(connection('GET')).not.toBe('close');
});

test('a resource says whether its backend is told by X-Forwarded fields, and what passes', async () => {
  const forged: [string, string][] = [
    ['x-forwarded-for', '6.6.6.6'],
    ['x-forwarded-proto', 'gopher'],
    ['x-user', 'root'],
    ['x-http-method', 'DELETE'],
  ];
  const { sink } = at({ xForwarded: true, passFields: ['x-user', 'x-forwarded-for'] });
  sink.data(Buffer.concat([head('GET', forged), END]));
  await until(() => seen.length === 1);
  expect(seen[0]!.headers).toMatchObject({
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=https',
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-host': 'wiki.corp',
    'x-forwarded-proto': 'https',
    'x-user': 'root',
  });
  expect(seen[0]!.headers['x-http-method']).toBeUndefined();
});

test('an operator says which scheme users have, and no device says another', async () => {
  const { sink } = at({ xForwarded: true, publicScheme: 'http' });
  sink.data(Buffer.concat([head('GET'), END]));
  await until(() => seen.length === 1);
  expect(seen[0]!.headers).toMatchObject({
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=http',
    'x-forwarded-proto': 'http',
  });
});

test('a refusal says which rule, to the device and to the log', () => {
  const { sink, words, rules } = exchange();
  sink.data(head('GET', [['cookie', 'a'.repeat(9_000)]]));
  expect(words).toEqual(['the value of a field (cookie) is longer than 8192 bytes']);
  expect(rules).toEqual(words);
});

test('a device learns which rule an answer breaks', async () => {
  const raw = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nX-Odd: a\x01b\r\nContent-Length: 2\r\n\r\nok'));
  });
  await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(raw.address() as AddressInfo).port}`;
  const resource: ResourceGrant = {
    name: 'wiki',
    kind: 'http',
    authority: 'wiki.corp',
    backend: { ...backend, url },
    rules: [],
  };
  const { sink, outcomes, words } = exchange({ decide: () => ({ resource }) });
  sink.data(head('GET'));
  sink.data(END);
  await until(() => outcomes.length > 0);
  expect(outcomes).toEqual(['BACKEND_FAILED']);
  expect(words).toEqual(['its answer is not valid: the value of a field (x-odd) holds a byte that is not allowed']);
  raw.close();
});

test('a backend that moves to where none may be ends what waits for it, and nothing else', async () => {
  let url = backend.url;
  const version = { now: 1 };
  const { sink, outcomes } = exchange({
    decide: () => ({
      resource: {
        name: 'wiki',
        kind: 'http',
        authority: 'wiki.corp',
        backend: { url, networks: ['127.0.0.0/8'], xForwarded: true },
        rules: [],
      },
    }),
    get rights() {
      return version.now;
    },
  });
  sink.data(head('GET'));
  sink.data(END);
  sink.end();
  // While its connection is being made.
  url = 'http://10.0.0.1';
  version.now = 2;
  await until(() => outcomes.length > 0);
  expect(outcomes).toEqual(['BACKEND_UNREACHABLE']);
  expect(seen).toEqual([]);
});

test('what is too large for a resource is said by name with its limit, and passes where a resource takes it', async () => {
  const wide = { sectionBytes: 1_048_576, fields: 200, valueBytes: 65_536, pathBytes: 65_536 };
  const many = (count: number): [string, string][] => Array.from({ length: count }, (_, i) => [`f${i}`, 'v']);
  const cases: [[string, string][], string, string][] = [
    [[['cookie', 'a'.repeat(8_193)]], '/', 'the value of a field (cookie) is longer than 8192 bytes'],
    [many(101), '/', 'a field (f100) is one more than the 100 that may be'],
    [
      many(5).map(([name]) => [name, 'v'.repeat(8_000)]),
      '/',
      'with a field (f4) all fields together are longer than 32768 bytes',
    ],
    [[], `/?${'q'.repeat(9_000)}`, 'the path is longer than 8192 bytes'],
  ];
  for (const [fields, path, why] of cases) {
    const bytes = encodeRequestHead({ method: 'GET', scheme: 'https', authority: 'wiki.corp', path, fields });
    const usual = exchange();
    usual.sink.data(bytes);
    expect([usual.outcomes, usual.words, usual.rules]).toEqual([['FIELDS_TOO_LARGE'], [why], [why]]);
  }
  expect(seen).toEqual([]);
  const fields: [string, string][] = [['x-long', 'a'.repeat(10_000)], ...many(150)];
  const widest = exchange({ headLimits: () => wide });
  widest.sink.data(encodeRequestHead({ method: 'GET', scheme: 'https', authority: 'wiki.corp', path: '/', fields }));
  widest.sink.data(END);
  await until(() => seen.length === 1);
  expect(seen[0]!.headers['x-long']).toHaveLength(10_000);
});

test('a head that comes in parts is credited at once, but what is beyond the usual only with memory of the channel', () => {
  const budget = new HeadBudget(100_000);
  const wide = { sectionBytes: 1_048_576, fields: 200, valueBytes: 65_536, pathBytes: 65_536 };
  const begin = (): { sink: HttpExchange; credit(): number } => {
    let credited = 0;
    const { sink, stream } = exchange({ headLimits: () => wide, heads: budget });
    const consume = stream.consume.bind(stream);
    stream.consume = (bytes) => {
      credited += bytes;
      consume(bytes);
    };
    return { sink, credit: () => credited };
  };
  const fields: [string, string][] = Array.from({ length: 12 }, (_, i) => [`f${i}`, 'a'.repeat(15_000)]);
  const bytes = encodeRequestHead({ method: 'POST', scheme: 'https', authority: 'wiki.corp', path: '/', fields });
  const first = begin();
  const second = begin();
  for (const { sink } of [first, second]) sink.data(bytes.subarray(0, 140_000));
  // The first one may always go on, so that those that wait are waiting for something that can end.
  expect([first.credit(), second.credit()]).toEqual([140_000, 0]);
  first.sink.data(bytes.subarray(140_000));
  expect([first.credit(), second.credit()]).toEqual([bytes.length, 140_000]);
  second.sink.reset();
  expect(budget.hold(new HeadMemory({ budget, credit() {} }), 100_000)).toBe(true);
  first.sink.reset();
});
