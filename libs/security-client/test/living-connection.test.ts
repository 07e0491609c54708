import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { status, users } from '@sallyport/security-api/admin';
import { afterEach, expect, test } from 'vitest';
import { AdminClient, type AdminError } from '../src/admin.ts';

/** Longer than any test: an answer is not waited for so long. */
const NEVER_MS = 3_600_000;
/** Longer than a host is looked for. */
const SLOW_MS = 18_000;
/** A connection that is not taken by then, ms, finds no place. */
const TAKEN_MS = 1_000;
const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function clientOf(...urls: [string, ...string[]]): { client: AdminClient; failures: string[] } {
  const failures: string[] = [];
  const again = ({ message }: AdminError): number => {
    failures.push(message);
    return 1;
  };
  const client = new AdminClient({ urls, ca: '', timeoutMs: NEVER_MS, again });
  ends.push(() => client.close());
  return { client, failures };
}

/** Answers for the status only; two connections wait for it at most. */
const SERVER = `
const server = require('node:http').createServer((request, response) => request.url === '/v1/status' && response.end('{}'));
server.keepAliveTimeout = ${NEVER_MS};
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;

/** A host that can be lost: from then on it hears nothing and takes no connections. */
async function hostThatVanishes(): Promise<{ url: string; vanish: () => Promise<void> }> {
  const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  ends.push(() => child.kill('SIGKILL'));
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { url: `http://127.0.0.1:${Number(port)}`, vanish: () => stopTaking(child, Number(port)) };
}

async function stopTaking(child: ChildProcess, port: number): Promise<void> {
  child.kill('SIGSTOP');
  while (await isTaken(port));
}

function isTaken(port: number): Promise<boolean> {
  const socket: Socket = connect({ host: '127.0.0.1', port });
  ends.push(() => socket.destroy());
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    setTimeout(() => setImmediate(resolve, false), TAKEN_MS);
  });
}

/** A node that answers after so long, and lists nobody. */
async function nodeThatAnswers(afterMs: number): Promise<{ url: string; stopListening: () => void }> {
  const server = createServer((_request, response) => {
    setTimeout(() => response.setHeader('connection', 'close').end('[]'), afterMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stopListening: () => server.close() };
}

test('a call that waits at a host which vanishes is given up, and made again at the next node', async () => {
  const [{ url, vanish }, other] = [await hostThatVanishes(), await nodeThatAnswers(0)];
  const { client, failures } = clientOf(url, other.url);
  await client.call(status.get);
  const waiting = client.call(users.list);
  await vanish();
  expect(await waiting).toEqual([]);
  expect(failures).toEqual([expect.stringContaining('its host is gone')]);
});

test('a connection that was idle when its host vanished keeps no call either', async () => {
  const [{ url, vanish }, other] = [await hostThatVanishes(), await nodeThatAnswers(0)];
  const { client, failures } = clientOf(url, other.url);
  await client.call(status.get);
  await vanish();
  expect(await client.call(users.list)).toEqual([]);
  expect(failures).toHaveLength(1);
});

test('a node that takes its time is waited for, also one that takes nobody new while it ends', async () => {
  const isAnswered = async (end?: 'ends'): Promise<void> => {
    const { url, stopListening } = await nodeThatAnswers(SLOW_MS);
    const { client, failures } = clientOf(url);
    const waiting = client.call(users.list);
    if (end) setTimeout(stopListening, TAKEN_MS);
    expect([await waiting, failures]).toEqual([[], []]);
  };
  await Promise.all([isAnswered(), isAnswered('ends')]);
});
