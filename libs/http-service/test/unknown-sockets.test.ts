import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { UnknownSockets } from '../src/index.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function listener(limits: { all: number; ofAddress: number }) {
  const server = createServer((request, response) => {
    if (request.url === '/known') unknown.know(request.socket);
    response.end('hello');
  });
  const unknown = new UnknownSockets(server, limits);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = async (localAddress = '127.0.0.1'): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port, localAddress }).on('error', () => undefined);
    ends.push(() => socket.destroy());
    await once(socket, 'connect');
    return socket.resume();
  };
  const ask = async (socket: Socket, path: string): Promise<string> => {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    return String((await once(socket, 'data'))[0]);
  };
  ends.push(() => server.close());
  return { unknown, open, ask };
}

const closed = (sockets: readonly Socket[]): number => sockets.filter(({ destroyed }) => destroyed).length;

test('silent sockets of one address make room for each other, and never for those of another', async () => {
  const { unknown, open } = await listener({ all: 1_000, ofAddress: 10 });
  const other = await open('127.0.0.2');
  const silent: Socket[] = [];
  for (let i = 0; i < 40; i++) silent.push(await open());
  await vi.waitFor(() => expect(closed(silent)).toBe(30), { timeout: 90_000 });
  expect(silent.slice(30).every(({ destroyed }) => !destroyed)).toBe(true);
  expect(other.destroyed).toBe(false);
  expect(unknown.size).toBe(11);
});

test('silent sockets from everywhere keep nobody out, and cut nobody who is known', async () => {
  const { unknown, open, ask } = await listener({ all: 10, ofAddress: 10 });
  const known = await open();
  expect(await ask(known, '/known')).toContain('hello');
  const silent: Socket[] = [];
  for (let i = 0; i < 40; i++) silent.push(await open(`127.0.1.${i + 1}`));
  expect(await ask(await open('127.0.2.1'), '/')).toContain('hello');
  await vi.waitFor(() => expect(closed(silent)).toBe(31), { timeout: 90_000 });
  expect(await ask(known, '/')).toContain('hello');
  expect(unknown.size).toBe(10);
});

test('what has closed is counted no more', async () => {
  const { unknown, open } = await listener({ all: 10, ofAddress: 10 });
  for (let i = 0; i < 5; i++) (await open()).destroy();
  await vi.waitFor(() => expect(unknown.size).toBe(0), { timeout: 90_000 });
});
