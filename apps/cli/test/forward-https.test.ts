import { mkdtempSync, rmSync } from 'node:fs';
import { connect as netConnect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { DeviceError } from '@sallyport/device';
import { afterAll, expect, test } from 'vitest';
import { Crossing } from '../src/device/forward/crossing.ts';
import { createForwardProxy } from '../src/device/forward/proxy.ts';
import { replaceCa } from '../src/device/local-ca/ca-file.ts';
import { HostCertificates } from '../src/device/local-ca/host-certificates.ts';
import { asked, fakeDevice, listening } from './fake-device.ts';

const RESOURCES = [
  { name: 'wiki', kind: 'http', authority: 'wiki.corp' },
  { name: 'odd', kind: 'http', authority: 'odd.corp:8443' },
  { name: 'late', kind: 'http', authority: 'late.company.com' },
  { name: 'raw', kind: 'tcp', authority: 'raw.corp:443' },
];
const folder = mkdtempSync('/tmp/sallyport-https-');
const file = join(folder, 'local-ca.json');
const { certificate: ca } = await replaceCa(file, ['wiki.corp'], Date.now());
const device = fakeDevice({ resources: RESOURCES });
const server = createForwardProxy(device, { crossing: new Crossing(device, new HostCertificates(file)) });
const port = await listening(server);
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A tunnel, or the answer that refused it. */
function tunnelTo(target: string, early = '', at = port): Promise<{ socket: Socket; answer: string }> {
  return new Promise((resolve, reject) => {
    const socket = netConnect(at, '127.0.0.1', () =>
      socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n${early}`),
    );
    socket.once('data', (data) => {
      socket.pause();
      resolve({ socket, answer: String(data) });
    });
    socket.once('error', reject);
  });
}

async function secureTunnelTo(target: string, servername: string, at = port): Promise<TLSSocket> {
  const { socket } = await tunnelTo(target, '', at);
  return new Promise((resolve, reject) => {
    const secure = tlsConnect({ socket, servername, ca, ALPNProtocols: ['h2', 'http/1.1'] }, () => resolve(secure));
    secure.once('error', reject);
  });
}

/** All that comes back on a connection. */
async function ask(socket: Socket, request: string): Promise<string> {
  socket.write(request);
  let answer = '';
  for await (const part of socket) answer += String(part);
  return answer;
}

function get(host: string, more = ''): string {
  return `GET /a%20b?c HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${more}\r\n`;
}

test.each([
  ['wiki.corp:443', 'wiki.corp', 'wiki.corp', 'wiki.corp'],
  ['WIKI.corp:443', 'wiki.corp', 'wiki.corp:443', 'wiki.corp'],
  ['odd.corp:8443', 'odd.corp', 'odd.corp:8443', 'odd.corp:8443'],
])('https to %s ends here, and its request goes to the resource', async (target, servername, host, authority) => {
  const secure = await secureTunnelTo(target, servername);
  expect(secure.authorized).toBe(true);
  expect(secure.alpnProtocol).toBe('http/1.1');
  expect(await ask(secure, get(host))).toMatch(/^HTTP\/1\.1 200 .*served/s);
  expect(asked.at(-1)).toMatchObject({ scheme: 'https', authority, path: '/a%20b?c' });
});

test('any method passes by https, too', async () => {
  const secure = await secureTunnelTo('wiki.corp:443', 'wiki.corp');
  expect(await ask(secure, get('wiki.corp').replace('GET', 'VERSION-CONTROL'))).toContain('served');
  expect(asked.at(-1)).toMatchObject({ method: 'VERSION-CONTROL', scheme: 'https' });
});

test('plain HTTP in a tunnel stays what it is, also when it comes with the CONNECT', async () => {
  const { socket } = await tunnelTo('wiki.corp:80');
  expect(await ask(socket, get('wiki.corp'))).toContain('served');
  expect(asked.at(-1)).toMatchObject({ scheme: 'http', authority: 'wiki.corp' });
  const early = await tunnelTo('wiki.corp:80', get('wiki.corp'));
  expect(early.answer + (await ask(early.socket, ''))).toContain('served');
});

test('a request for another host does not pass on a connection to this one', async () => {
  for (const host of ['odd.corp:8443', 'wiki.corp:8443', 'bank.example']) {
    const before = asked.length;
    expect(await ask(await secureTunnelTo('wiki.corp:443', 'wiki.corp'), get(host))).toMatch(/^HTTP\/1\.1 421 /);
    expect(asked).toHaveLength(before);
  }
});

test('a TCP resource at port 443 passes as it is', async () => {
  const { socket, answer } = await tunnelTo('raw.corp:443');
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  socket.resume();
  socket.write('\x16\x03\x01echo');
  const back = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString('latin1'))));
  expect(back).toBe('\x16\x03\x01echo');
  socket.destroy();
});

test.each([
  ['bank.example:443', 403, 'no resource of yours'],
  ['wiki.corp:22', 403, 'no resource of yours'],
  ['late.company.com:443', 502, 'sallyport device trust'],
])('no certificate for %s', async (target, status, words) => {
  const { answer } = await tunnelTo(target);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain(words);
});

test('a client that speaks neither HTTP nor TLS, or a broken handshake, ends its own connection only', async () => {
  for (const bytes of ['\x16\x03\x01\x00\x05hello', '\x00\x01\x02', 'SSH-2.0-x\r\n']) {
    const { socket } = await tunnelTo('wiki.corp:443');
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.resume();
    socket.end(Buffer.from(bytes, 'latin1'));
    await ended;
  }
  expect(await ask(await secureTunnelTo('wiki.corp:443', 'wiki.corp'), get('wiki.corp'))).toContain('served');
});

test('a client that asks for https in absolute form is served, too', async () => {
  const socket = netConnect(port, '127.0.0.1');
  expect(await ask(socket, get('wiki.corp').replace('/a%20b?c', 'https://wiki.corp:443/x'))).toContain('served');
  expect(asked.at(-1)).toMatchObject({ scheme: 'https', authority: 'wiki.corp', path: '/x' });
});

test('who opens a page reads why it cannot be, also when nobody is signed in any more; programs get a line', async () => {
  const words = '<script>alert(1)</script>';
  const failing = async (): Promise<never> => {
    throw new DeviceError('REVOKED', words);
  };
  const signedOut = fakeDevice({ resources: RESOURCES, request: failing, resume: failing });
  const ended = createForwardProxy(signedOut, { crossing: new Crossing(signedOut, new HostCertificates(file)) });
  const at = await listening(ended);
  const page = await ask(
    await secureTunnelTo('wiki.corp:443', 'wiki.corp', at),
    get('wiki.corp', 'accept: text/html,*/*\r\n'),
  );
  expect(page).toMatch(/^HTTP\/1\.1 401 /);
  expect(page).toContain('content-type: text/html');
  expect(page).toContain('You are not signed in');
  expect(page).toContain('sallyport device login');
  expect(page).not.toContain('<script');
  const line = await ask(await secureTunnelTo('wiki.corp:443', 'wiki.corp', at), get('wiki.corp', 'accept: */*\r\n'));
  expect(line).toContain('content-type: text/plain');
  expect(line).toContain('sallyport-error: REVOKED');
  ended.closeAllConnections();
  ended.close();
});
