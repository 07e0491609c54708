import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { verifyStrictly } from '@sallyport/support';
import { expect, test } from 'vitest';
import { BACKDATE_MS, issueLeaf, KEY_ALGORITHM, newKeys, newSerialNumber } from '../src/index.ts';

const HOUR_MS = 3_600_000;
const now = Date.now();
const caKeys = await newKeys();
const certificate = await X509CertificateGenerator.createSelfSigned({
  name: 'CN=Sallyport test CA,O=Ünïcode',
  serialNumber: newSerialNumber(),
  keys: caKeys,
  signingAlgorithm: KEY_ALGORITHM,
  notBefore: new Date(now - HOUR_MS),
  notAfter: new Date(now + HOUR_MS),
  extensions: [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    await SubjectKeyIdentifierExtension.create(caKeys.publicKey),
  ],
});
const ca = certificate.toString('pem');
const { publicKey } = await newKeys();

function issue(use: 'server' | 'client', names: readonly string[], endsAt = now + HOUR_MS): Promise<string> {
  return issueLeaf(
    { certificate, signingKey: caKeys.privateKey },
    { subject: 'CN=leaf', publicKey, use, names, now, endsAt },
  );
}

test('strict verifiers take a leaf of a server for its names and addresses, and for nothing else', async () => {
  const leaf = await issue('server', ['wiki.corp', '10.1.2.3', 'fd00::1']);
  for (const host of ['wiki.corp', '10.1.2.3', 'fd00::1'])
    expect(verifyStrictly({ ca, certificate: leaf, use: 'sslserver', host }), host).toContain(': OK');
  for (const host of ['other.corp', '10.1.2.4', 'fd00::2'])
    expect(verifyStrictly({ ca, certificate: leaf, use: 'sslserver', host }), host).toContain('mismatch');
  expect(verifyStrictly({ ca, certificate: leaf, use: 'sslclient' })).toContain('unsuitable');
});

test('strict verifiers take a leaf of a client for that alone', async () => {
  const leaf = await issue('client', []);
  expect(verifyStrictly({ ca, certificate: leaf, use: 'sslclient' })).toContain(': OK');
  expect(verifyStrictly({ ca, certificate: leaf, use: 'sslserver' })).toContain('unsuitable');
  expect(new X509Certificate(leaf).subjectAltName).toBeUndefined();
});

test.each([
  ['a day', 24 * HOUR_MS, BACKDATE_MS],
  ['a minute', 60_000, 30_000],
])('a leaf that is good for %s starts in the past, by half of that at most', async (_life, lifeMs, backdateMs) => {
  const leaf = new X509Certificate(await issue('server', ['wiki.corp'], now + lifeMs));
  const [from, to] = [leaf.validFrom, leaf.validTo].map((text) => Date.parse(text));
  // Certificates know seconds.
  expect(Math.abs(to! - (now + lifeMs))).toBeLessThan(1_000);
  expect(Math.abs(to! - from! - lifeMs - backdateMs)).toBeLessThanOrEqual(1_000);
});

test('no leaf issues another one, and none has the number of another one', async () => {
  const leaves = await Promise.all(Array.from({ length: 20 }, () => issue('server', ['wiki.corp'])));
  const read = leaves.map((leaf) => new X509Certificate(leaf));
  expect(read.map(({ ca: isCa }) => isCa)).not.toContain(true);
  expect(new Set(read.map(({ serialNumber }) => serialNumber)).size).toBe(leaves.length);
});
