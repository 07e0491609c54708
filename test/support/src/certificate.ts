import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IssuedPair } from './authority.ts';

/** What is odd about a certificate. */
export interface OddCertificate {
  /** Extensions as openssl writes them; absent: the name. */
  readonly extensions?: readonly string[];
  /** Who signs it; absent: itself. */
  readonly issuer?: IssuedPair;
}

/** A certificate of a CA for one name that signs itself, unless it is odd, and is good for long, from Debian's openssl. */
export function selfSigned(
  name: string,
  { extensions = [`subjectAltName=DNS:${name}`], issuer }: OddCertificate = {},
): IssuedPair {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificate-'));
  try {
    const files = { key: join(folder, 'key'), certificate: join(folder, 'certificate') };
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const subject = ['-subj', `/CN=${name}`, ...extensions.flatMap((one) => ['-addext', one]), '-days', '36500'];
    const by = issuer
      ? ['-CA', written(folder, 'ca', issuer.certificate), '-CAkey', written(folder, 'ca.key', issuer.key)]
      : [];
    const made = ['-keyout', files.key, '-out', files.certificate];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, ...by, ...made], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return { certificate: readFileSync(files.certificate, 'utf8'), key: readFileSync(files.key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function written(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}
