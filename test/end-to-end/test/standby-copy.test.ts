import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { ChildPostgres } from '@sallyport/store-sql';
import { sallyport } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';

const backend = await startBackend();
const gateway = await Gateway.start({ proxies: 1 });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
const there = join(gateway.folder, 'second-site');
const passwordFile = join(there, 'password');
mkdirSync(join(there, 'security'), { recursive: true });
const second = await ChildPostgres.start({ folder: join(there, 'database'), passwordFile });
afterAll(async () => {
  await gateway.stop();
  await second.stop();
  await backend.close();
});

const { host, port, user, database, password } = second.address;
const to = ['--to', `postgresql://${user}@${host}:${port}/${database}`, '--to-password-file', passwordFile];

/** The node of the second site: its own database, the key file, and the journal, which outlives the first site. */
const ofSecondSite = {
  ...gateway.securityEnvironment,
  SALLYPORT_DATA: there,
  SALLYPORT_DATABASE_HOSTS: `${host}:${port}`,
  SALLYPORT_DATABASE_NAME: database,
  SALLYPORT_DATABASE_PASSWORD: password,
  SALLYPORT_JOURNAL: pathToFileURL(join(gateway.folder, 'security-data', 'journal')).href,
};

function standby(
  order: readonly string[],
  environment: Readonly<Record<string, string>> = gateway.securityEnvironment,
) {
  return sallyport(['--reason', 'end-to-end test', 'standby', ...order], '', environment);
}

test('a copy in another database is closed, is replaced by newer ones, and takes over: one login, no enrolment', async () => {
  await Promise.all(['ada', 'bob'].map((name) => gateway.addUser(name)));
  expect((await standby(['copy', ...to])).stdout).toMatch(/rows are in the copy, which is closed/);
  const bob = await gateway.device('bob');
  const ada = await gateway.device('ada');
  expect((await standby(['copy', ...to])).stdout).toMatch(/rows are in the copy, which is closed/);
  const { kek, copied } = { kek: 'security/kek.json', copied: join(there, 'security', 'kek.json') };
  copyFileSync(join(gateway.folder, 'security-data', kek), copied);
  // Nobody starts a node on it by mistake.
  await expect(
    AppProcess.start('security', {
      environment: { ...ofSecondSite, SALLYPORT_PROXY_LISTEN: '127.0.0.1:0', SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0' },
    }),
  ).rejects.toThrow(/closed/);
  expect((await gateway.operator.call(api.users.disable, { params: { name: 'ada' } })).inForce).toBe(true);
  await gateway.security.end('SIGKILL');

  const refused = await standby(['takeover', '--actor', 'olga'], ofSecondSite);
  expect(refused.stderr).toContain('--old-database-is-off');
  const taken = await standby(['takeover', '--actor', 'olga', '--old-database-is-off'], ofSecondSite);
  expect(taken.stdout).toContain('this database is a copy');
  // That of the user; that of her device may have been under way to the journal.
  expect(taken.stdout).toMatch(/done: [12] revocations/);
  gateway.security = await AppProcess.start('security', { environment: ofSecondSite });
  await gateway.live(1);
  await bob.login({ user: 'bob', password: PASSWORD });
  expect((await bob.fetch('http://wiki.corp/echo')).status).toBe(200);
  await expect(ada.login({ user: 'ada', password: PASSWORD })).rejects.toThrow();
  // What was opened is no copy any more: nothing takes its place.
  const again = await standby(['copy', ...to], { ...gateway.securityEnvironment });
  expect(again.stderr).toContain('already');
  expect((await standby(['takeover', '--actor', 'olga'], ofSecondSite)).stdout).toContain(
    'nothing is left to take over',
  );
});

test('the script form is whole or not there, and only its owner reads it', async () => {
  const file = join(gateway.folder, 'realm.sql');
  writeFileSync(`${file}.part`, 'of a copy that was killed');
  expect((await standby(['copy', '--script', file], ofSecondSite)).stdout).toContain('the script is whole');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/update "realms" set "closed" = true;\ncommit;\n$/);
});
