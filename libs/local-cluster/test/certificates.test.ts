import { readFileSync } from 'node:fs';
import { scratchFolder, verifyStrictly } from '@sallyport/support';
import { expect, test } from 'vitest';
import { createTls } from '../src/index.ts';

test('the strictest verifier takes the certificate of a cluster, as a server and as a client', () => {
  const folder = scratchFolder();
  const files = createTls(folder, ['10.1.2.3', '127.0.0.1'], undefined);
  const [ca, certificate] = [readFileSync(files.ca, 'utf8'), readFileSync(files.certificate, 'utf8')];
  for (const host of ['10.1.2.3', '127.0.0.1'])
    expect(verifyStrictly({ ca, certificate, use: 'sslserver', host })).toContain(': OK');
  expect(verifyStrictly({ ca, certificate, use: 'sslclient' })).toContain(': OK');
  // Made once.
  createTls(folder, ['10.1.2.3'], undefined);
  expect(readFileSync(files.certificate, 'utf8')).toBe(certificate);
});
