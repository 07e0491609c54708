import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createCaKey, openCa } from '../src/certificates.ts';

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
