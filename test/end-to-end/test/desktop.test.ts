import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { ChildPostgres } from '@sallyport/store-sql';
import {
  freePort,
  type IssuedPair,
  launchChromium,
  runCommand,
  sallyport,
  scratchFolder,
  startSallyport,
} from '@sallyport/support';
import type { Browser, Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { startTcpEcho } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { type PageFacts, startSignInBackend } from '../src/sign-in-backend.ts';
import { signedBy, startTlsBackend } from '../src/tls-backend.ts';

const app = await startSignInBackend();
const tls = await startTlsBackend('hb.example', (request, response) => {
  if (request.url === '/') response.writeHead(302, { location: 'https://hb.example/home' });
  response.end(`page ${request.url}`);
});
const echo = await startTcpEcho();
const gateway = await Gateway.start();
await gateway.addResource('app', 'app.corp', app.url);
await gateway.addResource('shell', 'shell.corp:22', echo.url, 'tcp');
const database = await startDatabaseDoor();
await gateway.addResource('db', 'db.corp:5432', database.url, 'tcp');
const networks = ['127.0.0.0/8'];
await gateway.operator.call(api.resources.put, {
  params: { name: 'hb' },
  body: {
    kind: 'http',
    authority: 'hb.example',
    backend: { url: `https://localhost:${tls.port}`, networks: [...networks, '::1/128'], ca: tls.ca },
  },
});
await gateway.addUser('ada');
const folder = scratchFolder();
const home = join(folder, 'home');
mkdirSync(home);
const enrolled = await sallyport(
  ['--data', folder, 'device', 'enroll', await gateway.link('ada'), '-u', 'ada', '--password-stdin'],
  PASSWORD,
);
if (enrolled.code !== 0) throw new Error(enrolled.stderr);
const port = await freePort();
const proxy = `http://127.0.0.1:${port}`;
const socksPort = await freePort();
const databasePort = await freePort();
const options = ['--port', String(port), '--socks', String(socksPort), '--tcp', `${databasePort}=db.corp:5432`];
const forward = await startSallyport(['--data', folder, 'device', 'forward', ...options], /try: curl/);
const trusted = await device(['trust', '--no-system']);
const caFile = join(folder, 'ca.pem');
writeFileSync(caFile, (await device(['ca'])).stdout);
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
  forward.child.kill('SIGTERM');
  await gateway.stop();
  app.close();
  tls.close();
  echo.close();
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The database of this gateway's own Security, by TCP: a real PostgreSQL that is there anyway. */
async function startDatabaseDoor(): Promise<{ url: string; password: string; close(): void }> {
  const data = gateway.securityEnvironment['SALLYPORT_DATA']!;
  const { host, password } = ChildPostgres.addressOf({
    folder: join(data, 'database'),
    passwordFile: join(data, 'security', 'database-password'),
  });
  const door = createServer({ allowHalfOpen: true }, (socket) => {
    const inner = connect(join(host, '.s.PGSQL.5432'));
    for (const end of [socket, inner]) end.on('error', () => socket.destroy());
    socket.pipe(inner).pipe(socket);
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  const url = `tcp://127.0.0.1:${(door.address() as AddressInfo).port}`;
  return { url, password, close: () => void door.close() };
}

/** `sallyport device …` of a user whose home is this test's. */
function device(args: readonly string[]): ReturnType<typeof sallyport> {
  return sallyport(['--data', folder, 'device', ...args], '', { HOME: home });
}

function curl(...args: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand('curl', ['-sS', '-x', proxy, '--cacert', caFile, ...args]);
}

test('trust says where the CA stands, what it can speak for and how to undo it', () => {
  expect(trusted.stderr).toBe('');
  expect(trusted).toMatchObject({ code: 0 });
  expect(trusted.stdout).toMatch(/Chromium, .*\.pki\/nssdb +trusted/);
  expect(trusted.stdout).toContain('it can speak for corp and for nothing else');
  expect(trusted.stdout).toContain('sallyport device untrust');
});

test('curl -L gets the page behind redirects of a backend to its own address, by http and by https', async () => {
  for (const scheme of ['http', 'https']) {
    const jar = join(folder, `jar-${scheme}`);
    const { stdout, stderr } = await curl(
      '-L',
      '-c',
      jar,
      '-b',
      jar,
      '-w',
      '\n%{url_effective}',
      `${scheme}://app.corp/`,
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('<title>intranet');
    expect(stdout.split('\n').at(-1)).toBe(`${scheme}://app.corp/home`);
  }
  const refreshed = await curl('-i', 'https://app.corp/refresh');
  expect(refreshed.stdout).toContain('refresh: 0;url=https://app.corp/cookies');
  expect((await curl('-i', 'https://app.corp/away')).stdout).toContain('location: https://other.example/');
});

test('the backend hears the scheme that the client used', async () => {
  for (const scheme of ['http', 'https'])
    expect((await curl(`${scheme}://app.corp/told`)).stdout).toContain(`host=app.corp;proto=${scheme}`);
});

test('SOCKS5 leads to the same resources, by their names, and to nothing else', async () => {
  const socks = (...args: readonly string[]): ReturnType<typeof runCommand> =>
    runCommand('curl', ['-sS', '--cacert', caFile, '--socks5-hostname', `127.0.0.1:${socksPort}`, ...args]);
  for (const scheme of ['http', 'https'])
    expect((await socks('-L', `${scheme}://app.corp/refresh`)).stdout).toBe('wait');
  expect(await socks('http://bank.corp/')).toMatchObject({ code: 97 });
  // A client that looks names up by itself is told so.
  const resolved = await runCommand('curl', ['-sS', '--socks5', `127.0.0.1:${socksPort}`, 'http://127.0.0.1:1/']);
  expect(resolved.code).toBe(97);
  await expect.poll(forward.output).toContain('socks5h');
});

const hasPsql = spawnSync('psql', ['--version']).status === 0;
if (!hasPsql) console.warn('note: no psql on this machine (Debian: postgresql-client), so it is left out');

test.skipIf(!hasPsql)('a program that knows of no proxy has a port of its own: psql', async () => {
  const url = `postgres://sallyport:${database.password}@127.0.0.1:${databasePort}/postgres`;
  const { stdout, stderr } = await runCommand('psql', [url, '-Atc', 'select count(*) from generate_series(1, 100000)']);
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('100000');
});

/** Chromium with the home of this test, and so with the CA that was trusted there. */
async function openBrowser(...flags: readonly string[]): Promise<Browser> {
  const browser = await launchChromium(flags, { HOME: home });
  closing.push(() => browser.close());
  return browser;
}

async function factsOf(page: Page): Promise<PageFacts> {
  const body = page.locator('body[data-facts]');
  await body.waitFor({ state: 'attached' });
  return JSON.parse((await body.getAttribute('data-facts'))!) as PageFacts;
}

test('a browser has a secure context: cookies that only https keeps, WebCrypto, sockets over wss', async () => {
  const page = await (await openBrowser(`--proxy-pac-url=${proxy}/proxy.pac`)).newPage();
  await page.goto('https://app.corp/');
  expect(page.url()).toBe('https://app.corp/home');
  expect(await factsOf(page)).toEqual({
    secureContext: true,
    subtle: true,
    cookies: '__Host-csrf __Secure-seen plain sid wide',
    socket: 'over wss',
  });
  // What is no resource goes its usual way, past the gateway.
  await page.goto(`${app.url}/told`);
  expect(await page.locator('body').innerText()).toContain('undefined -');
  // A refusal is a page to read.
  await gateway.operator.call(api.policies.remove, { params: { name: 'open-app' } });
  await page.goto('https://app.corp/home');
  expect(await page.locator('h1').innerText()).toBe('This is no resource of yours');
  await gateway.addResource('app', 'app.corp', app.url);
});

test('who steals the key of the CA deceives no browser beyond the domains of the resources', async () => {
  const stolen = JSON.parse(readFileSync(join(folder, 'cli', 'local-ca.json'), 'utf8')) as IssuedPair;
  const browser = await openBrowser('--host-resolver-rules=MAP * 127.0.0.1');
  for (const [host, outcome] of [
    ['impostor.corp', 'deceived'],
    ['login.bank.test', 'ERR_CERT'],
    ['corp.bank.test', 'ERR_CERT'],
  ] as const) {
    const { certificate: cert, key } = await signedBy(stolen, host);
    const server = createHttpsServer({ cert, key }, (_request, response) => response.end('deceived'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const page = await browser.newPage();
    const shown = await page
      .goto(`https://${host}:${(server.address() as AddressInfo).port}/`)
      .then((answer) => answer!.text(), String);
    expect(shown, host).toContain(outcome);
    server.closeAllConnections();
    server.close();
  }
});

test('untrust takes it all back, twice as well as once, and destroys the key', async () => {
  const listed = (): ReturnType<typeof runCommand> =>
    runCommand('certutil', ['-L', '-d', `sql:${join(home, '.pki/nssdb')}`]);
  expect((await listed()).stdout).toMatch(/Sallyport on this machine [0-9a-f]{8} +C,,/);
  // Trusting again is the same again.
  expect((await device(['trust', '--no-system'])).code).toBe(0);
  expect((await listed()).stdout.match(/Sallyport/g)).toHaveLength(1);
  for (let i = 0; i < 2; i++) {
    expect(await device(['untrust'])).toMatchObject({ code: 0, stderr: '' });
    expect((await listed()).stdout).not.toContain('Sallyport');
    expect(existsSync(join(folder, 'cli', 'local-ca.json'))).toBe(false);
  }
  // The running forward speaks for nobody until there is a CA again.
  expect((await curl('https://app.corp/cookies')).stderr).toContain('502');
  expect((await device(['trust', '--no-system'])).code).toBe(0);
  writeFileSync(caFile, (await device(['ca'])).stdout);
  expect((await curl('https://app.corp/cookies')).code).toBe(0);
});
