import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
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
const DAY_MS = 86_400_000;
/** What ends sooner is made anew when a cluster starts, ms. */
const RENEW_BEFORE_MS = 365 * DAY_MS;
const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** What strict verifiers demand of a CA and of what it issues (RFC 5280, section 4.2.1). No more of OpenSSL's own configuration is read. */
const CA_CONFIG = `[req]
distinguished_name = name
x509_extensions = ca
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`;

function leafExtensions(addresses: readonly string[]): string {
  // As names, too: pgBackRest 2.45 does not look at addresses in certificates.
  const names = addresses.flatMap((address) => [`IP:${address}`, `DNS:${address}`]).join(',');
  return `basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = ${names}
`;
}

/** Makes a CA and a certificate for these addresses with OpenSSL, once per folder, and again before they end. */
export function createTls(folder: string, addresses: readonly string[], user: SystemUser | undefined): ClusterTls {
  privateFolder(folder, user);
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
  if (Object.values(files).every((file) => existsSync(file)) && lasts(files.certificate)) return files;
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  privateFile(join(folder, 'ca.cnf'), CA_CONFIG, user);
  const ca = ['-config', 'ca.cnf', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', DAYS, '-set_serial', serialNumber()];
  openssl('req', '-x509', ...CURVE, ...ca, '-subj', '/CN=Sallyport cluster CA');
  const request = [
    '-config',
    'ca.cnf',
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    `/CN=${CERTIFICATE_NAME}`,
  ];
  openssl('req', '-new', ...CURVE, ...request);
  privateFile(join(folder, 'server.ext'), leafExtensions(addresses), user);
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', serialNumber(), '-days', DAYS];
  openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signing, '-extfile', 'server.ext');
  for (const file of Object.values(files)) privateFile(file, readFileSync(file, 'utf8'), user);
  return files;
}

function lasts(certificate: string): boolean {
  return new X509Certificate(readFileSync(certificate)).validToDate.getTime() - Date.now() > RENEW_BEFORE_MS;
}

/** Positive, random, 16 bytes (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  return `0x7${randomBytes(16).toString('hex').slice(1)}`;
}
