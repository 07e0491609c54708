import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { PROXY_PATHS } from '@sallyport/security-api';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { attachControl, type ControlParts } from '../../src/farm/control.ts';
import { scene } from '../scene.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A listener for control connections, in plain text: who comes is who the path says after the question mark. */
async function listening(hear: ControlParts['life']['hear'] = async () => undefined) {
  const { context, lines } = await scene();
  const { access, bus, node, proxies, log } = context;
  const server: Server = createServer();
  const life = { hear, isSettled: async () => true, witnessFor: () => undefined };
  const parts = { access, leaseMs: 1_000, journal: undefined, life, bus, node, proxies, log, authorities: () => [] };
  let keyHash = 'a'.repeat(64);
  const proxy = { name: 'p1', site: 'here', joinedAt: 1, revokedAt: null, keyHash, nextKeyHash: null };
  await access.store.transaction(({ tables }) => tables.proxies.insert(proxy));
  const identify = async () => ({ name: 'p1', site: 'here', keyHash });
  const end = attachControl(server as unknown as TlsServer, { ...parts, identify });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connect = (): WebSocket => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${PROXY_PATHS.control}`);
    socket.on('error', () => undefined);
    ends.push(() => socket.terminate());
    return socket;
  };
  ends.push(end, () => void server.close());
  const as = (other: string): void => {
    keyHash = other.repeat(64);
  };
  return { access, connect, as, lines };
}

async function opened(socket: WebSocket): Promise<WebSocket> {
  await once(socket, 'open');
  return socket;
}

async function statusOf(socket: WebSocket): Promise<number> {
  const [, { statusCode }] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  return statusCode;
}

test('control connections of one key are bounded, with a word about it, and others have theirs', async () => {
  const { connect, as, lines } = await listening();
  const sockets = await Promise.all(Array.from({ length: 16 }, () => opened(connect())));
  expect(await statusOf(connect())).toBe(429);
  expect(await statusOf(connect())).toBe(429);
  expect(lines.filter((line) => line.includes('too many control connections'))).toHaveLength(1);
  as('b');
  await opened(connect());
  as('a');
  sockets[0]!.terminate();
  const again = async (): Promise<boolean> => {
    const socket = connect();
    return Promise.race([opened(socket).then(() => true), statusOf(socket).then(() => false)]);
  };
  await expect.poll(again).toBe(true);
});

test('what a Proxy says of the database is looked at once on a connection, and again only where nobody could look', async () => {
  const heard: string[] = [];
  let fails = 1;
  const { connect } = await listening(async (text) => {
    heard.push(text);
    if (fails-- > 0) throw new Error('the database does not answer');
  });
  const socket = await opened(connect());
  let answers = 0;
  socket.on('message', () => (answers += 1));
  const beat = (id: number): void =>
    socket.send(
      JSON.stringify({
        ...{ type: 'beat', id, instance: '1'.repeat(32), seen: 0, hash: '', done: 0, channels: 0 },
        witness: `proof.${id}`,
      }),
    );
  beat(1);
  await expect.poll(() => heard).toEqual(['proof.1']);
  for (let id = 2; id <= 10; id++) {
    beat(id);
    await expect.poll(() => answers).toBe(id - 1);
  }
  expect(heard).toEqual(['proof.1', 'proof.2']);
});

test('a Proxy that makes up one run after the other fills no table, and the run that it had goes on', async () => {
  const { access, connect, lines } = await listening();
  let [answers, closed] = [0, 0];
  let socket = await opened(connect());
  const beat = (run: number): void => {
    const instance = run.toString(16).padStart(32, '0');
    socket.send(JSON.stringify({ type: 'beat', id: run, instance, seen: 0, hash: '', done: 0, channels: 0 }));
  };
  const hear = (): void => {
    socket.on('message', () => (answers += 1)).on('close', () => (closed += 1));
  };
  hear();
  for (let run = 1; closed === 0; run++) {
    const before = answers;
    beat(run);
    await expect.poll(() => answers + closed, { interval: 2 }).toBe(before + 1);
  }
  const rows = () => access.store.transaction(({ tables }) => tables.leases.count());
  expect(await rows()).toBeLessThan(80);
  expect(answers).toBeGreaterThanOrEqual(64);
  expect(lines.filter((line) => line.includes('begins one run after the other'))).toHaveLength(1);
  socket = await opened(connect());
  hear();
  const before = answers;
  beat(answers - 1);
  await expect.poll(() => answers).toBe(before + 1);
});
