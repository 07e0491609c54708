import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as api from '@sallyport/security-api/admin';
import { freePort, sallyport, selfSigned } from '@sallyport/support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gateway } from '../src/gateway.ts';
import { startMutualBackend } from '../src/tls-backend.ts';

let gateway: Gateway;
let profile: string;
beforeAll(async () => {
  gateway = await Gateway.start({ proxies: 1 });
  profile = join(gateway.folder, 'rescue');
  writeFileSync(join(gateway.folder, 'ca.pem'), gateway.security.ready.ca!);
});
afterAll(() => gateway.stop());

const run = (args: readonly string[], input = '') => sallyport(['--data', profile, ...args], input);

/** A one-time token from the Security host itself; its settings come from the environment, as there. */
async function breakGlass(reason: string): Promise<string> {
  const data = gateway.securityEnvironment['SALLYPORT_DATA']!;
  const { stdout, stderr } = await sallyport(['--data', data, '--reason', reason, 'operator', 'break-glass']);
  expect(stderr).toBe('');
  return /^sp1_\S+$/m.exec(stdout)![0];
}

async function login(token: string): Promise<string> {
  const ca = join(gateway.folder, 'ca.pem');
  const url = gateway.security.ready.adminUrl!;
  const { stdout, stderr } = await run(['login', url, '--ca', ca, '--token-stdin'], token);
  return stdout + stderr;
}

test('on the Security host the glass can be broken, with a reason on record, beside a server that runs', async () => {
  const token = await breakGlass('every credential was lost');
  expect(await login(token)).toContain('you are operator break-glass');
  const { stdout: audit } = await run(['audit', 'tail']);
  expect(audit).toMatch(/operator\.break-glass\s+break-glass\s+done\s+every credential was lost/);
  expect(await login(token)).toContain('unknown, used or expired');
});

test('an operator invites one by name, renews, and ends one; the one who ended is out', async () => {
  const { stdout } = await run(['--reason', 'one more for the night', 'operator', 'invite', 'ben']);
  const ben = join(gateway.folder, 'ben');
  const url = gateway.security.ready.adminUrl!;
  const as = (args: readonly string[], input = '') => sallyport(['--data', ben, ...args], input);
  const ca = ['--ca', join(gateway.folder, 'ca.pem')];
  const entered = await as(['login', url, ...ca, '--token-stdin'], /^sp1_\S+$/m.exec(stdout)![0]);
  expect(entered.stdout).toContain('you are operator ben');
  expect((await as(['operator', 'renew'])).stdout).toContain('renewed, good until');
  expect((await as(['operator', 'list'])).stdout).toMatch(/ben\s+active\s+invite\s+break-glass/);
  const ended = await run(['--reason', 'night is over', 'operator', 'end', 'ben']);
  expect(ended.stdout).toContain('no operator any more: ben');
  expect((await as(['operator', 'list'])).stderr).toContain('an operator credential is needed');
});

const SECRET = 'canary-password-of-a-backend';

test('a file makes resources what it says: wildcard, servers, prefix, client certificate and password, once', async () => {
  const own = selfSigned('gateway');
  const [one, two] = [await startMutualBackend('localhost', own.certificate), await freePort()];
  const at = (name: string): string => join(gateway.folder, name);
  for (const [name, content] of Object.entries({ 'app.pem': one.ca, 'own.pem': own.certificate, 'own.key': own.key }))
    writeFileSync(at(name), content);
  writeFileSync(at('app.password'), `${SECRET}\n`);
  const file = `resources:
  apps:
    authority: "*.Apps_1.corp."
    backend:
      url: https://localhost:${two}
      servers: [{url: "https://localhost:${one.port}"}]
      networks: [127.0.0.0/8, "::1/128"]
      ca: {file: app.pem}
      prefix: /app
      xForwarded: true
      clientCertificate: {certificate: {file: own.pem}, key: {file: own.key}}
      basic: {user: gate, password: {file: app.password}}
  hr:
    authority: hr.apps_1.corp
    backend: {url: "https://localhost:${one.port}", networks: [127.0.0.0/8]}
`;
  writeFileSync(at('resources.yaml'), file.replace('Apps_1', 'apps_1'));
  const apply = (...more: string[]) => run(['resource', 'apply', '-f', at('resources.yaml'), ...more]);
  expect((await apply()).stderr).toContain('--yes or --dry-run');
  expect((await apply('--dry-run')).stdout).toMatch(/add\s+apps/);
  expect(await apply('--yes')).toMatchObject({ code: 0, stdout: expect.stringContaining('2 changed') });
  expect((await apply('--yes')).stdout).toBe('2 of 2 are as they shall be\n');
  const exported = await run(['resource', 'export']);
  const again = await sallyport(
    ['--data', profile, 'resource', 'apply', '-f', '-', '--prune', '--yes'],
    exported.stdout,
  );
  expect(again.stdout).toBe('2 of 2 are as they shall be\n');
  const list = await run(['resource', 'list']);
  expect(list.stderr).toContain('hr.apps_1.corp is for hr alone');
  const shown = await run(['resource', 'show', 'apps']);
  expect(shown.stdout).toMatch(/basic +gate, with a password/);

  await gateway.addUser('ada');
  await gateway.operator.call(api.policies.put, {
    params: { name: 'apps' },
    body: { groups: ['staff'], resources: ['apps'], context: {} },
  });
  const device = await gateway.device('ada');
  for (let i = 0; i < 3; i++)
    expect(await (await device.fetch('https://Wiki.apps_1.corp./a?b')).json()).toEqual({
      url: '/app/a?b',
      host: 'wiki.apps_1.corp',
      authorization: `Basic ${Buffer.from(`gate:${SECRET}`).toString('base64')}`,
      proto: 'https',
      client: 'gateway',
    });
  for (const name of ['hr.apps_1.corp', 'apps_1.corp'])
    await expect(device.fetch(`http://${name}/`)).rejects.toMatchObject({ code: 'RESOURCE_UNKNOWN' });
  device.close();
  one.close();
  const audit = await run(['audit', 'export']);
  const logs = [gateway.security.log, ...gateway.proxies.map(({ log }) => log)];
  for (const text of [exported.stdout, list.stdout, shown.stdout, audit.stdout, ...logs]) {
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain('PRIVATE KEY');
  }
});
