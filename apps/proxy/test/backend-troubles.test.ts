import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createMetrics } from '@sallyport/telemetry';
import { afterEach, expect, test } from 'vitest';
import { BackendError } from '../src/backend/errors.ts';
import { BackendTroubles } from '../src/backend/troubles.ts';
import { tryBackend } from '../src/backend/try.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const NETWORKS = ['127.0.0.0/8'];

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const http = (socket: Socket): void =>
  void socket.once('data', () => socket.end('HTTP/1.1 401 Unauthorised\r\ncontent-length: 0\r\n\r\n'));
const CASES: readonly [string, object, () => Promise<{ url: string; networks?: string[]; ca?: string }>][] = [
  [
    'a server that answers',
    { ok: true, detail: 'answers 401' },
    async () => ({ url: `http://127.0.0.1:${await listen(http)}` }),
  ],
  ['a TCP server', { ok: true }, async () => ({ url: `tcp://127.0.0.1:${await listen(() => undefined)}` })],
  ['a closed port', { ok: false, reason: 'port' }, async () => ({ url: 'http://127.0.0.1:9' })],
  ['a closed TCP port', { ok: false, reason: 'port' }, async () => ({ url: 'tcp://127.0.0.1:9' })],
  ['a name that nobody knows', { ok: false, reason: 'name' }, async () => ({ url: 'http://nobody.invalid' })],
  [
    'a loopback address without --network',
    { ok: false, reason: 'network' },
    async () => ({ url: 'http://127.0.0.1:9', networks: [] }),
  ],
  [
    'a name of such an address',
    { ok: false, reason: 'network' },
    async () => ({ url: 'http://localhost:9', networks: [] }),
  ],
  [
    'a TLS backend that speaks none',
    { ok: false, reason: 'protocol' },
    async () => ({ url: `https://localhost:${await listen((socket) => void socket.write('SSH-2.0-x\r\n'))}` }),
  ],
  [
    'HTTP/2 without more',
    { ok: false, reason: 'protocol' },
    async () => ({
      url: `http://127.0.0.1:${await listen((socket) => void socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])))}`,
    }),
  ],
  [
    'a server that hangs up',
    { ok: false, reason: 'closed' },
    async () => ({
      url: `http://127.0.0.1:${await listen((socket) => void socket.once('data', () => socket.destroy()))}`,
    }),
  ],
];

test.each(CASES)('%s: the operator is told', async (_what, expected, backend) => {
  expect(await tryBackend({ networks: NETWORKS, ...(await backend()) }, 'wiki.corp')).toMatchObject(expected);
});

test('failures are counted by resource and reason, and leave a line at once and then now and then', async () => {
  const clock = { now: 100_000 };
  const lines: object[] = [];
  const metrics = createMetrics();
  const log = { warn: (fields: object) => void lines.push(fields) } as never;
  const troubles = new BackendTroubles({ log, metrics, now: () => clock.now });
  const port = new BackendError('ERR_BACKEND_UNREACHABLE', 'no connection', {
    reason: 'port',
    cause: new Error('ECONNREFUSED'),
  });
  for (let i = 0; i < 5; i++) troubles.note('wiki', port);
  troubles.note('wiki', new BackendError('ERR_BACKEND_TIMEOUT', 'late'));
  troubles.note('mail', port);
  troubles.note('mail', new BackendError('ERR_BACKEND_ABORTED', 'given up by the device'));
  expect(lines).toEqual([
    { resource: 'wiki', reason: 'port', detail: 'no connection: ECONNREFUSED', times: 1 },
    { resource: 'wiki', reason: 'time', detail: 'late', times: 1 },
    { resource: 'mail', reason: 'port', detail: 'no connection: ECONNREFUSED', times: 1 },
  ]);
  clock.now += 10_000;
  troubles.note('wiki', port);
  expect(lines.at(-1)).toMatchObject({ resource: 'wiki', reason: 'port', times: 5 });
  expect(await metrics.render()).toContain('sallyport_backend_failures_total{resource="wiki",reason="port"} 6');
  expect(troubles.recent()).toContainEqual({ resource: 'mail', reason: 'port' });
  clock.now += 55_000;
  expect(troubles.recent()).toEqual([{ resource: 'wiki', reason: 'port' }]);
});
