import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import { expect, onTestFinished, test } from 'vitest';
import { adminOf } from '../src/admin.ts';

type Answering = { readonly url: string; readonly asked: string[]; close(): void };

const urlOf = (server: Pick<Server, 'address'>): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** A node that answers everything with an empty list. */
async function node(port = 0): Promise<Answering> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url?.split('?')[0]}`);
    response.end('[]');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): void => void server.close().closeAllConnections();
  onTestFinished(close);
  return { url: urlOf(server), asked, close };
}

/** A node that reads what is asked and closes without a word: it may have done it. */
async function broken(): Promise<Omit<Answering, 'close'>> {
  const asked: string[] = [];
  const server = createTcp((socket: Socket) => {
    socket.on('data', (data) => {
      asked.push(String(data).split(' ', 2).join(' '));
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: urlOf(server), asked };
}

const deadUrl = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`;

function adminAt(url: string, ...others: readonly string[]) {
  const admin = adminOf({ url, others, ca: '', token: 't' });
  onTestFinished(() => admin.close());
  return admin;
}

const put = { params: { name: 'staff' }, reason: 'on call' };
const invite = { params: { name: 'olga' }, reason: 'on call' };

test('where nobody listens another node is asked, also for what must not be done twice, and it stays the one that is asked', async () => {
  const good = await node();
  const admin = adminAt(await deadUrl(), await deadUrl(), good.url);
  await admin.call(api.operators.invite, invite);
  await admin.call(api.groups.list);
  expect(good.asked).toEqual(['POST /v1/operators/olga/invite', 'GET /v1/groups']);
});

test('a command that asks often asks the other nodes each time', async () => {
  const [first, second] = [await freePort(), await node()];
  const admin = adminAt(`http://127.0.0.1:${first}`, second.url);
  await admin.call(api.groups.list);
  second.close();
  const back = await node(first);
  await admin.call(api.groups.list);
  back.close();
  expect([second.asked, back.asked]).toEqual([['GET /v1/groups'], ['GET /v1/groups']]);
  await expect(admin.call(api.groups.list)).rejects.toMatchObject({ code: 'ERR_ADMIN_UNREACHABLE' });
});

test('a node that ends without an answer may have done it: only what may be done again is asked elsewhere', async () => {
  const [bad, good] = [await broken(), await node()];
  await adminAt(bad.url, good.url).call(api.groups.put, put);
  expect(good.asked).toEqual(['PUT /v1/groups/staff']);
  await expect(adminAt(bad.url, good.url).call(api.operators.invite, invite)).rejects.toMatchObject({
    code: 'ERR_ADMIN_UNREACHABLE',
  });
  expect(bad.asked).toHaveLength(2);
  expect(good.asked).toHaveLength(1);
});

test('a balancer that has waited in vain may have handed it on: what must not be done twice is not asked elsewhere', async () => {
  const asked: string[] = [];
  const balancer = createServer((request, response) => {
    asked.push(`${request.method}`);
    response.writeHead(504, { 'content-type': 'text/html' }).end('<html><body>Gateway Time-out</body></html>');
  });
  await new Promise<void>((resolve) => balancer.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void balancer.close());
  const good = await node();
  await expect(adminAt(urlOf(balancer), good.url).call(api.operators.invite, invite)).rejects.toMatchObject({
    code: 'ERR_ADMIN_UNREACHABLE',
    status: 504,
  });
  expect([asked, good.asked]).toEqual([['POST'], []]);
  await adminAt(urlOf(balancer), good.url).call(api.groups.list);
  expect(good.asked).toEqual(['GET /v1/groups']);
});

test('each node is asked once: where none answers the last one is named', async () => {
  const last = await deadUrl();
  await expect(adminAt(await deadUrl(), await deadUrl(), last).call(api.groups.list)).rejects.toThrow(
    `the Security server at ${last} does not answer`,
  );
  const alone = await deadUrl();
  await expect(adminAt(alone).call(api.groups.list)).rejects.toThrow(alone);
});

test('a node that takes connections and stands still is left after some seconds', async () => {
  const silent = createTcp(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const good = await node();
  // By TLS, as in every realm: its handshake has no end.
  const frozen = urlOf(silent).replace('http:', 'https:');
  await adminAt(frozen, good.url).call(api.operators.invite, invite);
  expect(good.asked).toHaveLength(1);
});
