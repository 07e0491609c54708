import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { TLS_RULES } from '@sallyport/certificates';
import { badCertificates, type IssuedPair, scanTls, TestAuthority, tlsLoad } from '@sallyport/support';
import { createLog, createMetrics } from '@sallyport/telemetry';
import { afterAll, expect, test, vi } from 'vitest';
import { useCertificate } from '../src/app.ts';
import { openPublicCertificate } from '../src/public-certificate.ts';
import { OriginNames } from '../src/serving/origin-names.ts';
import { tellCertificates } from '../src/tell-certificates.ts';
import { deviceListener } from './device-listener.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-outer-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const lines: string[] = [];
const log = createLog('proxy', 'info', { write: (line) => void lines.push(line) });
const metrics = createMetrics();
const corp = await TestAuthority.create('Corp CA');
const other = await TestAuthority.create('Other CA');
const NAMES: [string, string] = ['gate.example', '127.0.0.1'];

// As Kubernetes mounts a secret: `tls.crt -> ..data/tls.crt`, `..data -> ..2026_1`; a new one moves `..data`.
for (const name of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(join('..data', name), join(folder, name));
let mounted = 0;
function mount({ certificate, key }: IssuedPair, ca: string): void {
  const next = `..${++mounted}`;
  mkdirSync(join(folder, next));
  writeFileSync(join(folder, next, 'tls.crt'), certificate);
  writeFileSync(join(folder, next, 'tls.key'), key);
  writeFileSync(join(folder, next, 'ca.crt'), ca);
  symlinkSync(next, join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  if (mounted > 1) rmSync(join(folder, `..${mounted - 1}`), { recursive: true });
}

const settings = {
  SALLYPORT_TLS_CERT: join(folder, 'tls.crt'),
  SALLYPORT_TLS_KEY: join(folder, 'tls.key'),
  SALLYPORT_TLS_TRUSTED: join(folder, 'ca.crt'),
};
const map = Buffer.from(JSON.stringify({ sites: [{ name: 'a', origins: ['wss://gate.example:443'] }] }));
const names = new OriginNames(
  () => 'a',
  async () => ({ siteMap: `x.${map.toString('base64url')}.x`, rootKey: '' }),
);

async function listening(counted = createMetrics()) {
  const files = openPublicCertificate(settings, { names, log, metrics: counted })!;
  const { listener: server, port } = await deviceListener(log, files.current);
  /** What the watch does every two seconds; what may be half written is judged at the second look. */
  const look = (): void => {
    for (const _ of [1, 2]) {
      const changed = files.look(Date.now());
      if (changed) useCertificate(server, changed);
    }
  };
  return { files, server, port, look };
}

function open(port: number, ca: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function shown(port: number): Promise<string> {
  const socket = await open(port, corp.certificate + other.certificate);
  const serial = socket.getPeerX509Certificate()!.serialNumber;
  socket.destroy();
  return serial;
}

test('a certificate for devices that is replaced is taken over, a bad one refused in words, and no request fails for it', async () => {
  mount(await corp.issue({ names: NAMES }), corp.certificate);
  await names.look();
  const { files, server, port, look } = await listening(metrics);
  const loads = [new Agent({ keepAlive: true }), new Agent({ maxCachedSessions: 0 }), new Agent()].map((agent) =>
    tlsLoad({ port, path: '/sallyport/v1/site-map', ca: corp.certificate + other.certificate }, agent),
  );
  const first = await shown(port);
  const second = await corp.issue({ names: NAMES });
  mount(second, corp.certificate);
  look();
  const kept = await shown(port);
  expect(kept).not.toBe(first);
  const bad = await badCertificates({ corp, other, names: NAMES, inUse: second });
  for (const { pair, words } of bad) {
    mount(pair, corp.certificate);
    look();
    expect(files.trouble).toContain(words);
    expect(await shown(port)).toBe(kept);
  }
  expect(lines.join('\n')).toContain('is refused; the one before stays');
  expect(lines.join('\n')).not.toContain('PRIVATE KEY');
  const refused = await metrics.render();
  for (const { why } of bad)
    expect(refused).toContain(`sallyport_certificates_refused_total{listener="public",why="${why}"} 1`);
  // The one in use is in the files again: that is no trouble any more.
  mount(second, corp.certificate);
  look();
  expect(files.trouble).toBeUndefined();
  // The CA itself is replaced, together with what it issued.
  mount(await other.issue({ names: NAMES }), other.certificate);
  look();
  expect(await shown(port)).not.toBe(kept);
  rmSync(join(folder, '..data'));
  look();
  expect(files.trouble).toContain('cannot be read: ENOENT');
  for (const one of loads) {
    const { answered, failed } = await one.stop();
    expect(answered).toBeGreaterThan(0);
    expect(failed).toBe(0);
  }
  server.closeAllConnections();
  server.close();
});

test('devices are spoken to by what the table says, and nothing else', async () => {
  mount(await corp.issue({ names: NAMES }), corp.certificate);
  const { server, port } = await listening();
  const { versions, suites } = TLS_RULES.public;
  const scanned = await scanTls(port);
  expect(scanned.versions).toEqual([...versions]);
  expect(scanned.suites).toEqual(suites.filter((suite) => !suite.startsWith('ECDHE-RSA')).sort());
  expect(scanned.compresses || scanned.renegotiates).toBe(false);
  server.closeAllConnections();
  server.close();
});

test('one file for both, as many have it: the key stands in nothing that this Proxy tells', async () => {
  const { certificate, key } = await corp.issue({ names: NAMES });
  mount({ certificate: certificate + key, key: certificate + key }, corp.certificate);
  const { files, server, port } = await listening();
  const told = vi.fn(async () => undefined);
  const stop = tellCertificates({ security: { tellCertificates: told }, identity: () => ({ certificate }), files });
  await vi.waitFor(() => expect(told).toHaveBeenCalled(), 90_000);
  stop();
  expect(JSON.stringify(told.mock.calls)).toContain('BEGIN CERTIFICATE');
  expect(JSON.stringify(told.mock.calls)).not.toContain('PRIVATE');
  (await open(port, corp.certificate)).destroy();
  server.close();
});

test('a start with a bad certificate, or half of the settings, is refused in words', async () => {
  const opened = () => openPublicCertificate(settings, { names, log, metrics: createMetrics() });
  mount(await corp.issue({ names: NAMES, until: Date.now() - 1 }), corp.certificate);
  expect(opened).toThrow(/tls\.crt: the certificate is over since/);
  mount(await other.issue({ names: NAMES }), corp.certificate);
  expect(opened).toThrow('none of the CAs that are named as trusted');
  const half = { ...settings, SALLYPORT_TLS_KEY: undefined };
  expect(() => openPublicCertificate(half, { names, log, metrics: createMetrics() })).toThrow(
    'SALLYPORT_TLS_KEY is missing',
  );
});
