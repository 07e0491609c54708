import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { selfSigned } from '@sallyport/support';
import { createLog } from '@sallyport/telemetry';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createService } from '../src/index.ts';

const log = createLog('test', 'info', { write: () => undefined });
const TLS = selfSigned('localhost');
const https = { key: TLS.key, cert: TLS.certificate };

type Turn = PromiseWithResolvers<void>;

/** A service with an answer that is given when told to, and its port. */
async function listen(options: { readonly https?: typeof https } = {}) {
  const service = createService({ log, ready: () => true, ...options });
  const [asked, told, closing] = [1, 2, 3].map(() => Promise.withResolvers<void>()) as [Turn, Turn, Turn];
  service.addHook('preClose', async () => closing.resolve());
  service.get('/slow', async () => {
    asked.resolve();
    await told.promise;
    return { late: true };
  });
  service.post('/whole', async () => ({}));
  await service.listen({ port: 0, host: '127.0.0.1' });
  const { port } = service.server.address() as AddressInfo;
  return { service, port, asked: asked.promise, closing: closing.promise, tell: told.resolve };
}

/** Resolves when the listener has taken the next connection. */
const taken = (server: Server) => once(server, 'connection');

test('an answer that is under way is given to its end, and its connection ends with it', async () => {
  const { service, port, asked, closing, tell } = await listen();
  const agent = new Agent({ keepAlive: true });
  const answer = once(request({ port, path: '/slow', agent }).end(), 'response');
  await asked;
  const closed = service.close();
  await closing;
  tell();
  const [response] = (await answer) as [IncomingMessage];
  expect([response.statusCode, response.headers.connection]).toEqual([200, 'close']);
  expect(JSON.parse(String(await response.toArray()))).toEqual({ late: true });
  await closed;
  agent.destroy();
});

test('nobody who is connected and asks nothing keeps a service from ending', async () => {
  const { service, port } = await listen();
  const at = taken(service.server);
  const silent = connect(port, '127.0.0.1');
  const ended = once(silent.resume(), 'close');
  await at;
  await service.close();
  await ended;
});

test('nor does one who does not finish a TLS handshake, or does and asks nothing', async () => {
  const { service, port } = await listen({ https });
  const at = taken(service.server);
  const half = connect(port, '127.0.0.1').on('error', () => undefined);
  await at;
  const whole = connectTls({ port, host: '127.0.0.1', ca: TLS.certificate, servername: 'localhost' });
  await once(whole, 'secureConnect');
  whole.on('error', () => undefined);
  const ended = [half, whole].map((socket) => once(socket.resume(), 'close'));
  await service.close();
  await Promise.all(ended);
});

test('who asks several things at once and goes is owed nothing', async () => {
  const { service, port, asked } = await listen();
  let at = taken(service.server);
  const hasty = connect(port, '127.0.0.1').on('error', () => undefined);
  const [there] = await at;
  hasty.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
  await asked;
  const gone = once(there, 'close');
  hasty.destroy();
  await gone;
  at = taken(service.server);
  const silent = connect(port, '127.0.0.1');
  const ended = once(silent.resume(), 'close');
  await at;
  await service.close();
  await ended;
});

test('nor does one who asks and does not send the whole of it, while others are answered', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const { service, port, asked, closing, tell } = await listen();
  const slow = once(request({ port, path: '/slow' }).end(), 'response');
  await asked;
  const begun = once(service.server, 'request');
  const half = connect(port, '127.0.0.1').on('error', () => undefined);
  half.write('POST /whole HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{');
  await begun;
  let isOpen = true;
  const ended = once(half.resume(), 'close').then(() => {
    isOpen = false;
  });
  const closed = service.close();
  await closing;
  await vi.advanceTimersByTimeAsync(9_000);
  expect(isOpen).toBe(true);
  await vi.advanceTimersByTimeAsync(2_000);
  await ended;
  tell();
  expect(((await slow) as [IncomingMessage])[0].resume().statusCode).toBe(200);
  await closed;
});
