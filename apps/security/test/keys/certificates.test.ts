import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { tlsOptionsOf } from '@sallyport/certificates';
import { pythonSays, verifyStrictly } from '@sallyport/support';
import { expect, test } from 'vitest';
import { createCaKey, openCa, readCertificateRequest } from '../../src/keys/certificates.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const now = Date.now();
const ca = await openCa(await createCaKey('main', 'ca-1', now));

/** What a Proxy asks for. */
async function proxyCertificate(): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const asked = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=any', keys, signingAlgorithm: ALGORITHM });
  return ca.issueProxy(await readCertificateRequest(asked.toString('pem')), 'proxy-1', now);
}

test('the strictest verifiers take what our CA issues for listeners and Proxies, for that and for nothing else', async () => {
  const { certificate, key } = await ca.issueServer(['localhost', '127.0.0.1'], now);
  for (const host of ['localhost', '127.0.0.1'])
    expect(verifyStrictly({ ca: ca.certificate, certificate, use: 'sslserver', host })).toContain(': OK');
  expect(verifyStrictly({ ca: ca.certificate, certificate, use: 'sslclient' })).toContain('unsuitable');
  const proxy = await proxyCertificate();
  expect(verifyStrictly({ ca: ca.certificate, certificate: proxy, use: 'sslclient' })).toContain(': OK');
  expect(verifyStrictly({ ca: ca.certificate, certificate: proxy, use: 'sslserver' })).toContain('unsuitable');
  const server = createServer({ ...tlsOptionsOf('admin'), cert: certificate, key }, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const said = await pythonSays(port, ca.certificate);
  server.close();
  expect(said).toBe('taken by TLSv1.3');
});

test('serial numbers are positive, random and of their full length', async () => {
  const serials = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const { certificate } = await ca.issueServer(['localhost'], now);
      return new X509Certificate(certificate).serialNumber;
    }),
  );
  expect(new Set(serials).size).toBe(serials.length);
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
});
