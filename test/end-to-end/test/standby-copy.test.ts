import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { ChildPostgres, connectToPrimary } from '@sallyport/store-sql';
import { CLI, type Running, sallyport, startCommand, waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { HeldLine } from '../src/held-line.ts';

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
const line = await HeldLine.start(second.address);
afterAll(() => line.close());
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

/** What a copy says to the database that it fills when it is killed, and whether the copy is made by then. */
const FIRST = [
  ['create table', 'begins', false],
  ['copy "users"', 'begins', false],
  ['comment on table', 'begins', false],
  ['commit', 'begins', false],
] as const;
const LATER = [
  ['truncate', 'has arrived', false],
  ['copy "users"', 'has arrived', false],
  ['commit', 'begins', false],
  ['commit', 'has arrived', true],
  ['analyze', 'begins', true],
] as const;

/** Runs a command as far as a word of it to the database behind the line, which is held up there. */
async function runTo(
  words: string,
  when: 'begins' | 'has arrived',
  { order, environment }: { readonly order: readonly string[]; readonly environment: NodeJS.ProcessEnv },
): Promise<Running> {
  const reached = line.holdAt(words, when === 'has arrived');
  const command = startCommand('node', [CLI, ...order], { environment, ownGroup: true });
  const ended = once(command.child, 'exit').then(() => command.output());
  expect(await Promise.race([reached, ended])).toBeUndefined();
  return command;
}

/** Kills a copy at a word of it. */
async function copyKilledAt(words: string, when: 'begins' | 'has arrived'): Promise<void> {
  const place = ['--to', `postgresql://${user}@127.0.0.1:${line.port}/${database}`, '--to-password-file', passwordFile];
  const order = ['standby', 'copy', ...place];
  const command = await runTo(words, when, { order, environment: gateway.securityEnvironment });
  await command.killChildren();
  await expect.poll(command.output).toContain('there is no new copy; the one before is as it was');
}

/** The realms of the second site's database, and the users in it, once nobody works on it. */
async function found(): Promise<{ readonly closed: readonly boolean[]; readonly users: readonly string[] }> {
  const client = await connectToPrimary(second.address, 10_000);
  const ask = async (sql: string): Promise<unknown[]> =>
    (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  try {
    const others = `select 1 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`;
    await waitFor(async () => (await ask(others)).length === 0, 'the end of what was killed');
    if ((await ask(`select to_regclass('users') is not null`))[0] === false) return { closed: [], users: [] };
    return {
      closed: (await ask('select "closed" from "realms"')) as boolean[],
      users: (await ask('select "name" from "users" order by "name"')) as string[],
    };
  } finally {
    await client.end();
  }
}

test('killed at every step a copy is there whole and closed, or as it was before; the next one finishes', async () => {
  for (const [words, when] of FIRST) {
    await copyKilledAt(words, when);
    expect(await found(), words).toEqual({ closed: [], users: [] });
  }
  await gateway.addUser('user-0');
  expect((await standby(['copy', ...to])).code).toBe(0);
  let users = ['user-0'];
  for (const [i, [words, when, isMade]] of LATER.entries()) {
    await gateway.addUser(`user-${i + 1}`);
    await copyKilledAt(words, when);
    if (isMade) users = Array.from({ length: i + 2 }, (_, k) => `user-${k}`);
    expect(await found(), `${words} ${when}`).toEqual({ closed: [true], users });
  }
  line.open();
});

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
  // Where its command alone is killed while it begins the new epoch it does not go on beside the next try.
  const order = ['takeover', '--actor', 'olga', '--old-database-is-off'];
  const cutOff = await runTo('update "realms"', 'begins', {
    order: ['--reason', 'end-to-end test', 'standby', ...order],
    environment: { ...ofSecondSite, SALLYPORT_DATABASE_HOSTS: `127.0.0.1:${line.port}` },
  });
  await cutOff.killAlone();
  line.open();
  const taken = await standby(order, ofSecondSite);
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

test('a new epoch whose command alone is killed leaves nothing at work, and the next try finishes', async () => {
  await gateway.security.end('SIGTERM');
  const order = ['--reason', 'end-to-end test', 'realm', 'new-epoch', '--old-database-is-off', '--actor', 'olga'];
  const throughLine = { ...ofSecondSite, SALLYPORT_DATABASE_HOSTS: `127.0.0.1:${line.port}` };
  const cutOff = await runTo('update "realms"', 'begins', { order, environment: throughLine });
  await cutOff.killAlone();
  // While what it would say next is still held up: nothing of it waits for that.
  expect((await found()).closed).toEqual([false]);
  line.open();
  expect(await sallyport(order, '', ofSecondSite)).toMatchObject({ code: 0 });
  gateway.security = await AppProcess.start('security', { environment: ofSecondSite });
  await gateway.live(1);
  expect((await (await gateway.device('bob')).fetch('http://wiki.corp/echo')).status).toBe(200);
});

test('the script form is whole or not there, and only its owner reads it', async () => {
  const file = join(gateway.folder, 'realm.sql');
  writeFileSync(`${file}.part`, 'of a copy that was killed');
  expect((await standby(['copy', '--script', file], ofSecondSite)).stdout).toContain('the script is whole');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/update "realms" set "closed" = true;\ncommit;\n$/);
});
