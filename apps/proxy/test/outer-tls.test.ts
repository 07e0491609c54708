import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { nodeCrypto } from '@sallyport/channel/node';
import { CertificateFiles } from '@sallyport/http-service';
import { createLog } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { createDeviceListener, useCertificate } from '../src/app.ts';
import { SocketAdmission } from '../src/device/admission.ts';
import { SiteMapCache } from '../src/serving/site-map.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-outer-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const log = createLog('proxy', 'fatal');
const paths = { certificateFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };

/** A certificate of its own, from Debian's openssl. */
function issue(name: string): { certificate: string; key: string } {
  const [key, certificate] = [join(folder, 'new-key'), join(folder, 'new-cert')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const to = ['-keyout', key, '-out', certificate, '-subj', `/CN=${name}`, '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...to], { stdio: ['ignore', 'ignore', 'pipe'] });
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
}

function write({ certificate, key }: { certificate: string; key: string }): void {
  writeFileSync(paths.certificateFile, certificate);
  writeFileSync(paths.keyFile, key);
}

function open(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => resolve(socket));
    socket.once('error', reject);
  });
}

function ask(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (data) => resolve(String(data)));
    socket.once('close', () => reject(new Error('the connection was dropped')));
    socket.write('GET /sallyport/v1/site-map HTTP/1.1\r\nhost: x\r\n\r\n');
  });
}

const nameOf = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN);

test('a new certificate for devices is taken over, and no connection is dropped for it', async () => {
  write(issue('first'));
  const files = new CertificateFiles(paths, log);
  const places = { maxSockets: 80, socketsPerAddress: 80, hellosPerAddress: 10, opensPerSession: 5 };
  const server = createDeviceListener({
    serving: { log } as never,
    channels: { draining: false } as never,
    siteMap: new SiteMapCache(async () => ({ siteMap: 'x', rootKey: '' })),
    admission: new SocketAdmission(places, { met: () => undefined }),
    crypto: nodeCrypto(),
    trustedHops: 0,
    maxSockets: 80,
    tls: files.current,
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const standing = await open(port);
  expect(nameOf(standing)).toBe('first');
  expect(await ask(standing)).toContain('200 OK');
  write(issue('second'));
  useCertificate(server, files.look(Date.now())!);
  expect(await ask(standing)).toContain('200 OK');
  const next = await open(port);
  expect(nameOf(next)).toBe('second');
  // What does not fit leaves everything as it is.
  writeFileSync(paths.keyFile, issue('third').key);
  expect(files.look(Date.now())).toBeUndefined();
  expect(files.trouble).toContain('cert.pem');
  expect(await ask(standing)).toContain('200 OK');
  expect(nameOf(await open(port))).toBe('second');
  standing.destroy();
  server.closeAllConnections();
  server.close();
});
