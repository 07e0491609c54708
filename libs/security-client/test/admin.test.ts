import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { policies, status, users } from '@sallyport/security-api/admin';
import { afterEach, expect, test } from 'vitest';
import { AdminClient, AdminError } from '../src/admin.ts';

interface Answer {
  readonly status?: number;
  readonly json: unknown;
}

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A server that answers as it is told, and what it was asked. */
async function serverThat(answer: (request: IncomingMessage) => Answer): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { 'sallyport-reason': reason, 'sallyport-request': id, 'if-none-match': none } = request.headers;
    const fields = [reason, id, none, request.headers.authorization].map((field) => String(field ?? '-'));
    asked.push(`${request.method} ${request.url} ${fields.join(' ')}`);
    const { status: code = 200, json } = answer(request);
    response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** A server that says this and hangs up. */
async function serverThatSays(text: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end(text));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clientOf(
  urls: readonly [string, ...string[]],
  again?: (error: AdminError) => number | undefined,
): AdminClient {
  const client = new AdminClient({ urls, ca: '', token: 'spo-1', ...(again ? { again } : {}) });
  ends.unshift(() => client.close());
  return client;
}

test('a call is made from its operation: method, path, query and the headers that it has', async () => {
  const { url, asked } = await serverThat(() => ({ json: {} }));
  const client = clientOf([url]);
  const params = { name: 'a b/c?' };
  await client.call(users.disable, { params, reason: 'verlässt uns', requestId: 'id-12345' });
  await client.call(policies.put, {
    params: { name: 'p' },
    body: { groups: [], resources: [], context: {} },
    reason: 'why',
    onlyNew: true,
  });
  await client.call(users.list, { query: { after: 'x&y=z' } });
  await client.call(status.get);
  expect(asked).toEqual([
    'POST /v1/users/a%20b%2Fc%3F/disable verl%C3%A4sst%20uns id-12345 - Bearer spo-1',
    'PUT /v1/policies/p why - * Bearer spo-1',
    'GET /v1/users?after=x%26y%3Dz - - - Bearer spo-1',
    'GET /v1/status - - - Bearer spo-1',
  ]);
});

test('a list is read page by page, each after the last row of the one before', async () => {
  const rows = Array.from({ length: 5_001 }, (_, i) => ({ id: `u${String(i).padStart(5, '0')}` }));
  const { url, asked } = await serverThat((request) => {
    const after = new URL(request.url!, 'http://x').searchParams.get('after')!;
    return { json: rows.filter(({ id }) => id > after).slice(0, 5_000) };
  });
  expect((await clientOf([url]).all(users.list)).map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  expect(asked).toHaveLength(2);
  expect(asked[1]).toContain('after=u04999');
});

test('a refusal has the code, the status and the words of the server; silence is another thing', async () => {
  const { url } = await serverThat(() => ({
    status: 409,
    json: { code: 'ERR_STORE_CONFLICT', title: 'taken already' },
  }));
  const refused = await clientOf([url])
    .call(status.get)
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AdminError);
  expect(refused).toMatchObject({ code: 'ERR_STORE_CONFLICT', status: 409, message: 'taken already' });
  const silent = await clientOf(['http://127.0.0.1:1'])
    .call(status.get)
    .catch((error: unknown) => error);
  expect(silent).toMatchObject({ code: 'ERR_ADMIN_UNREACHABLE', status: undefined });
});

test('a call is made again where it may be, at the next node, and not for ever', async () => {
  let failures = 2;
  const { url, asked } = await serverThat(() =>
    failures-- > 0
      ? { status: 503, json: { code: 'ERR_STORE_UNAVAILABLE', title: 'down' } }
      : { json: { realm: 'main' } },
  );
  const seen: (number | undefined)[] = [];
  const again = ({ status: code }: AdminError): number | undefined => {
    seen.push(code);
    return seen.length < 9 ? 1 : undefined;
  };
  expect(await clientOf(['http://127.0.0.1:1', url], again).call(status.get)).toEqual({ realm: 'main' });
  expect(asked.length).toBe(3);
  expect(seen.filter((code) => code === 503)).toHaveLength(2);
  seen.length = 0;
  await expect(clientOf(['http://127.0.0.1:1'], again).call(status.get)).rejects.toThrow(AdminError);
  expect(seen).toHaveLength(9);
});

test('an answer that breaks off is none, and one of somebody else says so: both may be asked for again elsewhere', async () => {
  const broken = await serverThatSays('HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"realm":');
  const balancer = await serverThatSays('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>');
  const { url } = await serverThat(() => ({ json: { realm: 'main' } }));
  const seen: AdminError[] = [];
  const again = (error: AdminError): number => {
    seen.push(error);
    return 1;
  };
  expect(await clientOf([broken, balancer, url], again).call(status.get)).toEqual({ realm: 'main' });
  expect(seen).toMatchObject([
    { code: 'ERR_ADMIN_UNREACHABLE', status: undefined },
    { code: 'ERR_ADMIN_UNREACHABLE', status: 502, message: expect.stringContaining('is no Security server') },
  ]);
});
