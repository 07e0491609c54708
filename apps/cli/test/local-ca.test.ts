import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { loadCa, replaceCa, uncovered } from '../src/device/local-ca/ca-file.ts';
import { HostCertificates } from '../src/device/local-ca/host-certificates.ts';
import { createCa, LocalCa } from '../src/device/local-ca/local-ca.ts';
import { hostOfAuthority, isPermitted, permittedFor } from '../src/device/local-ca/permitted-names.ts';

const folder = mkdtempSync('/tmp/sallyport-ca-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each<[authorities: string[], domains: string[], addresses: string[]]>([
  [['wiki.corp', 'git.corp:8443', '*.corp'], ['corp'], []],
  [['wiki.intranet.example'], ['example'], []],
  [['git.company.com', 'www.git.company.com', 'company.co.uk'], ['company.co.uk', 'git.company.com'], []],
  [['*.apps.company.com'], ['apps.company.com'], []],
  [['wiki', 'WIKI:81', 'nas.home.arpa.'], ['home.arpa', 'wiki'], []],
  [['10.1.2.3:8080', '[fd00::1]:443'], [], ['10.1.2.3', 'fd00::1']],
])('a CA for %j may speak for %j and %j', (authorities, domains, addresses) => {
  const permitted = permittedFor(authorities);
  expect(permitted).toEqual({ domains, addresses });
  expect(uncovered(authorities, permitted)).toEqual([]);
});

test('what a CA covers is what it was made for, and no other host of a public domain', () => {
  const permitted = permittedFor(['git.company.com', '10.1.2.3']);
  for (const host of ['git.company.com', 'a.git.company.com', '10.1.2.3'])
    expect(isPermitted(host, permitted)).toBe(true);
  for (const host of ['company.com', 'login.company.com', 'xgit.company.com', 'com', '10.1.2.4', ''])
    expect(isPermitted(host, permitted)).toBe(false);
  expect(uncovered(['git.company.com:8443', 'login.company.com'], permitted)).toEqual(['login.company.com']);
});

const text = (name: string, content: string): string => {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
};

/** What OpenSSL says of a certificate, with this CA as the only one that it trusts. */
function verify(ca: string, cert: string, host: string): string {
  const [caFile, certFile] = [text('ca.pem', ca), text('leaf.pem', cert)];
  const name = /^[0-9.]+$|:/.test(host) ? '-verify_ip' : '-verify_hostname';
  const args = [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    '-CAfile',
    caFile,
    '-no-CApath',
    name,
    host,
    certFile,
  ];
  const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  return stdout + stderr;
}

test('OpenSSL takes certificates of resources, and none that the CA signs beyond its names', async () => {
  const stored = await createCa(permittedFor(['wiki.corp', 'git.company.com', '10.1.2.3', '[fd00::1]']), Date.now());
  const ca = await LocalCa.open(stored);
  for (const host of ['wiki.corp', 'other.corp', 'git.company.com', '10.1.2.3', 'fd00::1']) {
    const { cert } = await ca.issue(host, Date.now());
    expect(verify(stored.certificate, cert, host), host).toContain('OK');
  }
  for (const host of ['login.company.com', 'company.com', 'bank.example', '10.1.2.4', 'fd00::2', '127.0.0.1']) {
    const { cert } = await ca.issue(host, Date.now());
    expect(verify(stored.certificate, cert, host), host).toContain('permitted subtree violation');
  }
});

test('a CA without addresses can speak for none, and one without names for no name', async () => {
  const named = await createCa(permittedFor(['wiki.corp']), Date.now());
  for (const host of ['10.1.2.3', 'fd00::1']) {
    const { cert } = await (await LocalCa.open(named)).issue(host, Date.now());
    expect(verify(named.certificate, cert, host), host).toContain('excluded subtree violation');
  }
  const numbered = await createCa(permittedFor(['10.1.2.3']), Date.now());
  const ca = await LocalCa.open(numbered);
  expect(verify(numbered.certificate, (await ca.issue('10.1.2.3', Date.now())).cert, '10.1.2.3')).toContain('OK');
  expect(verify(numbered.certificate, (await ca.issue('wiki.corp', Date.now())).cert, 'wiki.corp')).toContain(
    'excluded subtree violation',
  );
});

test('the constraint is critical, the CA signs no CA, and all is for servers only', async () => {
  const { certificate } = await createCa(permittedFor(['wiki.corp']), Date.now());
  const words = execFileSync('openssl', ['x509', '-noout', '-text'], { input: certificate, encoding: 'utf8' });
  expect(words).toMatch(/Name Constraints: critical\s+Permitted:\s+DNS:corp\s+Excluded:\s+IP:0\.0\.0\.0\/0\.0\.0\.0/);
  expect(words).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(words).toMatch(/Key Usage: critical\s+Certificate Sign\s/);
  expect(words).toMatch(/Extended Key Usage:\s+TLS Web Server Authentication\s/);
  expect(words).toMatch(/Serial Number:\s+[0-9a-f:]+/);
});

test('a certificate of a host ends within two days, and never after its CA', async () => {
  const now = Date.now();
  const stored = await createCa(permittedFor(['wiki.corp']), now);
  const ca = await LocalCa.open(stored);
  const ends = async (at: number): Promise<number> =>
    Date.parse(new X509Certificate((await ca.issue('wiki.corp', at)).cert).validTo);
  expect((await ends(now)) - now).toBeLessThanOrEqual(2 * 86_400_000);
  expect(await ends(stored.endsAt - 3_600_000)).toBeLessThanOrEqual(stored.endsAt);
});

test('the key stands in one file that nobody else can read, and is used from no other', async () => {
  const file = join(folder, 'kept', 'local-ca.json');
  const stored = await replaceCa(file, ['wiki.corp'], Date.now());
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(loadCa(file)).toEqual(stored);
  chmodSync(file, 0o644);
  expect(() => loadCa(file)).toThrow('others can read');
  chmodSync(file, 0o600);
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40));
  expect(() => loadCa(file)).toThrow('holds no CA');
  expect(loadCa(join(folder, 'missing'))).toBeUndefined();
});

test('certificates are made once and anew in time, for covered hosts only, and follow a CA that was replaced', async () => {
  const file = join(folder, 'local-ca.json');
  // In the past, so that what is made a day later is good now.
  let now = Date.now() - 30 * 3_600_000;
  const certificates = new HostCertificates(file, () => now);
  expect(await certificates.proofFor('wiki.corp')).toBeUndefined();
  const first = await replaceCa(file, ['wiki.corp'], now);
  const [one, two] = await Promise.all([certificates.proofFor('wiki.corp'), certificates.proofFor('wiki.corp')]);
  expect(one).toBe(two);
  expect(verify(first.certificate, one!.cert, 'wiki.corp')).toContain('OK');
  expect(await certificates.proofFor('other.example')).toBeUndefined();
  now += 25 * 3_600_000;
  const renewed = await certificates.proofFor('wiki.corp');
  expect(renewed).not.toBe(one);
  for (let i = 0; i < 300; i++) await certificates.proofFor(`h${i}.corp`);
  expect(await certificates.proofFor('wiki.corp')).not.toBe(renewed);
  const second = await replaceCa(file, ['other.example'], now);
  expect(await certificates.proofFor('wiki.corp')).toBeUndefined();
  expect(verify(second.certificate, (await certificates.proofFor('other.example'))!.cert, 'other.example')).toContain(
    'OK',
  );
  now = second.endsAt + 1;
  expect(await certificates.proofFor('other.example')).toBeUndefined();
});

test('every host of an authority is covered by a CA made for it', () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,4}$/);
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const host = fc.oneof(
    name,
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  const authority = fc
    .tuple(host, fc.option(fc.integer({ min: 1, max: 65_535 })))
    .map(([at, port]) => at + (port ? `:${port}` : ''));
  // fast-check prints the seed of a failure.
  fc.assert(
    fc.property(fc.array(authority, { minLength: 1, maxLength: 5 }), (authorities) => {
      const permitted = permittedFor(authorities);
      for (const one of authorities) expect(isPermitted(hostOfAuthority(one), permitted)).toBe(true);
    }),
  );
});
