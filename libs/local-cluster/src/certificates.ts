import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { privateFile, privateFolder, type SystemUser } from './host.ts';

/** Files of the TLS of databases, Redis and the archive in a cluster: one CA, one certificate for all hosts. */
export interface ClusterTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Common name in the certificate of all hosts. */
export const CERTIFICATE_NAME = 'cluster';
const DAYS = '3650';
const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Makes a CA and a certificate for these addresses with OpenSSL, once per folder. */
export function createTls(folder: string, addresses: readonly string[], user: SystemUser | undefined): ClusterTls {
  privateFolder(folder, user);
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
  if (existsSync(files.certificate)) return files;
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  openssl(
    'req',
    '-x509',
    ...CURVE,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    DAYS,
    '-subj',
    '/CN=Sallyport cluster CA',
  );
  openssl('req', ...CURVE, '-keyout', 'server.key', '-out', 'server.csr', '-subj', `/CN=${CERTIFICATE_NAME}`);
  // As names, too: pgBackRest 2.45 does not look at addresses in certificates.
  const names = addresses.flatMap((address) => [`IP:${address}`, `DNS:${address}`]).join(',');
  privateFile(join(folder, 'server.ext'), `subjectAltName=${names}\n`, user);
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', DAYS, '-extfile', 'server.ext'];
  openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signing);
  for (const file of Object.values(files)) privateFile(file, readFileSync(file, 'utf8'), user);
  return files;
}
