import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Device } from '@sallyport/device';
import { examineDeviceWay, USUAL_LIMITS } from '@sallyport/doctor';
import * as api from '@sallyport/security-api/admin';
import { sallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend, startTcpEcho } from '../src/backend.ts';
import { startBindingBackend } from '../src/binding-backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { startTlsBackend } from '../src/tls-backend.ts';

const backend = await startBackend();
const echo = await startTcpEcho();
const gateway = await Gateway.start({ proxies: 1 });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addResource('shell', 'shell.corp:22', echo.url, 'tcp');
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  await backend.close();
  echo.close();
});

test('a device enrols, signs in and reads a page', async () => {
  const device = await gateway.device('ada');
  expect(device.state).toBe('connected');
  expect(device.resources.map(({ authority }) => authority).sort()).toEqual(['shell.corp:22', 'wiki.corp']);
  const response = await device.fetch('http://wiki.corp/echo', { method: 'POST', body: 'hello' });
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('hello');
  device.close();
});

test('the doctor finds nothing in the way of a device, and keeps a WebSocket as a stranger', async () => {
  const limits = { ...USUAL_LIMITS, connectMs: 60_000, answerMs: 60_000, holdMs: 2_000, askEveryMs: 400 };
  const found = await examineDeviceWay({ origin: gateway.origins[0]! }, limits);
  const told = found.map(({ check, state }) => `${check} ${state}`);
  expect(told).toEqual(['port ok', 'upgrade ok', 'buffering ok', 'size ok', 'hold ok']);
});

test('from the hosts of both servers the doctor finds nothing in the way either', async () => {
  // Where no operator has signed in: what the realm says of itself is another matter.
  const nobody = `${gateway.folder}/nobody`;
  const look = async (from: string, environment: NodeJS.ProcessEnv) => {
    const { stdout, stderr } = await sallyport(['--json', '--data', nobody, 'doctor', '--from', from], '', environment);
    expect(stdout, stderr).not.toBe('');
    const { diagnoses } = JSON.parse(stdout) as { diagnoses: { subject: string; check: string; state: string }[] };
    // Disk, limits, name servers and the keeper of the clock are those of whatever machine this is.
    return diagnoses
      .filter(({ subject }) => !/^disk|^open files|^clock of this host|name servers/.test(subject))
      .map(({ subject, check, state }) => `${subject.replace(/ 127.*/, '')}: ${check} ${state}`);
  };
  const steps = ['port ok', 'certificate ok', 'ready ok', 'clock ok'];
  expect(await look('security', gateway.securityEnvironment)).toEqual([
    ...steps.map((step) => `this host → Security: ${step}`),
    ...steps.slice(0, 2).map((step) => `this host → Security: ${step}`),
  ]);
  expect(await look('proxy', gateway.proxyEnvironment(0))).toEqual([
    'identity of this Proxy: certificate ok',
    ...['port', 'port', 'ready', 'clock', 'port'].map((check) => `this host → Proxy: ${check} ok`),
    ...steps.map((step) => `Proxy → Security: ${step}`),
  ]);
});

test('large bodies stream both ways and arrive whole', async () => {
  const device = await gateway.device('ada');
  const size = 20_000_000;
  const down = await device.fetch(`http://wiki.corp/big/${size}`);
  expect((await down.arrayBuffer()).byteLength).toBe(size);
  const part = new Uint8Array(1_000_000).fill(7);
  let left = 20;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(part);
      else controller.close();
    },
  });
  const up = await device.fetch('http://wiki.corp/upload', { method: 'POST', body });
  expect(await up.json()).toEqual({ bytes: size });
  device.close();
});

test('a resource has its own time limits, and the error of a device says which one was met', async () => {
  const limited = (timeouts: object) =>
    gateway.operator.call(api.resources.change, { params: { name: 'slow' }, body: { backend: { timeouts } } });
  await gateway.addResource('slow', 'slow.corp', backend.url);
  await limited({ answerMs: 1_000 });
  const device = await gateway.device('ada');
  await expect(device.fetch('http://slow.corp/slow/30000')).rejects.toMatchObject({
    code: 'BACKEND_TIMEOUT',
    message: expect.stringContaining('no answer within 1 s (answer limit)'),
  });
  await limited({ answerMs: null, idleMs: 1_000 });
  const socket = device.webSocket('ws://slow.corp/ws');
  const end = await new Promise<CloseEvent>((resolve) => {
    socket.onclose = resolve;
  });
  expect([end.code, end.reason]).toEqual([1001, 'nothing moved for 1 s (idle limit)']);
  expect(await (await device.fetch('http://slow.corp/slow/3000')).text()).toBe('slow');
  device.close();
});

test('a backend that signs the connection in never takes one device for another, and knows each through its login', async () => {
  const iis = await startBindingBackend();
  await gateway.addResource('iis', 'iis.corp', iis.url);
  await gateway.addUser('bob');
  const [ada, bob] = [await gateway.device('ada'), await gateway.device('bob')];
  const ask = async (device: Device, authorization?: string): Promise<string> =>
    (await device.fetch('http://iis.corp/', authorization === undefined ? {} : { headers: { authorization } })).text();
  expect(await ask(ada, 'NTLM first')).toBe('you are nobody');
  expect(await ask(bob)).toBe('you are nobody');
  expect(await ask(ada, 'NTLM last-ada')).toBe('you are ada');
  const all = Array.from({ length: 10 }, async () => [await ask(ada), await ask(bob)]);
  expect(new Set((await Promise.all(all)).map(String))).toEqual(new Set(['you are ada,you are nobody']));
  ada.close();
  bob.close();
  await expect.poll(() => iis.users()).not.toContain('ada');
  iis.close();
});

test('WebSocket and TCP go through', async () => {
  const device = await gateway.device('ada');
  const socket = device.webSocket('ws://wiki.corp/ws');
  const answer = new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = reject;
  });
  socket.onopen = () => socket.send('hi');
  expect(await answer).toBe('hi');
  socket.close();
  const tcp = await device.connect('shell.corp:22');
  const writer = tcp.writable.getWriter();
  await writer.write(new TextEncoder().encode('uname'));
  const { value } = await tcp.readable.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('uname');
  device.close();
});

test('the backend learns who the user is, from the Proxy alone', async () => {
  const device = await gateway.device('ada');
  const headers = (await (
    await device.fetch('http://wiki.corp/headers', {
      headers: { 'x-forwarded-for': '6.6.6.6', 'sallyport-assertion': 'forged' },
    })
  ).json()) as Record<string, string>;
  expect(headers['host']).toBe('wiki.corp');
  expect(headers['x-forwarded-for']).toBeUndefined();
  expect(headers['forwarded']).toBe('for=127.0.0.1;host=wiki.corp;proto=http');
  expect(headers['sallyport-assertion']).toMatch(/^eyJ/);
  // A request without content says so to its backend.
  expect(headers['transfer-encoding']).toBeUndefined();
  expect(headers['content-length']).toBeUndefined();
  device.close();
});

test('a wrong password is refused by name, and the session of before goes on', async () => {
  const device = await gateway.device('ada');
  expect(device.state).toBe('connected');
  await expect(device.login({ user: 'ada', password: `${PASSWORD}x` })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  expect(device.state).toBe('connecting');
});

test('a device that is closed while it connects stays closed', async () => {
  const device = await gateway.device('ada');
  device.close();
  const resuming = device.resume();
  device.close();
  await expect(resuming).rejects.toMatchObject({ name: 'DeviceError' });
  expect(device.state).not.toBe('connected');
});

test('many large WebSocket messages arrive whole and in order', async () => {
  const device = await gateway.device('ada');
  const socket = device.webSocket('ws://wiki.corp/ws');
  const count = 40;
  const sizes: number[] = [];
  const done = new Promise<void>((resolve) => {
    socket.onmessage = ({ data }) => {
      sizes.push((data as ArrayBuffer).byteLength);
      if (sizes.length === count) resolve();
    };
  });
  socket.onopen = () => {
    for (let i = 0; i < count; i++) socket.send(new Uint8Array(200_000 + i));
  };
  await done;
  expect(sizes).toEqual(Array.from({ length: count }, (_, i) => 200_000 + i));
  device.close();
});

test('HTTPS backends are checked against the name in their URL and the CA of their resource', async () => {
  const [right, wrong] = [await startTlsBackend('localhost'), await startTlsBackend('elsewhere.corp')];
  const put = async (name: string, port: number, ca: string | undefined): Promise<void> => {
    const backendOf = { url: `https://localhost:${port}`, networks: ['127.0.0.0/8', '::1/128'], ...(ca ? { ca } : {}) };
    await gateway.operator.call(api.resources.put, {
      params: { name },
      body: {
        kind: 'http',
        authority: `${name}.corp`,
        backend: backendOf,
      },
    });
    await gateway.operator.call(api.policies.put, {
      params: { name },
      body: { groups: ['staff'], resources: [name], context: {} },
    });
  };
  await put('secure', right.port, right.ca);
  await put('stranger', right.port, undefined);
  await put('impostor', wrong.port, wrong.ca);
  const device = await gateway.device('ada');
  expect(await (await device.fetch('https://secure.corp/')).text()).toBe('secure.corp');
  const socket = device.webSocket('wss://secure.corp/');
  expect(
    await new Promise((resolve) =>
      socket.addEventListener('message', (event) => resolve((event as MessageEvent).data)),
    ),
  ).toBe('secure.corp');
  for (const name of ['stranger', 'impostor']) {
    await expect(device.fetch(`https://${name}.corp/`)).rejects.toMatchObject({
      name: 'DeviceError',
      code: 'BACKEND_UNREACHABLE',
    });
  }
  device.close();
  right.close();
  wrong.close();
});

test('a call over HTTP/2 streams both ways, ends by trailers, and keeps to the paths of its policy', async () => {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('data', (part) => stream.write(part));
    stream.on('end', () => stream.end());
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': '0', 'x-who': String(headers['sallyport-assertion'] !== undefined) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await gateway.operator.call(api.resources.put, {
    params: { name: 'echo' },
    body: {
      kind: 'http',
      authority: 'echo.corp',
      backend: { url, networks: ['127.0.0.0/8'], http: '2' },
    },
  });
  const rule = { groups: ['staff'], resources: ['echo'], context: {}, methods: ['POST'], paths: ['/pkg.Echo/Talk'] };
  await gateway.operator.call(api.policies.put, { params: { name: 'echo' }, body: rule });
  const device = await gateway.device('ada');
  const head = { method: 'POST', scheme: 'https', authority: 'echo.corp', fields: [['te', 'trailers']] } as const;
  let heard: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    heard = resolve;
  });
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one');
    await first;
    yield Buffer.from('two');
  }
  const response = await device.request({ ...head, path: '/pkg.Echo/Talk' }, body());
  let text = '';
  for await (const part of response.body) {
    text += Buffer.from(part).toString();
    heard();
  }
  expect(text).toBe('onetwo');
  expect(await response.trailers()).toEqual([
    ['grpc-status', '0'],
    ['x-who', 'true'],
  ]);
  await expect(device.request({ ...head, path: '/pkg.Echo/Other' }, Buffer.from('x'))).rejects.toMatchObject({
    code: 'REQUEST_REFUSED',
    mayHaveRun: false,
  });
  device.close();
  server.close();
});
