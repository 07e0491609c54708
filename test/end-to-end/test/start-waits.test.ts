import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { AppProcess } from '@sallyport/local-cluster';
import { PROXY_PATHS } from '@sallyport/security-api';
import { ChildPostgres, type DatabaseAddress } from '@sallyport/store-sql';
import { freePort, scratchFolder, TestAuthority } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { layDatabase } from '../../../libs/store-sql/test/real-postgres.ts';

/** What a server says at its listener for metrics of how it stands. */
function standingAt(port: number) {
  const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
  const waitsFor = async () => ((await (await ask('/readyz'))?.json()) as { waitsFor?: string } | undefined)?.waitsFor;
  return { ask, waitsFor };
}

const LIMIT_MS = 120_000;
/** What a start asks for in its steps: the realm, its keys of both kinds, the leases, the operators. */
const STEPS = ['"realms"', '"kek_holders"', '"keys"', '"leases"', '"operators"', 'commit'];

const folder = scratchFolder();
const place = { folder: join(folder, 'database'), passwordFile: join(folder, 'password') };
await layDatabase(place);
const database = await ChildPostgres.start(place);
afterAll(async () => {
  await database.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A way to a database that breaks each connection off on which one of these texts is asked for the first time. */
async function openBreakingWay(port: number, { host, port: number }: DatabaseAddress, texts: Set<string>) {
  const way = createServer((socket) => {
    const there = connect(join(host, `.s.PGSQL.${number}`));
    for (const end of [socket, there]) end.on('error', () => undefined);
    socket.on('close', () => there.destroy());
    there.on('close', () => socket.destroy());
    there.pipe(socket);
    socket.on('data', (data) => {
      const text = [...texts].find((one) => data.includes(one));
      if (text === undefined) return void there.write(data);
      texts.delete(text);
      socket.destroy();
    });
  });
  await new Promise<void>((listening) => way.listen(port, '127.0.0.1', listening));
  return way;
}

test('a start waits for its database in each of its steps, and says what it waits for', async () => {
  const { address } = database;
  const [port, watched] = [await freePort(), await freePort()];
  const environment = {
    SALLYPORT_DATA: join(folder, 'data'),
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${watched}`,
    SALLYPORT_DATABASE_HOSTS: `127.0.0.1:${port}`,
    SALLYPORT_DATABASE_USER: address.user,
    SALLYPORT_DATABASE_NAME: address.database,
    SALLYPORT_DATABASE_PASSWORD: address.password,
  };
  const { ask, waitsFor } = standingAt(watched);
  const starting = AppProcess.start('security', { environment });
  starting.catch(() => undefined);
  await expect.poll(waitsFor, { timeout: LIMIT_MS }).toMatch(/no primary .*: connect ECONNREFUSED/);
  expect((await ask('/readyz'))!.status).toBe(404);
  // It lives, so that nobody starts it again for that.
  expect((await ask('/healthz'))!.status).toBe(200);
  const texts = new Set(STEPS);
  const way = await openBreakingWay(port, address, texts);
  const security = await starting;
  expect([...texts]).toEqual([]);
  expect((await ask('/readyz'))!.status).toBe(200);
  await expect.poll(() => security.log).toContain('the database answers: the start goes on');
  expect(security.log.match(/the start waits for a database/g)!.length).toBeGreaterThan(3);
  await security.end();
  way.close();
}, 240_000);

test('a Proxy with a token of an operator waits for Security to join, says so, and is nobody else when an answer was lost', async () => {
  const authority = await TestAuthority.create('Sallyport main CA');
  const { certificate, key } = await authority.issue({ names: ['127.0.0.1'] });
  const [dead, port, health, watched] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const requests: string[] = [];
  /** A Security that the test plays: its database is away, then an answer is lost, then it answers. */
  const security = createTlsServer({ cert: certificate + authority.certificate, key }, async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.url !== PROXY_PATHS.join) return void request.socket.destroy();
    const { csr } = JSON.parse(Buffer.concat(pieces).toString()) as { csr: string };
    requests.push(keyOf(csr));
    response.setHeader('content-type', 'application/json');
    if (requests.length === 1) return void response.writeHead(503).end('{"title":"the database does not answer"}');
    if (requests.length === 2) return void request.socket.destroy();
    const joined = { ca: authority.certificate, realm: 'main', site: 'here', name: 'p1', nodes: [] };
    response.end(
      JSON.stringify({ ...joined, certificate: await authority.certify(csr, { names: ['p1'], use: 'client' }) }),
    );
  });
  const content = {
    urls: [`https://127.0.0.1:${dead}`, `https://127.0.0.1:${port}`],
    ca: createHash('sha256').update(new X509Certificate(authority.certificate).raw).digest('hex'),
    token: 'id.secret',
  };
  const environment = {
    SALLYPORT_DATA: join(folder, 'proxy'),
    SALLYPORT_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_HEALTH_LISTEN: `127.0.0.1:${health}`,
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${watched}`,
    SALLYPORT_JOIN_TOKEN: Buffer.from(JSON.stringify(content)).toString('base64url'),
  };
  const { ask, waitsFor } = standingAt(watched);
  const starting = AppProcess.start('proxy', { environment });
  starting.catch(() => undefined);
  await expect.poll(waitsFor, { timeout: LIMIT_MS }).toMatch(/Security does not answer .*ECONNREFUSED/);
  const asBalancer = (path: string) => fetch(`http://127.0.0.1:${health}${path}`);
  expect([(await asBalancer('/healthz')).status, (await asBalancer('/readyz')).status]).toEqual([200, 404]);
  expect(await (await asBalancer('/readyz')).text()).not.toContain('answer');
  await new Promise<void>((listening) => security.listen(port, '127.0.0.1', listening));
  const proxy = await starting;
  expect(requests).toHaveLength(3);
  expect(new Set(requests).size).toBe(1);
  await expect.poll(() => proxy.log).toContain('Security answers: this Proxy has joined');
  expect(proxy.log).toContain('this Proxy waits to join');
  expect(proxy.log).toContain('the database does not answer');
  expect(proxy.log).not.toContain(content.token);
  expect(await waitsFor()).toBeUndefined();
  expect((await ask('/healthz'))!.status).toBe(200);
  await proxy.end();
  security.close();
}, 240_000);

/** The public key of a request, by a second implementation. */
function keyOf(csr: string): string {
  return execFileSync('openssl', ['req', '-noout', '-pubkey'], { input: csr, encoding: 'utf8', stdio: 'pipe' });
}
