import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ProxyIdentity, storeIdentity } from '@sallyport/security-client';
import { scratchFolder, TestAuthority } from '@sallyport/support';
import { createLog } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { waitToJoin } from '../src/join-wait.ts';
import { KeptIdentity } from '../src/kept-identity.ts';

/** Sixteen looks in it; certificates know whole seconds, ms. */
const LIFE_MS = 2_000;

const authority = await TestAuthority.create('Sallyport main CA');
const lines: string[] = [];
const log = createLog('proxy', 'info', { write: (line) => void lines.push(line) });

/** A Security that the test plays: it renews, or answers with a status. */
let status = 200;
const shown = await authority.issue({ names: ['localhost'] });
const server = createServer({ cert: shown.certificate, key: shown.key }, async (request, response) => {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const { csr } = JSON.parse(Buffer.concat(pieces).toString()) as { csr: string };
  const now = Date.now();
  const certificate = await authority.certify(csr, { names: ['p1'], use: 'client', from: now, until: now + LIFE_MS });
  const joined = { certificate, ca: authority.certificate, realm: 'main', site: 'here', name: 'p1', nodes: [] };
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(status === 200 ? joined : { title: 'the database does not answer' }));
});
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
afterAll(() => server.close());

test('a Proxy renews its certificate by itself, again and again; after a refusal it keeps the one before and asks again', async () => {
  const file = join(scratchFolder(), 'identity.json');
  const urls = [`https://localhost:${(server.address() as AddressInfo).port}`];
  const first = await authority.issue({
    names: ['p1'],
    use: 'client',
    from: Date.now() - LIFE_MS,
    until: Date.now() + 60_000,
  });
  storeIdentity(file, { name: 'p1', site: 'here', realm: 'main', urls, ca: authority.certificate, ...first });
  const kept = await KeptIdentity.open(file, undefined, waitToJoin(log));
  const used: ProxyIdentity[] = [];
  const renewal = kept.renewInTime(async (renewed) => void used.push(renewed), log);
  const stored = (): ProxyIdentity => JSON.parse(readFileSync(file, 'utf8')) as ProxyIdentity;
  renewal.now();
  await expect.poll(() => used.length).toBeGreaterThanOrEqual(3);
  expect(new Set([first, ...used].map(({ certificate }) => certificate)).size).toBe(used.length + 1);
  expect(new Set([first, ...used].map(({ key }) => key)).size).toBe(used.length + 1);
  expect(stored()).toEqual(kept.current);
  status = 503;
  await expect.poll(() => lines.join().match(/it is tried again/g)?.length ?? 0).toBeGreaterThan(1);
  const before = kept.current;
  expect(stored()).toEqual(before);
  status = 200;
  await expect.poll(() => kept.current.certificate).not.toBe(before.certificate);
  renewal.stop();
  expect(lines.join()).not.toContain('PRIVATE KEY');
});
