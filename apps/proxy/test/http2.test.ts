import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server as GrpcServer, status as grpcStatus, ServerCredentials } from '@grpc/grpc-js';
import {
  concat,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeText,
  type Field,
  type ResponseHead,
  responseDecoder,
  WIDEST_HEAD,
} from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { selfSigned } from '@sallyport/support';
import { afterEach, expect, test, vi } from 'vitest';
import { testStream } from '../../../libs/channel/test/lone-stream.ts';
import { Backends } from '../src/backend/backends.ts';
import { tryBackend } from '../src/backend/try.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TestHost } from './stream-place.ts';

const FRAME_HEAD_BYTES = 8;
const NETWORKS = ['127.0.0.0/8'];
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 18_000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: ServerHttp2Session) => void;

/** A server that speaks HTTP/2 only, without TLS. */
async function h2Server(serve: Serve, settings = {}) {
  const server: Http2Server = createServer({ settings });
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    serve(stream, headers, stream.session as ServerHttp2Session);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  closing.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const backend: Backend = { url, networks: NETWORKS, http: '2' };
  return { url, backend, sessions };
}

function kept(): Backends {
  const defects: unknown[] = [];
  const backends = new Backends({ handlerFailed: (error) => void defects.push(error) });
  closing.push(() => {
    backends.close();
    expect(defects).toEqual([]);
  });
  return backends;
}

/** One request of a device, played by hand. */
class Asked {
  readonly host: TestHost;
  readonly sink: HttpExchange;
  head: ResponseHead | undefined;
  text = '';
  trailers: readonly Field[] | undefined;
  readonly resets: { code: string; words: string }[];
  /** Bytes of the request that may be sent again, because the backend has them. */
  consumed = 0;
  readonly #stream;

  constructor(backend: Backend, { backends = kept(), user = 'ada' } = {}) {
    this.host = new TestHost(backend, 'http', { backends, user });
    const { stream, resets } = testStream(1);
    this.resets = resets;
    this.#stream = stream;
    const consume = stream.consume.bind(stream);
    stream.consume = (bytes) => {
      this.consumed += bytes;
      consume(bytes);
    };
    this.sink = new HttpExchange({ host: this.host, stream });
    stream.sink = this.sink;
  }

  begin(method: string, path: string, fields: readonly Field[] = []): this {
    this.sink.data(encodeRequestHead({ method, scheme: 'https', authority: 'wiki.corp', path, fields }));
    return this;
  }

  send(bytes: Uint8Array): this {
    this.sink.data(concat(encodeChunkPrefix(bytes.length), bytes));
    return this;
  }

  end(trailers: readonly Field[] = []): this {
    this.sink.data(encodeMessageEnd(trailers));
    return this;
  }

  /** Takes what the Proxy has for the device so far, and gives its credit back unless told otherwise. */
  read(credit = true): number {
    let bytes = 0;
    const frame = new Uint8Array(65_536);
    while (this.#stream.sendable && (this.#stream.sendCredit > 0 || !this.#stream.needsCredit)) {
      const { sent } = this.#stream.writeNext(frame, 0, { room: frame.length, credit: frame.length });
      this.#decoder.push(frame.slice(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + sent));
      bytes += sent;
      if (credit) this.#stream.credit(sent);
    }
    return bytes;
  }

  readonly #decoder = responseDecoder(
    {
      head: (head) => {
        this.head = head;
      },
      content: (bytes) => {
        this.text += Buffer.from(bytes).toString('latin1');
      },
      trailers: (fields) => {
        this.trailers = fields;
      },
    },
    'chunks',
    WIDEST_HEAD,
  );

  async over(): Promise<this> {
    await until(() => {
      this.read();
      return this.host.outcomes.length > 0;
    });
    this.read();
    return this;
  }

  async heard(text: string): Promise<void> {
    await until(() => {
      this.read();
      return this.text.includes(text);
    });
  }
}

const fieldOf = (fields: readonly Field[] = [], name: string): string | undefined =>
  fields.find(([one]) => one === name)?.[1];

test('requests share one connection, and say where they go as HTTP/2 has it', async () => {
  const seen: IncomingHttpHeaders[] = [];
  const { backend, sessions } = await h2Server((stream, headers) => {
    seen.push(headers);
    stream.respond({ ':status': 200, 'x-a': ['1', '2'], 'sallyport-x': 'no' });
    stream.end('ok');
  });
  const backends = kept();
  const asked = Array.from({ length: 20 }, () => new Asked(backend, { backends }).begin('GET', '/a?b').end());
  for (const one of asked) await one.over();
  expect(asked.map(({ text, head }) => [head?.status, text])).toEqual(Array(20).fill([200, 'ok']));
  expect(asked[0]!.head!.fields.filter(([name]) => name === 'x-a' || name.startsWith('sally'))).toEqual([
    ['x-a', '1'],
    ['x-a', '2'],
  ]);
  expect(sessions).toHaveLength(1);
  expect(seen[0]).toMatchObject({
    ':method': 'GET',
    ':path': '/a?b',
    ':authority': 'wiki.corp',
    te: 'trailers',
    forwarded: 'for=192.0.2.1;host=wiki.corp;proto=https',
    'sallyport-assertion': 'signed',
  });
});

test('content and trailers go both ways at the same time', async () => {
  const { backend } = await h2Server((stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write('hello ');
    stream.on('data', (part) => stream.write(part));
    let said = 'none';
    stream.on('trailers', (fields) => {
      said = String(fields['x-sum']);
    });
    stream.on('end', () => stream.end());
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-heard': said, 'sallyport-y': 'no' }));
  });
  const call = new Asked(backend).begin('POST', '/pkg.Service/Talk');
  await call.heard('hello ');
  call.send(encodeText('one'));
  await call.heard('one');
  call.send(encodeText('two'));
  await call.heard('two');
  call.end([['x-sum', '6']]);
  await call.over();
  expect(call.host.outcomes).toEqual(['done']);
  expect([call.text, call.trailers]).toEqual([
    'hello onetwo',
    [
      ['grpc-status', '0'],
      ['x-heard', '6'],
    ],
  ]);
});

test('trailers never say what only the Proxy says, and fields that objects know arrive as they are', async () => {
  const seen: (string | string[] | undefined)[][] = [];
  const { backend } = await h2Server((stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.resume();
    let trailing: string[] = [];
    stream.on('trailers', (fields) => {
      trailing = Object.keys(fields).sort();
    });
    stream.on('end', () => {
      seen.push([String(headers['constructor']), ...trailing]);
      stream.end();
    });
  });
  const call = new Asked(backend).begin('POST', '/pkg.Service/Talk', [['constructor', 'x']]).send(encodeText('one'));
  await until(() => call.head !== undefined || call.read() > 0);
  const forged = ['sallyport-assertion', 'forwarded', 'x-forwarded-for', 'x-remote-user', 'authorization', 'cookie'];
  call.end([...forged.map((name): Field => [name, 'forged']), ['x-sum', '6']]);
  await call.over();
  expect(seen).toEqual([['x', 'x-sum']]);
});

test('trailers that HTTP/2 has no words for end their request alone', async () => {
  const { backend } = await h2Server((stream) => {
    stream.resume();
    stream.on('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  const backends = kept();
  const outcomes: string[] = [];
  const twice: Field[] = [
    ['etag', '1'],
    ['etag', '2'],
  ];
  for (const trailers of [[['proxy-connection', 'x']], [['te', 'x']], twice] as Field[][]) {
    const call = new Asked(backend, { backends }).begin('POST', '/pkg.Service/Talk').send(encodeText('one'));
    await until(() => call.consumed > 0);
    await call.end(trailers).over();
    outcomes.push(...call.host.outcomes);
  }
  expect(outcomes).toEqual(['done', 'done', 'REQUEST_BROKEN']);
});

test('an answer of a head alone, and one without content but with trailers, arrive as what they are', async () => {
  const { backend } = await h2Server((stream, headers) => {
    if (headers[':path'] === '/only')
      return stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true });
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '7' }));
    stream.end();
  });
  const [only, empty] = [new Asked(backend).begin('POST', '/only').end(), new Asked(backend).begin('POST', '/e').end()];
  await Promise.all([only.over(), empty.over()]);
  expect([fieldOf(only.head?.fields, 'grpc-status'), only.trailers]).toEqual(['5', []]);
  expect([empty.head?.status, empty.text, empty.trailers]).toEqual([200, '', [['grpc-status', '7']]]);
});

test('what a backend says it did not take is sent again when all of it is here, else the device learns that nothing ran', async () => {
  let refusing = 1;
  const paths: unknown[] = [];
  const { backend } = await h2Server((stream, headers) => {
    paths.push(headers[':path']);
    if (refusing-- > 0) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const again = await new Asked(backend).begin('GET', '/get').end().over();
  expect([again.text, paths]).toEqual(['ok', ['/get', '/get']]);
  refusing = 1;
  const post = new Asked(backend).begin('POST', '/post').send(encodeText('once')).end();
  await post.over();
  expect(post.host.outcomes).toEqual(['NOT_PROCESSED']);
  refusing = 10;
  const never = await new Asked(backend).begin('GET', '/never').end().over();
  expect(never.host.outcomes).toEqual(['NOT_PROCESSED']);
  expect(paths.filter((path) => path === '/never')).toHaveLength(3);
});

test.each([constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL, constants.NGHTTP2_ENHANCE_YOUR_CALM])(
  'a stream that ends with code %i may have run, and is not sent again',
  async (code) => {
    let count = 0;
    const { backend } = await h2Server((stream) => {
      count += 1;
      stream.close(code);
    });
    const call = await new Asked(backend).begin('POST', '/a').end().over();
    expect([call.host.outcomes, count]).toEqual([['BACKEND_FAILED'], 1]);
  },
);

test('behind a goodbye requests go to another connection, and those above its last stream have not run', async () => {
  const served: string[] = [];
  const { backend, sessions } = await h2Server((stream, headers, session) => {
    const path = String(headers[':path']);
    served.push(path);
    if (path === '/first') return void setTimeout(() => stream.respond({ ':status': 200 }, { endStream: true }), 50);
    if (path === '/bye') return session.goaway(constants.NGHTTP2_NO_ERROR, (stream.id ?? 0) - 2);
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const backends = kept();
  const first = new Asked(backend, { backends }).begin('GET', '/first').end();
  await until(() => served.length === 1);
  const left = new Asked(backend, { backends }).begin('POST', '/bye').send(encodeText('x')).end();
  await left.over();
  expect(left.host.outcomes).toEqual(['NOT_PROCESSED']);
  const next = await new Asked(backend, { backends }).begin('GET', '/next').end().over();
  expect(next.text).toBe('ok');
  await first.over();
  expect(first.head?.status).toBe(200);
  expect(sessions).toHaveLength(2);
});

test('a device that gives up one request after another breaks no connection that others have a stream on', async () => {
  const streams = new Map<ServerHttp2Session, number>();
  const { backend, sessions } = await h2Server((stream, headers, session) => {
    streams.set(session, (streams.get(session) ?? 0) + 1);
    stream.respond({ ':status': 200 });
    stream.write('long');
    stream.resume();
    if (headers[':path'] === '/talk') stream.on('data', (part) => stream.write(part));
  });
  const backends = kept();
  const honest = new Asked(backend, { backends, user: 'bob' }).begin('POST', '/talk');
  await honest.heard('long');
  for (let i = 0; i < 120; i++) {
    const call = new Asked(backend, { backends }).begin('GET', '/a').end();
    await call.heard('long');
    call.sink.reset();
  }
  expect(Math.max(...streams.values())).toBeLessThanOrEqual(60);
  expect(sessions.length).toBeLessThanOrEqual(4);
  honest.send(encodeText('still here'));
  await honest.heard('still here');
  expect(honest.host.outcomes).toEqual([]);
});

test('connections that only end what they have do not keep others from being made', async () => {
  const { backend, sessions } = await h2Server((stream, headers, session) => {
    stream.respond({ ':status': 200 });
    if (headers[':path'] === '/new') return stream.end('ok');
    stream.write('long');
    session.close();
  });
  const backends = kept();
  const long: Asked[] = [];
  for (let i = 0; i < 17; i++) {
    const call = new Asked(backend, { backends }).begin('GET', '/long').end();
    await call.heard('long');
    long.push(call);
  }
  const fresh = await new Asked(backend, { backends }).begin('GET', '/new').end().over();
  expect([fresh.text, fresh.host.outcomes]).toEqual(['ok', ['done']]);
  expect(sessions).toHaveLength(18);
  expect(long.every(({ host }) => host.outcomes.length === 0)).toBe(true);
});

test('a value of an answer may be as long as over HTTP/1.1', async () => {
  const { backend } = await h2Server((stream, { ':path': path }) => {
    stream.respond({ ':status': 200, 'content-security-policy': 'a'.repeat(Number(path?.slice(1))) });
    stream.end('ok');
  });
  const wide = { ...backend, fields: { bytes: 65_536 } };
  const asked = async (to: Backend, bytes: number) => new Asked(to).begin('GET', `/${bytes}`).end().over();
  for (const [to, bytes] of [
    [backend, 20_000],
    [wide, 65_000],
  ] as const)
    expect((await asked(to, bytes)).text).toBe('ok');
});

test('a connection that breaks ends its streams as ones that may have run', async () => {
  const { backend } = await h2Server((_stream, _headers, session) => session.destroy());
  const call = await new Asked(backend).begin('POST', '/a').end().over();
  expect(call.host.outcomes).toEqual(['BACKEND_FAILED']);
});

test('who speaks another protocol than the resource says is named so, and has run nothing', async () => {
  const { url, backend } = await h2Server((stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  const old = await new Asked({ url, networks: NETWORKS }).begin('POST', '/a').end().over();
  expect(old.resets).toEqual([{ code: 'BACKEND_UNREACHABLE', words: expect.stringContaining('protocol') }]);
  expect(old.host.outcomes).toEqual(['BACKEND_UNREACHABLE']);
  let asked = 0;
  const plain = createHttpServer((_request, response) => {
    asked += 1;
    response.end();
  });
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  closing.push(() => void plain.close());
  const wrong = { ...backend, url: `http://127.0.0.1:${(plain.address() as AddressInfo).port}` };
  const call = await new Asked(wrong).begin('POST', '/a').end().over();
  expect(call.resets).toEqual([{ code: 'BACKEND_UNREACHABLE', words: expect.stringContaining('protocol') }]);
  expect(asked).toBe(0);
  expect(await tryBackend(wrong, 'wiki.corp')).toMatchObject({ ok: false, reason: 'protocol' });
  expect(await tryBackend(backend, 'wiki.corp')).toMatchObject({ ok: true, detail: 'answers 200' });
});

test('over TLS the server chooses: HTTP/2, or HTTP/1.1 where it has no other; one that has only HTTP/2 says so to HTTP/1.1', async () => {
  const { certificate: cert, key } = selfSigned('localhost');
  const pair = { cert, key };
  const serve = async (make: (answer: (request: IncomingMessage, response: ServerResponse) => void) => NetServer) => {
    const versions: string[] = [];
    const server = make((request, response) => {
      versions.push(request.httpVersion);
      response.end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => void server.close());
    const url = `https://localhost:${(server.address() as AddressInfo).port}`;
    const backend: Backend = { url, networks: ['127.0.0.0/8', '::1/128'], ca: cert };
    return { backend, versions };
  };
  const [both, old, only] = [
    await serve((answer) => createSecureServer({ ...pair, allowHTTP1: true }, answer as never)),
    await serve((answer) => createHttpsServer(pair, answer)),
    await serve((answer) => createSecureServer(pair, answer as never)),
  ];
  for (const { backend, versions } of [both, old]) {
    const backends = kept();
    const auto: Backend = { ...backend, http: 'auto' };
    const asked = Array.from({ length: 3 }, () => new Asked(auto, { backends }).begin('GET', '/').end());
    for (const one of asked) expect((await one.over()).text).toBe('ok');
    expect(versions).toEqual(Array(3).fill(versions === both.versions ? '2.0' : '1.1'));
  }
  const wrong = await new Asked({ ...old.backend, http: '2' }).begin('GET', '/').end().over();
  const late = await new Asked(only.backend).begin('POST', '/').end().over();
  for (const { resets } of [wrong, late])
    expect(resets).toEqual([{ code: 'BACKEND_UNREACHABLE', words: expect.stringContaining('protocol') }]);
  expect(only.versions).toEqual([]);
});

test('a backend that does not read holds its device back, and a device that does not read its backend', async () => {
  let received = 0;
  let wrote = 0;
  const { backend } = await h2Server((stream, headers) => {
    if (headers[':path'] === '/up') {
      stream.pause();
      stream.on('data', (part: Buffer) => {
        received += part.length;
      });
      stream.pause();
      return;
    }
    stream.respond({ ':status': 200 });
    const more = (): void => {
      while (wrote < 8_000_000 && stream.write(Buffer.alloc(16_384))) wrote += 16_384;
    };
    stream.on('drain', more);
    more();
  });
  const up = new Asked(backend).begin('POST', '/up');
  for (let i = 0; i < 64; i++) up.send(new Uint8Array(16_384));
  await sleep(200);
  expect(received).toBeLessThan(400_000);
  expect(up.consumed).toBeLessThan(400_000);
  const down = new Asked(backend).begin('GET', '/down').end();
  let taken = 0;
  const takenMore = (): number => {
    taken += down.read(false);
    return taken;
  };
  await vi.waitFor(() => expect(takenMore()).toBeGreaterThan(100_000), { timeout: 90_000 });
  for (let i = 0; i < 40; i++) {
    await sleep(10);
    takenMore();
  }
  expect(wrote).toBeLessThan(2_000_000);
  for (const { sink } of [up, down]) sink.reset();
});

test('a backend that takes one stream at a time serves everybody in turn', async () => {
  let now = 0;
  let most = 0;
  const { backend } = await h2Server(
    (stream) => {
      now += 1;
      most = Math.max(most, now);
      setTimeout(() => {
        now -= 1;
        stream.respond({ ':status': 200 }, { endStream: true });
      }, 2);
    },
    { maxConcurrentStreams: 1 },
  );
  const backends = kept();
  const users = Array.from({ length: 24 }, (_, i) => `user-${i % 3}`);
  const asked = users.map((user) => new Asked(backend, { backends, user }).begin('GET', '/').end());
  for (const one of asked) expect((await one.over()).host.outcomes).toEqual(['done']);
  // Of each connection one at a time, and not more connections than we allow ourselves.
  expect(most).toBeLessThanOrEqual(16);
});

test('a device that gives up ends the stream at the backend, and no other one', async () => {
  let ended = 0;
  let begun = 0;
  let other: ServerHttp2Stream | undefined;
  const { backend, sessions } = await h2Server((stream, headers) => {
    if (headers[':path'] === '/other') {
      other = stream;
      return;
    }
    begun += 1;
    stream.on('close', () => {
      ended = stream.rstCode ?? 0;
    });
  });
  const backends = kept();
  const stays = new Asked(backend, { backends }).begin('GET', '/other').end();
  const goes = new Asked(backend, { backends }).begin('POST', '/a').send(encodeText('x'));
  await until(() => other !== undefined && begun === 1);
  goes.sink.reset();
  await until(() => ended > 0);
  expect(ended).toBe(constants.NGHTTP2_CANCEL);
  other!.respond({ ':status': 200 }, { endStream: true });
  expect((await stays.over()).head?.status).toBe(200);
  expect(sessions).toHaveLength(1);
});

test('a login of the connection never goes over one that others share', async () => {
  const { backend } = await h2Server((stream) => stream.respond({ ':status': 401 }, { endStream: true }));
  const call = new Asked(backend).begin('GET', '/', [['authorization', 'NTLM TlRMTVNTUAABAAAA']]).end();
  await call.over();
  expect(call.resets).toEqual([{ code: 'BACKEND_UNREACHABLE', words: expect.stringContaining('NTLM') }]);
});

const plain = { serialize: (value: Buffer): Buffer => value, deserialize: (bytes: Buffer): Buffer => bytes };

/** A gRPC server of another hand with one method of each kind. */
async function grpcServer(): Promise<Backend> {
  const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
    path,
    requestStream,
    responseStream,
    requestSerialize: plain.serialize,
    requestDeserialize: plain.deserialize,
    responseSerialize: plain.serialize,
    responseDeserialize: plain.deserialize,
  });
  const server = new GrpcServer();
  server.addService(
    {
      unary: method('/test.Echo/Unary', false, false),
      down: method('/test.Echo/Down', false, true),
      up: method('/test.Echo/Up', true, false),
      talk: method('/test.Echo/Talk', true, true),
    },
    {
      unary: ((call: { request: Buffer }, done: (error: object | null, value?: Buffer) => void) => {
        if (String(call.request) === 'fail') done({ code: grpcStatus.NOT_FOUND, details: 'no such thing' });
        else done(null, Buffer.from(`<${call.request}>`));
      }) as never,
      down: ((call: { request: Buffer; write(part: Buffer): void; end(): void }) => {
        for (const part of String(call.request).split(' ')) call.write(Buffer.from(part));
        call.end();
      }) as never,
      up: ((call: NodeJS.ReadableStream, done: (error: null, value: Buffer) => void) => {
        let text = '';
        call.on('data', (part) => {
          text += String(part);
        });
        call.on('end', () => done(null, Buffer.from(text)));
      }) as never,
      talk: ((call: NodeJS.ReadWriteStream) => {
        call.on('data', (part) => call.write(Buffer.from(`<${part}>`)));
        call.on('end', () => call.end());
      }) as never,
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  closing.push(() => server.forceShutdown());
  return { url: `http://127.0.0.1:${port}`, networks: NETWORKS, http: '2' };
}

/** One message as gRPC frames it. */
function message(text: string): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return concat(head, encodeText(text));
}

const messagesIn = (text: string): string[] => {
  const found: string[] = [];
  for (let at = 0; at + 5 <= text.length; ) {
    const length = Buffer.from(text.slice(at + 1, at + 5), 'latin1').readUInt32BE();
    found.push(text.slice(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return found;
};

test('gRPC works: one message, many in either direction, a talk, and an error', async () => {
  const backend = await grpcServer();
  const backends = kept();
  const begin = (method: string): Asked =>
    new Asked(backend, { backends }).begin('POST', `/test.Echo/${method}`, [['content-type', 'application/grpc']]);
  const unary = await begin('Unary').send(message('hello')).end().over();
  expect([messagesIn(unary.text), fieldOf(unary.trailers, 'grpc-status')]).toEqual([['<hello>'], '0']);
  const failed = await begin('Unary').send(message('fail')).end().over();
  const said = [...(failed.head?.fields ?? []), ...(failed.trailers ?? [])];
  expect([fieldOf(said, 'grpc-status'), fieldOf(said, 'grpc-message')]).toEqual([
    '5',
    expect.stringMatching(/no(%20| )such/),
  ]);
  const down = await begin('Down').send(message('a b c')).end().over();
  expect(messagesIn(down.text)).toEqual(['a', 'b', 'c']);
  const up = await begin('Up').send(message('x')).send(message('y')).end().over();
  expect(messagesIn(up.text)).toEqual(['xy']);
  const talk = begin('Talk').send(message('one'));
  await talk.heard('<one>');
  talk.send(message('two'));
  await talk.heard('<two>');
  await talk.end().over();
  expect([messagesIn(talk.text), fieldOf(talk.trailers, 'grpc-status')]).toEqual([['<one>', '<two>'], '0']);
});
