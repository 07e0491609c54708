import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { afterAll, expect, test } from 'vitest';
import { DIRECTORY_TLS } from '../../src/app.ts';
import { createCaKey, openCa } from '../../src/keys/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, content: string): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

test('the strictest verifier takes what our CA issues for a listener', async () => {
  const now = Date.now();
  const ca = await openCa(await createCaKey('main', 'ca-1', now));
  const { certificate } = await ca.issueServer(['localhost', '127.0.0.1'], now);
  const [root, leaf] = [fileOf('ca.pem', ca.certificate), fileOf('leaf.pem', certificate)];
  const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost'];
  const said = execFileSync('openssl', [...verify, '-CAfile', root, leaf], { encoding: 'utf8' });
  expect(said).toContain('leaf.pem: OK');
});

test('directories may speak TLS 1.2, but with suites that seal and keep recorded traffic closed', async () => {
  const now = Date.now();
  const ca = await openCa(await createCaKey('main', 'ca-1', now));
  const { certificate, key } = await ca.issueServer(['localhost'], now);
  const server = createServer({ ...DIRECTORY_TLS, cert: certificate, key }, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const speaks = (ciphers: string): Promise<boolean> =>
    new Promise((resolve) => {
      const options = { port, ca: ca.certificate, servername: 'localhost', maxVersion: 'TLSv1.2', ciphers } as const;
      const socket = connect({ host: '127.0.0.1', ...options }, () => resolve(true));
      socket.on('error', () => resolve(false));
    });
  for (const suite of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'])
    expect(await speaks(suite), suite).toBe(true);
  for (const suite of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA', 'ECDHE-ECDSA-AES128-CCM'])
    expect(await speaks(suite), suite).toBe(false);
  server.close();
});
