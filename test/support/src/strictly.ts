import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { scratchFolder } from './scratch.ts';

/** A certificate as somebody verifies it who trusts one CA: PEM. */
export interface VerifiedCertificate {
  readonly ca: string;
  /** With its chain. */
  readonly certificate: string;
  readonly use: 'sslserver' | 'sslclient';
  readonly host?: string;
}

/** Verifies with everything that RFC 5280 demands, and Python asks for by default from 3.13 on. Gives what OpenSSL says. */
export function verifyStrictly({ ca, certificate, use, host }: VerifiedCertificate): string {
  const folder = scratchFolder();
  const [caFile, file] = [join(folder, 'ca.pem'), join(folder, 'certificate.pem')];
  writeFileSync(caFile, ca);
  writeFileSync(file, certificate);
  const named = host === undefined ? [] : [/^[0-9.]+$|:/.test(host) ? '-verify_ip' : '-verify_hostname', host];
  const args = ['-x509_strict', '-purpose', use, '-no-CApath', '-no-CAstore', '-CAfile', caFile, '-untrusted', file];
  const { stdout, stderr } = spawnSync('openssl', ['verify', ...args, ...named, file], { encoding: 'utf8' });
  return stdout + stderr;
}

/** What Python says that demands the same of a server on this machine, or the words of its refusal. */
export async function pythonSays(port: number, ca: string, host = 'localhost'): Promise<string> {
  const file = join(scratchFolder(), 'ca.pem');
  writeFileSync(file, ca);
  const { stdout } = await promisify(execFile)('python3', ['-c', PYTHON, String(port), file, host]);
  return stdout.trim();
}

const PYTHON = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags |= ssl.VERIFY_X509_STRICT
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
        with context.wrap_socket(plain, server_hostname=sys.argv[3]) as secure:
            print("taken by", secure.version())
except ssl.SSLError as error:
    print("refused:", error)
`;
