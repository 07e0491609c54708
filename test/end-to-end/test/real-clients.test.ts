import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { freePort, runCommand, sallyport, startSallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { patternByte, startBackend, startTcpEcho } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';

const GIB = 1024 ** 3;
const backend = await startBackend();
const echo = await startTcpEcho();
// A machine that is busy with a GiB answers beats late: nothing here is about the end of a lease.
const gateway = await Gateway.start({ environment: { SALLYPORT_LEASE_MS: '30000' } });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addResource('shell', 'shell.corp:22', echo.url, 'tcp');
await gateway.addUser('ada');
const folder = mkdtempSync('/tmp/sallyport-clients-');
const enrolled = await sallyport(
  ['--data', folder, 'device', 'enroll', await gateway.link('ada'), '-u', 'ada', '--password-stdin'],
  PASSWORD,
);
if (enrolled.code !== 0) throw new Error(enrolled.stderr);
const port = await freePort();
const proxy = `http://127.0.0.1:${port}`;
const { child: forward } = await startSallyport(
  ['--data', folder, 'device', 'forward', '--port', String(port)],
  /try: curl/,
);
afterAll(async () => {
  forward.kill('SIGTERM');
  await gateway.stop();
  await backend.close();
  echo.close();
  rmSync(folder, { recursive: true, force: true });
});

function rssMiB(): number {
  const status = readFileSync(`/proc/${gateway.proxies[0]!.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

/** Runs work and gives the highest resident memory of the Proxy meanwhile, MiB. */
async function peakRss(work: () => Promise<unknown>): Promise<number> {
  let peak = rssMiB();
  const timer = setInterval(() => {
    peak = Math.max(peak, rssMiB());
  }, 50);
  await work();
  clearInterval(timer);
  return peak;
}

function curl(...args: string[]): ReturnType<typeof runCommand> {
  return runCommand('curl', ['-sS', '-x', proxy, ...args]);
}

function expectedHash(bytes: number): string {
  const part = Buffer.from(Uint8Array.from({ length: 65_536 }, (_, i) => patternByte(i)));
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= part.length) hash.update(part.subarray(0, Math.min(left, part.length)));
  return hash.digest('hex');
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part as Buffer);
  return hash.digest('hex');
}

test('curl gets a page, a refusal by name, and an answer to a direct request that says what this is', async () => {
  expect((await curl('-d', 'hello', 'http://wiki.corp/echo')).stdout).toBe('hello');
  const refused = await curl('-i', 'http://nowhere.corp/');
  expect(refused.stdout).toContain('sallyport-error: RESOURCE_UNKNOWN');
  expect(refused.stdout).toContain('sallyport-may-have-run: no');
  expect((await runCommand('curl', ['-sS', proxy])).stdout).toContain('this is a forward proxy');
});

test('npm scopes, GitLab and WebDAV work where a resource takes exact paths and a policy names the methods', async () => {
  const set = await gateway.operator.raw('PATCH', '/v1/resources/wiki', { backend: { paths: 'exact' } });
  expect(set.status).toBe(200);
  const methods = ['GET', 'PUT', 'PROPFIND', 'REPORT', 'MKCOL', 'MOVE', 'LOCK', 'PURGE'];
  const rule = { groups: ['staff'], resources: ['dav'], context: {}, methods, paths: ['/dav/'] };
  await gateway.operator.call(api.resources.put, {
    params: { name: 'dav' },
    body: {
      kind: 'http',
      authority: 'dav.corp',
      backend: { url: backend.url, networks: ['127.0.0.0/8'], paths: 'exact' },
    },
  });
  await gateway.operator.call(api.policies.put, { params: { name: 'dav' }, body: rule });
  const sent = async (...args: string[]): Promise<string> => {
    const before = backend.requests.length;
    const { stdout } = await curl('-i', '--path-as-is', ...args);
    return backend.requests[before] ?? stdout;
  };
  for (const path of ['/@corp%2fpkg', '/api/v4/projects/group%2Fproject/issues?x=CORP\\ada', '/a//b/100%25.pdf'])
    expect(await sent(`http://wiki.corp${path}`)).toBe(`GET ${path}`);
  for (const method of methods) expect(await sent('-X', method, 'http://dav.corp/dav/a')).toBe(`${method} /dav/a`);
  const found = await curl('-X', 'PROPFIND', '-H', 'Depth: 1', '-d', '<propfind/>', 'http://dav.corp/dav/%C3%BC');
  expect(found.stdout).toBe('<propfind/>');
  const raw = await startRawBackend();
  await gateway.addResource('any', 'any.corp', `http://127.0.0.1:${raw.port}`);
  // Methods that Node does not know, neither in our forward nor in a backend.
  const unknown = ['VERSION-CONTROL', 'X-ANY'];
  await gateway.operator.call(api.policies.change, { params: { name: 'open-any' }, body: { methods: unknown } });
  for (const method of unknown)
    expect((await curl('-X', method, 'http://any.corp/')).stdout).toBe(`${method} 1 undefined`);
  raw.close();
  expect(await sent('-X', 'SEARCH', 'http://dav.corp/dav/a')).toContain('no policy opens the method (SEARCH)');
  expect(await sent('http://dav.corp/dav/x%2F..%2F..%2Fadmin')).toMatch(/ 403 .*when its dot segments are resolved/s);
  expect(await sent('-X', 'TRACE', 'http://dav.corp/dav/a')).toContain('the method TRACE never passes');
  await gateway.operator.call(api.resources.change, { params: { name: 'dav' }, body: { backend: { paths: null } } });
  const refused = 'a resource with exact paths takes it';
  await expect.poll(() => sent('http://dav.corp/dav/a%2Fb')).toContain(refused);
});

/** A backend that answers by path with given bytes, whatever they are; else with the method and how long path and cookie are. */
async function startRawBackend(
  answers: ReadonlyMap<string, string> = new Map(),
): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const [method, path = ''] = text.split(' ', 2);
        const lengths = `${method} ${path.length} ${/^cookie: (.*)$/m.exec(text.slice(0, end))?.[1]?.trim().length}`;
        text = text.slice(end + 4);
        const usual = `HTTP/1.1 200 OK\r\ncontent-length: ${lengths.length}\r\n\r\n${lengths}`;
        socket.write(answers.get(path) ?? usual, 'latin1');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

test('odd answers of backends reach the SDK and curl, or an error that says what is wrong', async () => {
  const wide = Array.from({ length: 150 }, (_, i) => `x-${i}: y\r\n`).join('');
  const long = 'a'.repeat(40_000);
  const answers: [path: string, raw: string, expected: string][] = [
    ['/underscore', 'HTTP/1.1 403 No\r\nX_MSDAVEXT_Error: 1\r\nContent-Length: 4\r\n\r\nbody', '403 body'],
    ['/204', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n', '204 '],
    ['/204-length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', '204 '],
    ['/twice', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello', '200 hello'],
    ['/offers', 'HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok', '200 ok'],
    ['/policy', `HTTP/1.1 200 OK\r\nX-Policy: ${'a'.repeat(20_000)}\r\nContent-Length: 2\r\n\r\nok`, '200 ok'],
    [
      '/differ',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
      'content-length stands twice',
    ],
    ['/lines', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', 'stray CR, LF'],
    ['/many', `HTTP/1.1 200 OK\r\n${wide}Content-Length: 2\r\n\r\nok`, 'one more than the 100 that may be'],
    ['/long', `HTTP/1.1 200 OK\r\nX-Long: ${long}\r\nContent-Length: 2\r\n\r\nok`, 'more than 32768 bytes'],
  ];
  const raw = await startRawBackend(new Map(answers.map(([path, answer]) => [path, answer])));
  await gateway.addResource('raw', 'raw.corp', `http://127.0.0.1:${raw.port}`);
  const device = await gateway.device('ada');
  const seenBy = async (path: string): Promise<string[]> => [
    (await curl('-w', '%{http_code}', `http://raw.corp${path}`)).stdout,
    await device.fetch(`http://raw.corp${path}`).then(
      async (response) => `${await response.text()}${response.status}`,
      ({ message }: Error) => message,
    ),
  ];
  for (const [path, , expected] of answers) {
    const [status, body] = expected.split(' ', 2);
    const whole = /^[2-5][0-9]{2}$/.test(status!) ? `${body}${status}` : undefined;
    for (const got of await seenBy(path)) {
      if (whole === undefined) expect(got, path).toContain(expected);
      else expect(got, path).toBe(whole);
    }
  }
  const fields = { count: 200, bytes: 65_536 };
  await gateway.operator.call(api.resources.change, { params: { name: 'raw' }, body: { backend: { fields } } });
  await expect.poll(() => seenBy('/many')).toEqual(['ok200', 'ok200']);
  expect(await seenBy('/long')).toEqual(['ok200', 'ok200']);
  device.close();
  raw.close();
});

test('long fields and paths pass where a resource takes them, and are refused by name elsewhere', async () => {
  const file = join(folder, 'fields');
  writeFileSync(
    file,
    `cookie: ${'a'.repeat(65_000)}\n${Array.from({ length: 150 }, (_, i) => `x-${i}: y\n`).join('')}`,
  );
  const long = await curl('-i', '-H', `cookie: ${'a'.repeat(12_000)}`, 'http://wiki.corp/headers');
  expect(long.stdout).toMatch(/^HTTP\/1.1 431 /);
  expect(long.stdout).toContain('the value of a field (cookie) is longer than 8192 bytes (FIELDS_TOO_LARGE)');
  expect(long.stdout).toContain('sallyport-may-have-run: no');
  const query = await curl(`http://wiki.corp/headers?${'q'.repeat(9_000)}`);
  expect(query.stdout).toContain('the path is longer than 8192 bytes');
  const raw = await startRawBackend();
  await gateway.addResource('wide', 'wide.corp', `http://127.0.0.1:${raw.port}`);
  await gateway.operator.call(api.resources.change, {
    params: { name: 'wide' },
    body: { backend: { fields: { count: 200, bytes: 65_536 } } },
  });
  const sent = async (): Promise<string> => {
    return (await curl('-H', `@${file}`, `http://wide.corp/?${'q'.repeat(9_000)}`)).stdout;
  };
  await expect.poll(sent).toBe('GET 9002 65000');
  raw.close();
});

test('an offer to upgrade to anything but a WebSocket is ignored', async () => {
  const offered = await curl('-i', '--http2', 'http://wiki.corp/headers');
  expect(offered.stdout).toMatch(/^HTTP\/1.1 200 /);
  const seen = JSON.parse(offered.stdout.slice(offered.stdout.indexOf('{')));
  for (const name of ['upgrade', 'http2-settings']) expect(seen[name]).toBeUndefined();
});

test('curl moves 1 GiB down and up whole, and the memory of the Proxy stays flat', async () => {
  const file = join(folder, 'moved');
  /** Highest memory of the Proxy while so many bytes went down and up, MiB. */
  const peaks = async (bytes: number): Promise<number> => {
    const down = await peakRss(async () => {
      expect((await curl('-o', file, `http://wiki.corp/big/${bytes}`)).code).toBe(0);
    });
    expect(await hashOf(file)).toBe(expectedHash(bytes));
    const up = await peakRss(async () => {
      const { stdout } = await curl('-T', file, 'http://wiki.corp/upload');
      expect(JSON.parse(stdout)).toEqual({ bytes });
    });
    rmSync(file);
    return Math.max(down, up);
  };
  const idle = rssMiB();
  const [part, whole] = [await peaks(GIB / 8), await peaks(GIB)];
  console.log(
    `Proxy memory: idle ${idle.toFixed(0)} MiB, peak ${part.toFixed(0)} MiB for 128 MiB and ${whole.toFixed(0)} MiB for 1 GiB`,
  );
  // Buffers that wait for the next collection are 32 MiB or, once V8 has doubled its young generation, 64 MiB, whatever is moved.
  expect(part - idle).toBeLessThan(96);
  expect(whole - part).toBeLessThan(48);
}, 900_000);

test('sallyport device fetch saves a file and uploads one', async () => {
  const file = join(folder, 'fetched');
  expect(
    (await sallyport(['--data', folder, 'device', 'fetch', 'http://wiki.corp/big/5000000', '-o', file])).code,
  ).toBe(0);
  expect(await hashOf(file)).toBe(expectedHash(5_000_000));
  const up = await sallyport([
    '--data',
    folder,
    'device',
    'fetch',
    'http://wiki.corp/upload',
    '-X',
    'POST',
    '-T',
    file,
  ]);
  expect(JSON.parse(up.stdout)).toEqual({ bytes: 5_000_000 });
  const missing = await sallyport(['--data', folder, 'device', 'fetch', 'http://nowhere.corp/']);
  expect(missing.stderr).toContain('RESOURCE_UNKNOWN');
  expect(missing.code).toBe(1);
});

test('wrk runs through it without an error', async () => {
  const script = join(folder, 'wrk.lua');
  writeFileSync(script, 'wrk.path = "http://wiki.corp/echo"\n');
  const { stdout } = await runCommand('wrk', ['-t2', '-c16', '-d3s', '--timeout', '90s', '-s', script, proxy]);
  expect(stdout).toMatch(/Requests\/sec/);
  expect(stdout).not.toMatch(/Non-2xx|Socket errors/);
  expect(Number(/(\d+) requests in/.exec(stdout)![1])).toBeGreaterThan(16);
});

test('a WebSocket client chats through CONNECT', async () => {
  const socket = new WebSocket('ws://wiki.corp/ws', {
    createConnection: () => connectThrough('wiki.corp:80'),
  } as object);
  const answers: string[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on('open', () => socket.send('one'));
    socket.on('message', (data) => {
      answers.push(String(data));
      if (answers.length === 2) resolve();
      else socket.send('two');
    });
    socket.on('error', reject);
  });
  expect(answers).toEqual(['one', 'two']);
  socket.close();
});

test("a WebSocket that is signed in by a cookie works, with messages of megabytes; without it the backend's own 401 comes", async () => {
  const through = (headers: Record<string, string>): WebSocket =>
    new WebSocket('ws://wiki.corp/ws?signed-in', {
      headers,
      createConnection: () => connectThrough('wiki.corp:80'),
    } as object);
  const refused = await new Promise<{ statusCode?: number | undefined; headers: object }>((resolve) => {
    const socket = through({ cookie: 'sid=other' });
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, response) => resolve(response));
  });
  expect([refused.statusCode, refused.headers]).toMatchObject([401, { 'www-authenticate': 'Cookie' }]);
  const socket = through({ cookie: 'sid=abc', origin: 'http://wiki.corp' });
  const sent = Buffer.from(Uint8Array.from({ length: 6_000_000 }, (_, i) => patternByte(i)));
  const echoed = await new Promise<Buffer>((resolve, reject) => {
    socket.on('open', () => socket.send(sent));
    socket.on('message', (data: Buffer) => resolve(data));
    socket.on('error', reject);
  });
  expect(Buffer.compare(echoed, sent)).toBe(0);
  const closed = new Promise<[number, string]>((resolve) =>
    socket.on('close', (code, reason) => resolve([code, String(reason)])),
  );
  socket.close(4001, 'why');
  expect(await closed).toEqual([4001, 'why']);
});

/** A socket that speaks CONNECT to the forward proxy first, as every client with a proxy setting does. */
function connectThrough(target: string): Socket {
  const socket = connect(port, '127.0.0.1');
  const { push } = socket;
  let head = Buffer.alloc(0);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
  socket.push = (chunk: Buffer | null) => {
    if (chunk === null) return push.call(socket, null);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return true;
    socket.push = push;
    return end + 4 < head.length ? push.call(socket, head.subarray(end + 4)) : true;
  };
  return socket;
}

test('a TCP client goes through CONNECT', async () => {
  const socket = connectThrough('shell.corp:22');
  const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
  await new Promise((resolve) => setTimeout(resolve, 300));
  socket.write('uname -a');
  expect(await answer).toBe('uname -a');
  socket.destroy();
});

test('server-sent events arrive one by one as they are sent', async () => {
  let events = '';
  const child = spawn('curl', ['-sSN', '-x', proxy, 'http://wiki.corp/events']);
  child.stdout.on('data', (data) => {
    events += data;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  // Each is sent only when the one before has arrived.
  await expect.poll(() => backend.listeners.size).toBe(1);
  for (let i = 1; i <= 5; i++) {
    backend.sendEvent(String(i));
    await expect.poll(() => events.match(/^data:/gm)?.length).toBe(i);
  }
  backend.sendEvent();
  await ended;
});
