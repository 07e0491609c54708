import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinAsPod, newProxyKey } from '@sallyport/security-client';
import { createLog } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { waitToJoin } from '../src/join-wait.ts';
import { openPodIdentity } from '../src/pod-identity.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-pod-'));
const [caFile, keyFile, tokenFile] = ['ca.pem', 'ca.key', 'token'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', keyFile, '-out', caFile, ...names], { stdio: 'ignore' });
writeFileSync(tokenFile, 'first\n');
const log = createLog('proxy', 'fatal');

/** What a Security that the test plays was asked, and what it answers next. */
const asked: { readonly token: string; readonly csr: string }[] = [];
let answer: { readonly status: number; readonly lost?: boolean; readonly cut?: boolean } = { status: 200 };
const certificate = readFileSync(caFile, 'utf8');
const server = createServer({ cert: certificate, key: readFileSync(keyFile) }, async (request, response) => {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  asked.push(JSON.parse(Buffer.concat(pieces).toString()));
  if (answer.lost) return void request.socket.destroy();
  if (answer.cut) {
    response.writeHead(answer.status, { 'content-length': 1_000 });
    return void response.write('{', () => request.socket.destroy());
  }
  const joined = { certificate, ca: certificate, realm: 'main', site: 'here', name: 'p.1', nodes: [] };
  response.writeHead(answer.status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer.status === 200 ? joined : { title: 'no' }));
});
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `https://localhost:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function open(name: string, urls: readonly string[] = [url]) {
  return openPodIdentity(join(folder, name, 'identity.json'), { tokenFile, urls, caFile }, waitToJoin(log));
}

/** The public key of a request, by a second implementation. */
function keyOf(csr: string): string {
  return execFileSync('openssl', ['req', '-verify', '-noout', '-pubkey'], {
    input: csr,
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

test('a pod whose answer was lost asks again with the same key, and the token of that moment', async () => {
  answer = { status: 200, lost: true };
  const opening = open('lost');
  await expect.poll(() => asked.length).toBeGreaterThan(0);
  writeFileSync(tokenFile, 'second\n');
  answer = { status: 200 };
  expect(await opening).toMatchObject({ name: 'p.1', site: 'here', urls: [url] });
  expect(keyOf(asked.at(-1)!.csr)).toBe(keyOf(asked[0]!.csr));
  expect(asked[0]!.token).toBe('first');
  expect(asked.at(-1)!.token).toBe('second');
});

test('a pod that was refused says so, and its next process asks with the same key', async () => {
  answer = { status: 403 };
  await expect(open('refused')).rejects.toMatchObject({ code: 'ERR_SECURITY_REFUSED' });
  expect(existsSync(join(folder, 'refused', 'identity.json'))).toBe(false);
  const key = keyOf(asked.at(-1)!.csr);
  answer = { status: 200 };
  await open('refused');
  expect(keyOf(asked.at(-1)!.csr)).toBe(key);
});

test.each([
  [{ status: 500 }, 'ERR_SECURITY_UNREACHABLE'],
  [{ status: 503 }, 'ERR_SECURITY_UNREACHABLE'],
  [{ status: 429 }, 'ERR_SECURITY_UNREACHABLE'],
  [{ status: 200, cut: true }, 'ERR_SECURITY_UNREACHABLE'],
  [{ status: 400 }, 'ERR_SECURITY_REFUSED'],
  [{ status: 409 }, 'ERR_SECURITY_REFUSED'],
])('what %j says of a pod', async (said, code) => {
  answer = said;
  const joining = joinAsPod({ urls: [url], ca: certificate, token: 'token', key: await newProxyKey() });
  await expect(joining).rejects.toMatchObject({ code });
});

test('a pod that Security cannot answer waits until it can', async () => {
  answer = { status: 503 };
  const before = asked.length;
  const opening = open('waiting');
  await expect.poll(() => asked.length).toBeGreaterThan(before);
  answer = { status: 200 };
  expect(await opening).toMatchObject({ name: 'p.1' });
});

test('a pod that has joined asks nobody, and another pod has another key', async () => {
  answer = { status: 200 };
  await open('kept');
  const before = asked.length;
  expect(await open('kept', ['https://localhost:1'])).toMatchObject({ name: 'p.1' });
  expect(asked).toHaveLength(before);
  await open('other');
  expect(keyOf(asked.at(-1)!.csr)).not.toBe(keyOf(asked.at(-2)!.csr));
});

test('a pod tells its token to nobody whom its CA does not vouch for', async () => {
  const before = asked.length;
  const urls = [url.replace('localhost', '127.0.0.1'), url];
  answer = { status: 200 };
  // The first URL has a name that the certificate does not have: nothing is said there.
  await open('strict', urls);
  expect(asked).toHaveLength(before + 1);
});
