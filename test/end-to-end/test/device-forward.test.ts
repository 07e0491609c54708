import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { freePort, runCommand, sallyport, scratchFolder, startSallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend, startTcpEcho } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';

const backend = await startBackend();
const echo = await startTcpEcho();
const gateway = await Gateway.start();
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addResource('shell', 'shell.corp:22', echo.url, 'tcp');
await gateway.addUser('ada');
const folder = scratchFolder();
const enrol = ['device', 'enroll', await gateway.link('ada'), '-u', 'ada', '--password-stdin'];
const enrolled = await sallyport(['--data', folder, ...enrol], PASSWORD);
if (enrolled.code !== 0) throw new Error(enrolled.stderr);
const port = await freePort();
const forward = await startSallyport(['--data', folder, 'device', 'forward', '--port', String(port)], /try: curl/);
afterAll(async () => {
  forward.child.kill('SIGTERM');
  await gateway.stop();
  await backend.close();
  echo.close();
  rmSync(folder, { recursive: true, force: true });
});

function curl(...args: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand('curl', ['-sS', '-x', `http://127.0.0.1:${port}`, ...args]);
}

function login(): ReturnType<typeof sallyport> {
  return sallyport(['--data', folder, 'device', 'login', '-u', 'ada', '--password-stdin'], PASSWORD);
}

async function revokeSession(): Promise<void> {
  const sessions = await gateway.operator.call(api.sessions.list);
  for (const { id } of sessions)
    await gateway.operator.call(api.revocations.put, {
      params: { id: randomUUID() },
      body: {
        kind: 'session',
        subject: id,
        reason: 'test',
      },
    });
}

async function openTunnel(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write('CONNECT shell.corp:22 HTTP/1.1\r\nhost: shell.corp:22\r\n\r\n');
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

test('whom a link is for is said before the password, and whom the machine belongs to after', () => {
  expect(enrolled.stderr).toContain('this link is for ada');
  expect(enrolled.stdout).toMatch(/enrolled for .*ada/);
});

test('a login in another process replaces the session, and the forward that runs goes on with the new one', async () => {
  expect(await login()).toMatchObject({ code: 0 });
  const sessions = () => gateway.operator.call(api.sessions.list);
  await expect.poll(sessions).toHaveLength(1);
  expect((await curl('-d', 'again', 'http://wiki.corp/echo')).stdout).toBe('again');
});

test('a login in another process, after a revocation, is noticed by the forward that runs', async () => {
  expect((await curl('-d', 'hello', 'http://wiki.corp/echo')).stdout).toBe('hello');
  await revokeSession();
  const refused = async () => (await curl('-i', 'http://wiki.corp/echo')).stdout;
  await expect.poll(refused).toContain('sallyport-error: REVOKED');
  expect(await refused()).toContain('sallyport-may-have-run: no');
  expect(await refused()).toContain('sallyport device login');
  expect(await login()).toMatchObject({ code: 0 });
  expect((await curl('-d', 'back', 'http://wiki.corp/echo')).stdout).toBe('back');
});

test('a tunnel whose session is revoked ends by a reset, never like a finished one', async () => {
  const socket = await openTunnel();
  socket.write('hello');
  await new Promise((resolve) => socket.once('data', resolve));
  const ended: string[] = [];
  socket.on('end', () => ended.push('end'));
  socket.on('error', (error: NodeJS.ErrnoException) => ended.push(error.code!));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await revokeSession();
  await closed;
  expect(ended).toEqual(['ECONNRESET']);
  expect(await login()).toMatchObject({ code: 0 });
});

test('a tunnel that its backend ends is ended, and not reset', async () => {
  const socket = await openTunnel();
  socket.end('bye');
  let got = '';
  for await (const part of socket) got += String(part);
  expect(got).toBe('bye');
});

test.runIf(process.getuid?.() === 0)('another user of this machine does not get the session', async () => {
  const asNobody = [
    '--reuid',
    '65534',
    '--regid',
    '65534',
    '--clear-groups',
    'curl',
    '-sS',
    '-x',
    `http://127.0.0.1:${port}`,
  ];
  const before = backend.requests.length;
  const refused = await runCommand('setpriv', [...asNobody, '-i', '-d', 'x', 'http://wiki.corp/echo']);
  expect(refused.stdout).toMatch(/^HTTP\/1.1 403 /);
  expect(refused.stdout).toContain('belongs to another user');
  expect(backend.requests).toHaveLength(before);
});

test('the keys of the device never stand in a form that only one process can read', () => {
  expect(readFileSync(join(folder, 'cli', 'device.json'), 'utf8')).not.toContain('"Buffer"');
});
