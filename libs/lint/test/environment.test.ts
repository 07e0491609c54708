import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { judgeEnvironment, type KnownServer, type LintFault, parseEnvironmentFile } from '../src/index.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The servers' own tables: what is known is said there. */
async function known(name: KnownServer['name']): Promise<KnownServer> {
  const { SETTINGS } = (await import(`${ROOT}apps/${name}/src/config.ts`)) as { SETTINGS: KnownServer['settings'] };
  return { name, settings: SETTINGS };
}

const servers = { security: await known('security'), proxy: await known('proxy') };
const GROUND = { security: 'SALLYPORT_DATA=/var/lib/sallyport\n', proxy: 'SALLYPORT_DATA=/var/lib/sallyport-proxy\n' };

function judge(name: KnownServer['name'], text: string, mode = 0o600): LintFault[] {
  const variables = parseEnvironmentFile(GROUND[name] + text);
  return judgeEnvironment({ where: `${name}.env`, variables, mode, place: 'host' }, servers[name]);
}

const ACME =
  'SALLYPORT_ACME_DIRECTORY=https://ca.example/directory\nSALLYPORT_ACME_NAMES=a.example\nSALLYPORT_ACME_LISTEN=0.0.0.0:8447';

test('settings that are sound raise nothing', () => {
  expect(judge('proxy', `SALLYPORT_LISTEN=0.0.0.0:8440\n${ACME}\nSALLYPORT_TLS_TRUSTED=/ca.pem`)).toEqual([]);
  expect(judge('security', '')).toEqual([]);
  expect(judge('proxy', 'SALLYPORT_LISTEN=0.0.0.0:8440\nSALLYPORT_TRUSTED_HOPS=1')).toEqual([]);
});

test.each([
  ['security', 'SALLYPORT_DATABASE_HOST=db:5432', /no setting of security is called so/, 'SALLYPORT_DATABASE_HOSTS=…'],
  ['proxy', 'SALLYPORT_LISTENS=0.0.0.0:1', /no setting of proxy is called so/, 'SALLYPORT_LISTEN=…'],
  ['security', 'SALLYPORT_LEASE_MS=fast', /whole number from 1000 to 300000/, 'SALLYPORT_LEASE_MS=…'],
  ['security', 'SALLYPORT_LEASE_MS=120000', /serves who was revoked for 120 s/, 'SALLYPORT_LEASE_MS=15000'],
  ['security', 'SALLYPORT_REALM=', /is empty/, 'give a value'],
  ['security', 'SALLYPORT_NODE=CHANGE_HOST_NAME', /still has CHANGE_HOST_NAME/, 'SALLYPORT_NODE=…'],
  [
    'security',
    'SALLYPORT_METRICS_LISTEN=0.0.0.0:8446',
    /whoever reaches this host reads the metrics/,
    '127.0.0.1:8446',
  ],
  ['proxy', 'SALLYPORT_METRICS_LISTEN=[::]:8442', /reads the metrics/, '127.0.0.1:8442'],
  ['security', 'SALLYPORT_REDIS=redis://r1:6379', /without TLS/, 'SALLYPORT_REDIS=rediss://r1:6379'],
  ['security', 'SALLYPORT_REDIS=redis+sentinel://127.0.0.1:1,r2:2/main', /without TLS/, 'rediss+sentinel'],
  [
    'security',
    'SALLYPORT_DATABASE_HOSTS=db:5432\nSALLYPORT_DATABASE_PASSWORD=x',
    /needs TLS/,
    'SALLYPORT_DATABASE_CA=',
  ],
  ['security', 'SALLYPORT_JOURNAL=postgresql://j@other:5432/j', /no CA is named/, 'SALLYPORT_JOURNAL_CA='],
  [
    'security',
    'SALLYPORT_DATABASE_CA=/ca.pem',
    /nothing without SALLYPORT_DATABASE_HOSTS/,
    'SALLYPORT_DATABASE_HOSTS=…',
  ],
  ['security', 'SALLYPORT_BACKUP_TARGETS=file:/b', /nothing without SALLYPORT_BACKUP_RECIPIENTS/, 'RECIPIENTS=…'],
  [
    'security',
    'SALLYPORT_PROXY_URL=https://a.corp:8443',
    /certificate is not for a\.corp/,
    'SALLYPORT_NAMES=localhost',
  ],
  ['security', 'SALLYPORT_DIRECTORY_URL=http://d\nSALLYPORT_DIRECTORY_LISTEN=d:1', /no https/, 'https://d'],
  ['security', 'SALLYPORT_LOG_LEVEL=loud', /no such level/, 'SALLYPORT_LOG_LEVEL=info'],
  ['security', 'SALLYPORT_LOG_LEVEL=trace', /looking for a fault/, 'SALLYPORT_LOG_LEVEL=info'],
  ['security', 'NODE_TLS_REJECT_UNAUTHORIZED=0', /anybody pretend/, 'name the CA'],
  ['security', 'NODE_OPTIONS=--inspect=0.0.0.0', /takes away what protects/, 'take that option away'],
  ['proxy', 'SALLYPORT_LISTEN=0.0.0.0:8440', /TLS neither ends here/, 'SALLYPORT_TRUSTED_HOPS=1'],
  ['proxy', 'SALLYPORT_TLS_CERT=/c.pem', /nothing without SALLYPORT_TLS_KEY/, 'SALLYPORT_TLS_KEY=…'],
  ['proxy', 'SALLYPORT_TLS_TRUSTED=/c.pem', /nothing without SALLYPORT_TLS_CERT or/, 'SALLYPORT_TLS_CERT=…'],
  ['proxy', 'SALLYPORT_ACME_NAMES=a.example', /nothing without SALLYPORT_ACME_DIRECTORY/, 'SALLYPORT_ACME_DIRECTORY=…'],
  ['proxy', `${ACME}\nSALLYPORT_ACME_EAB_KID=a`, /nothing without SALLYPORT_ACME_EAB_KEY/, 'SALLYPORT_ACME_EAB_KEY=…'],
  ['proxy', `${ACME}\nSALLYPORT_TLS_CERT=/c\nSALLYPORT_TLS_KEY=/k`, /has one certificate/, 'take these lines away'],
  ['proxy', 'SALLYPORT_TRUSTED_HOPS=1\nSALLYPORT_BALANCERS=10.0.0.1', /whatever a device writes/, 'take the line away'],
  ['proxy', 'SALLYPORT_JOIN_ACCOUNT_TOKEN=/t', /nothing without SALLYPORT_SECURITY_URLS/, 'SALLYPORT_SECURITY_URLS=…'],
] as const)('%s: %s', (name, text, words, change) => {
  const [fault] = judge(name, text);
  expect(fault!.what).toMatch(words);
  expect(fault!.change).toContain(change);
  // The first line of the file is one that is right.
  expect(fault!.line).toBeGreaterThan(1);
});

test('what must be given, what is given twice, and a secret that others read', () => {
  const of = (text: string, mode = 0o600) =>
    judgeEnvironment({ where: 'f', variables: parseEnvironmentFile(text), mode, place: 'host' }, servers.security);
  expect(of('')).toMatchObject([{ severity: 'error', what: expect.stringMatching(/^SALLYPORT_DATA: is missing/) }]);
  expect(of('SALLYPORT_DATA=/tmp/x')).toMatchObject([{ line: 1, what: expect.stringContaining('is emptied') }]);
  expect(of('SALLYPORT_DATA=/a\nSALLYPORT_DATA=/b')).toMatchObject([
    { what: expect.stringContaining('again in line 2') },
  ]);
  const secret = 'SALLYPORT_DATABASE_HOSTS=/run/postgresql:5432\nSALLYPORT_DATABASE_PASSWORD=x';
  expect(judge('security', secret, 0o644)).toMatchObject([{ line: 3, change: 'chmod 0600 the file' }]);
  expect(judge('security', secret)).toEqual([]);
});

test('a secret in a file is given as well as one by its value, and never both', () => {
  const hosts = 'SALLYPORT_DATABASE_HOSTS=db:5432\nSALLYPORT_DATABASE_CA=/ca.pem\n';
  const file = 'SALLYPORT_DATABASE_PASSWORD_FILE=/run/secrets/password';
  expect(judge('security', hosts + file, 0o644)).toEqual([]);
  expect(judge('security', `${hosts + file}\nSALLYPORT_DATABASE_PASSWORD=x`)).toMatchObject([
    { line: 4, what: expect.stringContaining('given twice') },
  ]);
});

test('no fault tells a value that is a secret', () => {
  const text = [
    'SALLYPORT_DATABASE_PASSWORD=hunter2',
    'SALLYPORT_REDIS_PASSWORD=hunter2',
    'SALLYPORT_JOIN_TOKN=hunter2',
    'SALLYPORT_REDIS=redis://user:hunter2@r1:6379',
    'SALLYPORT_ADMIN_URL=http://user:hunter2@a:1',
    'SALLYPORT_BACKUP_TARGETS=sftp://b:hunter2@h/x',
  ].join('\n');
  const faults = judge('security', text, 0o644);
  expect(faults.filter(({ what }) => what.includes('no place in a URL'))).toHaveLength(3);
  expect(JSON.stringify(faults)).not.toContain('hunter2');
});

test('the examples of a farm are right once they are filled in', () => {
  const values = {
    NODE: 'n1',
    HOST_NAME: 'n1',
    ADMIN_NAME: 'admin.corp',
    TOKEN: 'abc',
    FINGERPRINT: `SHA256:${'A'.repeat(43)}`,
  };
  for (const file of globSync('deploy/production/{security,proxy}.env', { cwd: ROOT })) {
    const name = file.includes('proxy') ? 'proxy' : 'security';
    const text = readFileSync(ROOT + file, 'utf8')
      .replace(/CHANGE_BALANCER(\d)/g, '10.0.0.$1')
      .replace(
        /CHANGE_([A-Z_]*[A-Z])\d?/g,
        (_, word: string) => (values as Record<string, string>)[word] ?? word.toLowerCase(),
      )
      .replace(/CHANGE_\d/g, 'password');
    const variables = parseEnvironmentFile(text);
    const faults = judgeEnvironment({ where: file, variables, mode: 0o600, place: 'host' }, servers[name]);
    expect(faults, file).toEqual([]);
  }
});

test('a file is read as systemd reads it', () => {
  expect(parseEnvironmentFile(`# a\n; b\nA="x y"\nB='1'\n C = 2 \nD=a\\\nb\nnothing`)).toEqual([
    { name: 'A', value: 'x y', line: 3 },
    { name: 'B', value: '1', line: 4 },
    { name: 'C', value: '2', line: 5 },
    { name: 'D', value: 'ab', line: 6 },
  ]);
});
