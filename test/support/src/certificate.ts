import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IssuedPair } from './authority.ts';

/** A certificate for one name that signs itself and is good for long, from Debian's openssl. */
export function selfSigned(name: string): IssuedPair {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificate-'));
  try {
    const files = { key: join(folder, 'key'), certificate: join(folder, 'certificate') };
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '36500'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', files.key, '-out', files.certificate], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return { certificate: readFileSync(files.certificate, 'utf8'), key: readFileSync(files.key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
